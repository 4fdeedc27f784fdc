"""A Grafana dashboard without Grafana: its panels, queries and variables, and what its linter says of it.

The rules that have the names of grafana/dashboard-linter's mean what those mean, and look at panels of all kinds; the
others are ours: what Grafana swallows without a word, such as an unknown variable or two panels in one place.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import combinations
from typing import Any, NamedTuple

import promql_parser as promql

Json = dict[str, Any]

DATASOURCES = ("$datasource", "${datasource}")
NEWEST_SCHEMA = 36
WIDTH = 24
# Identifiers of Grafana's value formats that a dashboard of ours may want.
UNITS = {
    "none", "string", "short", "percent", "percentunit", "bytes", "bool", "ns", "ms", "s", "m", "h", "d", "dtdurations",
    "dateTimeAsIso", "dateTimeFromNow", "cps", "cpm", "ops", "opm", "reqps",
}  # fmt: skip
# What Grafana itself sets, as a query of the last hour has it. The interval is one that nobody writes.
RATE_INTERVAL = timedelta(seconds=317)
GLOBALS = {"__rate_interval": "317s", "__interval": "60s", "__range": "3600s", "__range_s": "3600"}
VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|([A-Za-z_]\w*))")
ASKS = re.compile(r"(label_values|query_result|label_names|metrics)\((.+)\)", re.DOTALL)
ASKS_LABEL = re.compile(r"(?:(.+),\s*)?([A-Za-z_]\w*)", re.DOTALL)
SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")
COUNTED_BY = {"rate", "irate", "increase"}


class Query(NamedTuple):
    """One query of a panel: its place there, and how it is asked."""

    panel: str
    number: int
    expression: str
    form: str
    is_at_end: bool


class Problem(NamedTuple):
    """What breaks a rule; `panel` is empty where it is about the whole dashboard."""

    rule: str
    panel: str
    text: str


class Selected(NamedTuple):
    """A selector in an expression: its metric, its matchers, its range, the function around it."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    span: timedelta | None
    function: str


def panels(dashboard: Json) -> Iterator[Json]:
    """Yield all panels, also those inside of rows."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panels({"panels": panel.get("panels", [])})


def drawn(dashboard: Json) -> Iterator[Json]:
    """Yield the panels that show data."""
    return (panel for panel in panels(dashboard) if panel["type"] not in ("row", "text"))


def queries(dashboard: Json) -> Iterator[Query]:
    """Yield the queries of all panels."""
    for panel in drawn(dashboard):
        for index, target in enumerate(panel.get("targets", [])):
            is_at_end = bool(target.get("instant"))
            yield Query(panel["title"], index, target["expr"], target.get("format", "time_series"), is_at_end)


def variables(dashboard: Json) -> dict[str, Json]:
    """Return the variables by name."""
    return {one["name"]: one for one in dashboard["templating"]["list"]}


def asked(variable: Json) -> tuple[str, str, str]:
    """Return the function, expression and label of a variable's query. Raises ValueError."""
    found = ASKS.fullmatch(variable["query"]["query"])
    if not found:
        raise ValueError(f"no function of the data source: {variable['query']['query']}")
    if found[1] != "label_values":
        return found[1], found[2], ""
    parts = ASKS_LABEL.fullmatch(found[2])
    if not parts:
        raise ValueError(f"no label: {variable['query']['query']}")
    return found[1], parts[1] or "", parts[2]


