"""The shipped Grafana dashboards: what the code says is in them, the linter's rules hold, and each rule can fail."""

import copy
import itertools
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import EARLY_CLOSES, NOT_ACCEPTED, Ending
from check_ssh_exchange.host import openmetrics
from check_ssh_exchange.host.items import ITEMS
from check_ssh_exchange.report import PHASES
from contrib.generators import grafana_dashboards
from ssh_exchange_exporter.exposition.series import QUANTILES
from ssh_exchange_exporter.pages import stylesheet
from tests.lab import dashboards
from tests.lab.dashboards import Json, expanded, lint, without_exceptions

from .program import ROOT, running
from .prometheus import missing, shipped
from .test_alerts import metrics

HERE = ROOT / "contrib" / "grafana"
FLEET, SERVER = (json.loads((HERE / f"{name}.json").read_text()) for name in ("fleet", "server"))
BOTH = pytest.mark.parametrize("dashboard", [FLEET, SERVER], ids=["fleet", "server"])
EXCEPTIONS: Json = YAML(typ="safe").load((HERE / ".lint").read_text())
OF_PROMETHEUS = {"ssh_exchange_state|ssh_exchange_exporter_build_info"}  # of a variable: either name
# What is seen with one kind of cones missing, by Machado and others (2009), as a matrix for linear colours.
SEEN_WITHOUT = {
    "red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}


def panel(dashboard: Json, title: str) -> Json:
    (found,) = [one for one in dashboards.drawn(dashboard) if one["title"] == title]
    return found


def named(overrides: list[Json], what: str) -> dict[str, Any]:
    """The values of a property by the name that they are for."""
    return {
        one["matcher"]["options"]: shown["value"]
        for one in overrides
        for shown in one["properties"]
        if shown["id"] == what
    }


def everything(dashboard: Json) -> Iterator[tuple[str, str]]:
    """Each expression, of panels and of variables."""
    yield from ((query.panel, query.expression) for query in dashboards.queries(dashboard))
    for name, one in dashboards.variables(dashboard).items():
        if one["type"] == "query":
            yield name, dashboards.asked(one)[1]


def selectors() -> Iterator[dashboards.Selected]:
    for dashboard in (FLEET, SERVER):
        for _, expression in everything(dashboard):
            yield from dashboards.selected(dashboards.parsed(expression))


@pytest.mark.parametrize("name", grafana_dashboards.FILES)
def test_a_dashboard_is_what_the_code_says(name: str) -> None:
    assert (ROOT / "contrib" / name).read_text() == grafana_dashboards.FILES[name](), "make contrib"


@BOTH
def test_a_dashboard_breaks_no_rule_but_for_a_reason(dashboard: Json) -> None:
    assert without_exceptions(dashboard, lint(dashboard), EXCEPTIONS) == ([], [])


def test_each_exception_has_its_reason_and_is_needed() -> None:
    titles = {FLEET["title"], SERVER["title"]}
    for rule, given in EXCEPTIONS["exclusions"].items():
        assert rule in dashboards.RULES
        assert len(given["reason"]) > 40
        assert {entry["dashboard"] for entry in given["entries"]} <= titles
    needless = copy.deepcopy(EXCEPTIONS)
    needless["exclusions"]["target-job-rule"]["entries"].append({"dashboard": SERVER["title"], "panel": "Phases"})
    # One list of panels for both rules.
    unused = without_exceptions(SERVER, lint(SERVER), needless)[1]
    assert unused == ["target-job-rule: Phases", "target-instance-rule: Phases"]


def set_at(path: str, value: Any) -> Callable[[Json], None]:
    """What sets a value, or takes it away, in a dashboard: `panels.0.title`."""

    def change(dashboard: Json) -> None:
        *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
        node: Any = dashboard
        for word in way:
            node = node[word]
        node[last] = value

    return change


def replaced(old: str, new: str) -> Callable[[Json], None]:
    def change(dashboard: Json) -> None:
        for one in dashboards.drawn(dashboard):
            for target in one["targets"]:
                target["expr"] = target["expr"].replace(old, new)

    return change


BROKEN = [
    ("template-datasource-rule", set_at("templating.list.0.name", "source")),
    ("template-datasource-rule", set_at("templating.list.0.query", "loki")),
    ("template-job-rule", set_at("templating.list.1.multi", False)),
    ("template-job-rule", set_at("templating.list.1.name", "work")),
    ("template-instance-rule", set_at("templating.list.2.allValue", ".*")),
    ("template-instance-rule", set_at("templating.list.2.datasource", {"uid": "abc"})),
    ("template-label-promql-rule", set_at("templating.list.3.query", {"query": "label_values(a{b=}, c)"})),
    ("template-label-promql-rule", set_at("templating.list.3.query", {"query": "values(a, c)"})),
    ("template-on-time-change-reload-rule", set_at("templating.list.3.refresh", 1)),
    ("uneditable-dashboard-rule", set_at("editable", True)),
    ("panel-datasource-rule", set_at("panels.0.datasource", {"uid": "abc"})),
    ("panel-datasource-rule", set_at("panels.0.targets.0.datasource", {"uid": "abc"})),
    ("panel-title-description-rule", set_at("panels.0.description", "")),
    ("panel-title-description-rule", set_at("panels.0.title", "")),
    ("panel-units-rule", set_at("panels.0.fieldConfig.defaults.unit", "seconds")),
    ("panel-units-rule", set_at("panels.0.fieldConfig.defaults", {})),
    ("panel-no-targets-rule", set_at("panels.0.targets", [])),
    ("target-promql-rule", set_at("panels.0.targets.0.expr", "sum(a")),
    ("target-promql-rule", set_at("panels.0.targets.0.expr", "rate(ssh_exchange_state)")),
    ("target-rate-interval-rule", replaced("$__rate_interval", "5m")),
    ("target-job-rule", replaced('job=~"$job"', 'job="$job"')),
    ("target-instance-rule", replaced('instance=~"$instance", ', "")),
    ("target-counter-agg-rule", replaced("increase(", "max_over_time(")),
    ("schema", set_at("schemaVersion", 39)),
    ("unique-ids", set_at("panels.0.id", 2)),
    ("unique-ids", set_at("panels.0.targets", FLEET["panels"][0]["targets"] * 2)),
    ("layout", set_at("panels.0.gridPos.w", 4)),
    ("layout", set_at("panels.7.gridPos.x", 22)),
    ("known-variables", replaced('target=~"$target"', 'target=~"$server"')),
]


@pytest.mark.parametrize(
    ("rule", "change"), BROKEN, ids=[f"{number}-{rule}" for number, (rule, _) in enumerate(BROKEN)]
)
def test_a_broken_dashboard_is_told_by_its_rule(rule: str, change: Callable[[Json], None]) -> None:
    broken = copy.deepcopy(FLEET)
    change(broken)
    assert rule in {problem.rule for problem in lint(broken)}
    assert rule not in {problem.rule for problem in lint(FLEET)}


def test_every_rule_is_seen_to_fail() -> None:
    assert {rule for rule, _ in BROKEN} == set(dashboards.RULES)


def test_every_metric_is_one_that_the_code_writes() -> None:
    found = {one.metric for one in selectors()}
    assert {"ssh_exchange_state", "sshd_local_startups", "ssh_exchange_exporter_probes_total"} <= found
    assert found - metrics() - OF_PROMETHEUS == set()


def test_every_value_of_a_label_is_a_word_that_there_is() -> None:
    words = {
        "cause": {*Cause}, "ending": {*Ending}, "phase": {*PHASES}, "item": {one.name for one in ITEMS},
        "reason": {*openmetrics._DROPS.values()}, "quantile": {f"{one:g}" for one in QUANTILES},
        "origin": {"probe", "background"},
    }  # fmt: skip
    given = {(label, value) for one in selectors() for label, _, value in one.matchers if "$" not in value}
    kinds = {label for label, _ in given} - {"__name__", "target"}
    assert {"cause", "ending", "phase", "quantile"} <= kinds
    assert [
        (label, value) for label, value in given if label in kinds and not set(value.split("|")) <= words[label]
    ] == []
    assert {frozenset(value.split("|")) for label, value in given if label == "ending"} == {EARLY_CLOSES, NOT_ACCEPTED}


def test_a_cause_has_the_number_that_its_name_is_mapped_to() -> None:
    pattern = re.compile(r'label_replace\(vector\((\d+)\), "cause", "(\w+)", "", ""\)')
    numbers = {cause: str(number) for number, cause in enumerate(Cause)}
    counted = 0
    for dashboard in (FLEET, SERVER):
        for one in dashboards.drawn(dashboard):
            pairs = [pair for target in one["targets"] for pair in pattern.findall(target["expr"])]
            if pairs:
                counted += 1
                assert {cause: number for number, cause in pairs} == numbers
                shown = one["fieldConfig"]["defaults"]["mappings"][0]["options"]
                assert {entry["text"]: number for number, entry in shown.items()} == numbers
    assert counted == 3


def test_causes_endings_and_states_have_their_names_and_colours() -> None:
    for dashboard, title in ((FLEET, "Endings"), (SERVER, "Endings, from outside")):
        colors = named(panel(dashboard, title)["fieldConfig"]["overrides"], "color")
        assert {name: color["fixedColor"] for name, color in colors.items()} == {
            ending: stylesheet.DARK[ending] for ending in Ending
        }
    worst = named(panel(FLEET, "Worst servers")["fieldConfig"]["overrides"], "mappings")
    assert set(worst["cause"][0]["options"]) == set(Cause)
    assert all(entry["text"] == cause for cause, entry in worst["cause"][0]["options"].items())
    states = {number: entry["text"] for number, entry in worst["Value #A"][0]["options"].items()}
    assert states == {"0": "OK", "1": "WARNING", "2": "CRITICAL", "3": "UNKNOWN"}


def lab_of(color: str, cones: str) -> tuple[float, float, float]:
    """A colour in CIELAB, as it is seen without these cones."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    red, green, blue = (
        min(1.0, max(0.0, sum(a * b for a, b in zip(row, linear, strict=True)))) for row in SEEN_WITHOUT[cones]
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


@pytest.mark.parametrize("cones", SEEN_WITHOUT)
def test_the_colours_of_states_are_told_apart_without_all_cones(cones: str) -> None:
    shown = named(panel(FLEET, "Worst servers")["fieldConfig"]["overrides"], "mappings")["Value #A"]
    colors = [lab_of(entry["color"], cones) for entry in shown[0]["options"].values()]
    distances = [
        sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5 for pair in itertools.combinations(colors, 2)
    ]
    assert min(distances) > 35  # two to three are what an eye can just tell


def test_thresholds_are_where_the_alerts_begin() -> None:
    alerts = {
        rule["alert"]: rule["expr"]
        for group in shipped("rules.yml")["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }

    def above(alert: str) -> float:
        (found,) = set(re.findall(r"[<>] ([\d.]+(?: \* [\d.]+)?)(?=\s|$)", alerts[alert]))
        first, _, second = found.partition(" * ")
        return float(first) * float(second or 1)

    def values(title: str, dashboard: Json = FLEET) -> list[float]:
        given = panel(dashboard, title)["fieldConfig"]["defaults"]["thresholds"]["steps"]
        return [step["value"] for step in given if step["value"] is not None]

    burns = [above("SshExchangeEarlyCloseBurnsSlow"), above("SshExchangeEarlyCloseBurnsFast")]
    assert values("Closed early, by server") == pytest.approx([*burns, 0.5])
    assert values("Lateness of background probes") == [above("SshExchangeExporterLate")]
    assert values("Age of the result", SERVER) == [above("SshExchangeStale")]
    assert values("Last look on the host", SERVER) == [above("SshdLocalLate")]
    assert values("Host certificates end in", SERVER)[-1] == above("SshExchangeHostCertificateEnds")
    (half,) = [
        target["expr"] for target in panel(SERVER, "Startups, on the host")["targets"] if " / " in target["expr"]
    ]
    assert float(half.partition(" / ")[2]) == 1 / above("SshdLocalStartupsHigh")


def links(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("url"), str):
            yield node["url"]
        for child in node.values():
            yield from links(child)
    elif isinstance(node, list):
        for child in node:
            yield from links(child)


def test_dashboards_lead_to_each_other_and_to_pages_that_open(tmp_path: Path) -> None:
    found = {*links(FLEET), *links(SERVER)}
    ids = {re.match(r"/d/([\w-]+)\?", url)[1] for url in found if url.startswith("/d/")}  # type: ignore[index]
    assert ids == {FLEET["uid"], SERVER["uid"]}
    pages = {url for url in found if not url.startswith("/d/")}
    assert len(pages) >= 4
    assert all(url.startswith("http://${exporter}/") for url in pages)
    words = {"server": "127.0.0.1:1", "cause": "banned"}
    with running(tmp_path) as exporter:
        for url in pages:
            path = re.sub(
                r"\$\{__data\.fields\.(\w+)}", lambda match: words[match[1]], url.removeprefix("http://${exporter}")
            )
            path = path.replace("${__value.text}", "banned")
            assert "$" not in path
            assert exporter.get(path).status == 200, path


def as_rules(*written: Json) -> str:
    """The queries of dashboards as recording rules."""
    values = {**dashboards.GLOBALS, **dict.fromkeys(("job", "instance", "target", "host", "exporter"), ".+")}
    expressions = [expanded(one, values) for dashboard in written for _, one in everything(dashboard)]
    rules = [{"record": f"query:{number}", "expr": one} for number, one in enumerate(expressions)]
    return json.dumps({"groups": [{"name": "queries", "rules": rules}]})


def promtool(where: Path, rules: str) -> subprocess.CompletedProcess[str]:
    if reason := missing("promtool"):
        pytest.skip(reason)
    (where / "rules.yml").write_text(rules)
    command = ["promtool", "check", "rules", "--lint=none", "rules.yml"]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=60)


def test_promtool_reads_every_query(tmp_path: Path) -> None:
    done = promtool(tmp_path, as_rules(FLEET, SERVER))
    assert done.returncode == 0, done.stdout + done.stderr
    count = sum(len(list(everything(one))) for one in (FLEET, SERVER))
    assert f"SUCCESS: {count} rules found" in done.stdout


def test_promtool_does_not_read_a_broken_query(tmp_path: Path) -> None:
    rules = as_rules(FLEET, SERVER)
    assert promtool(tmp_path, rules.replace("group_left ()", "group_leftt ()", 1)).returncode == 1


def test_the_provisioning_file_is_one_of_grafanas() -> None:
    made = YAML(typ="safe").load((HERE / "dashboards.yml").read_text())
    assert made["apiVersion"] == 1
    (provider,) = made["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    assert provider["options"]["path"] in (HERE / "README.md").read_text()


def test_the_readme_ends_in_a_check_that_works() -> None:
    readme = (HERE / "README.md").read_text()
    (block,) = re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert readme.rstrip().endswith("```")
    done = subprocess.run(["sh", "-ec", block], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