def escaped(value: str) -> str:
    r"""Return a value as the data source Prometheus writes it into a string: regular expressions, so `.` is `\\.`."""
    return SPECIAL.sub(r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Return a text with these variables in their places; a variable that is not there stays, as in Grafana."""

    def value(found: re.Match[str]) -> str:
        return values.get(found[1] or found[2], found[0])

    return VARIABLE.sub(value, text)


def parsed(expression: str) -> Any:
    """Return the tree of an expression. Raises ValueError."""
    return promql.parse(expanded(expression, GLOBALS))


def selected(node: Any, span: timedelta | None = None, function: str = "") -> Iterator[Selected]:
    """Yield the selectors of a tree."""
    if isinstance(node, promql.VectorSelector):
        matchers = tuple((one.name, str(one.op), one.value) for one in node.matchers.matchers)
        names = [value for name, _, value in matchers if name == "__name__"]
        yield Selected(node.name or "|".join(names), matchers, span, function)
    elif isinstance(node, promql.MatrixSelector):
        yield from selected(node.vector_selector, node.range, function)
    elif isinstance(node, promql.Call):
        for argument in node.args:
            yield from selected(argument, None, node.func.name)
    else:
        for name in ("expr", "lhs", "rhs", "param"):
            if (child := getattr(node, name, None)) is not None:
                yield from selected(child)


def _selectors(dashboard: Json) -> Iterator[tuple[Query, Selected]]:
    for query in queries(dashboard):
        try:
            tree = parsed(query.expression)
        except ValueError:
            continue  # another rule's matter
        yield from ((query, one) for one in selected(tree))


# --- the linter's rules


def _datasource_is_variable(dashboard: Json) -> Iterator[tuple[str, str]]:
    found = [one for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    names = [(one["name"], one["label"], one["query"]) for one in found]
    if names != [("datasource", "Data source", "prometheus")]:
        yield "", f"the data source is {names}"


def _is_variable(name: str) -> Callable[[Json], Iterator[tuple[str, str]]]:
    def rule(dashboard: Json) -> Iterator[tuple[str, str]]:
        one = variables(dashboard).get(name)
        if one is None:
            yield "", f"no variable {name}"
            return
        found = {key: one.get(key) for key in ("type", "label", "multi", "allValue")}
        if found != {"type": "query", "label": name.title(), "multi": True, "allValue": ".+"}:
            yield "", f"{name} is {found}"
        if one["datasource"]["uid"] not in DATASOURCES:
            yield "", f"{name} has another data source"

    return rule


def _variables_are_queries(dashboard: Json) -> Iterator[tuple[str, str]]:
    for name, one in variables(dashboard).items():
        if one["type"] == "query":
            try:
                _, expression, _ = asked(one)
                parsed(expression)
            except ValueError as error:
                yield "", f"{name}: {error}"


def _variables_are_refreshed(dashboard: Json) -> Iterator[tuple[str, str]]:
    for name, one in variables(dashboard).items():
        if one["type"] == "query" and one["refresh"] != 2:
            yield "", f"{name} is not read again when the time range changes"


def _is_not_editable(dashboard: Json) -> Iterator[tuple[str, str]]:
    if dashboard.get("editable", True):
        yield "", "it is editable"


def _panels_have_datasource(dashboard: Json) -> Iterator[tuple[str, str]]:
    for panel in drawn(dashboard):
        sources = [panel["datasource"], *(target["datasource"] for target in panel.get("targets", []))]
        if any(source["uid"] not in DATASOURCES for source in sources):
            yield panel["title"], f"its data sources are {sources}"


def _panels_have_words(dashboard: Json) -> Iterator[tuple[str, str]]:
    for panel in drawn(dashboard):
        if not panel.get("title") or not panel.get("description"):
            yield panel.get("title", ""), f"panel {panel['id']} lacks a title or a description"


def _panels_have_units(dashboard: Json) -> Iterator[tuple[str, str]]:
    for panel in drawn(dashboard):
        config = panel["fieldConfig"]
        found = [config["defaults"].get("unit")]
        found += [p["value"] for one in config["overrides"] for p in one["properties"] if p["id"] == "unit"]
        if not set(found) <= UNITS:
            yield panel["title"], f"its units are {found}"


def _panels_have_queries(dashboard: Json) -> Iterator[tuple[str, str]]:
    for panel in drawn(dashboard):
        if not panel.get("targets"):
            yield panel["title"], "it has no query"


def _queries_are_promql(dashboard: Json) -> Iterator[tuple[str, str]]:
    for query in queries(dashboard):
        try:
            parsed(query.expression)
        except ValueError as error:
            yield query.panel, f"{query.expression}: {error}"


def _rates_have_the_interval(dashboard: Json) -> Iterator[tuple[str, str]]:
    for query, one in _selectors(dashboard):
        if one.function in ("rate", "irate") and one.span != RATE_INTERVAL:
            yield query.panel, f"the range of {one.metric} is not $__rate_interval"


def _has_matcher(label: str) -> Callable[[Json], Iterator[tuple[str, str]]]:
    def rule(dashboard: Json) -> Iterator[tuple[str, str]]:
        for query, one in _selectors(dashboard):
            if (label, "MatchOp.Re", f"${label}") not in one.matchers:
                yield query.panel, f'{one.metric} has no {label}=~"${label}"'

    return rule


def _counters_are_counted(dashboard: Json) -> Iterator[tuple[str, str]]:
    for query, one in _selectors(dashboard):
        if one.metric.endswith("_total") and not (one.span and one.function in COUNTED_BY):
            yield query.panel, f"the counter {one.metric} is not in rate, irate or increase"


# --- rules of our own


def _schema_is_old(dashboard: Json) -> Iterator[tuple[str, str]]:
    if dashboard["schemaVersion"] > NEWEST_SCHEMA:
        yield "", f"schema version {dashboard['schemaVersion']}"
    if not dashboard.get("uid") or not dashboard.get("title"):
        yield "", "no uid or no title"


def _ids_are_unique(dashboard: Json) -> Iterator[tuple[str, str]]:
    for number, count in Counter(panel["id"] for panel in panels(dashboard)).items():
        if count > 1:
            yield "", f"{count} panels have the id {number}"
    for panel in drawn(dashboard):
        letters = [target["refId"] for target in panel.get("targets", [])]
        if len(set(letters)) != len(letters):
            yield panel["title"], f"its queries are {letters}"


def _panels_do_not_overlap(dashboard: Json) -> Iterator[tuple[str, str]]:
    places = [(panel.get("title", ""), panel["gridPos"]) for panel in dashboard["panels"]]
    for title, place in places:
        if place["x"] + place["w"] > WIDTH or min(place.values()) < 0 or not place["w"] * place["h"]:
            yield title, f"it lies at {place}"
    for (title, a), (other, b) in combinations(places, 2):
        is_beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        if not is_beside and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]:
            yield title, f"it overlaps {other}"


def _variables_are_known(dashboard: Json) -> Iterator[tuple[str, str]]:
    known = {*variables(dashboard), *GLOBALS, "__url_time_range", "__data", "__field", "__value"}
    for panel in panels(dashboard):
        for text in _texts(panel):
            for name in (found[1] or found[2] for found in re.finditer(r"\$(?:\{(\w+)[^}]*\}|([A-Za-z_]\w*))", text)):
                if name not in known:
                    yield panel.get("title", ""), f"no variable {name}"


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _texts(child)


RULES: dict[str, Callable[[Json], Iterator[tuple[str, str]]]] = {
    "template-datasource-rule": _datasource_is_variable,
    "template-job-rule": _is_variable("job"),
    "template-instance-rule": _is_variable("instance"),
    "template-label-promql-rule": _variables_are_queries,
    "template-on-time-change-reload-rule": _variables_are_refreshed,
    "uneditable-dashboard-rule": _is_not_editable,
    "panel-datasource-rule": _panels_have_datasource,
    "panel-title-description-rule": _panels_have_words,
    "panel-units-rule": _panels_have_units,
    "panel-no-targets-rule": _panels_have_queries,
    "target-promql-rule": _queries_are_promql,
    "target-rate-interval-rule": _rates_have_the_interval,
    "target-job-rule": _has_matcher("job"),
    "target-instance-rule": _has_matcher("instance"),
    "target-counter-agg-rule": _counters_are_counted,
    "schema": _schema_is_old,
    "unique-ids": _ids_are_unique,
    "layout": _panels_do_not_overlap,
    "known-variables": _variables_are_known,
}


def lint(dashboard: Json) -> list[Problem]:
    """Return what breaks a rule."""
    return [Problem(name, *found) for name, rule in RULES.items() for found in rule(dashboard)]


def without_exceptions(dashboard: Json, problems: list[Problem], exceptions: Json) -> tuple[list[Problem], list[str]]:
    """Return the problems that a .lint file does not excuse, and the excuses for which there is no problem."""
    title, left, unused = dashboard["title"], list(problems), []
    for rule, given in exceptions["exclusions"].items():
        for entry in (one for one in given["entries"] if one["dashboard"] == title):
            excused = [one for one in left if one.rule == rule and one.panel == entry["panel"]]
            if not excused:
                unused.append(f"{rule}: {entry['panel']}")
            left = [one for one in left if one not in excused]
    return left, unused
