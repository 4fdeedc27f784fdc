"""Every query of the dashboards has something to show on a real Prometheus, in both ways to use the exporter."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from tests.lab import dashboards
from tests.lab.dashboards import Query, escaped, expanded, variables

from .dashboard_lab import SECONDS, Asked, Lab, Series, lab
from .program import ROOT
from .prometheus import EXPORTER

FLEET, SERVER = (json.loads((ROOT / f"contrib/grafana/{name}.json").read_text()) for name in ("fleet", "server"))
# What Grafana would set for scrapes every two seconds, but for the windows' being wide enough for a busy machine.
TIMES = {**dashboards.GLOBALS, "__rate_interval": "20s", "__range": "90s"}
EVERYTHING = {"job": ".+", "instance": ".+", "target": ".*", **TIMES}

CAUSES = {
    "throttled": Cause.MAXSTARTUPS,
    "slow": Cause.SLOW,
    "penalised": Cause.PENALTY,
    "stopped": Cause.STALLED,
    "banned": Cause.BANNED,
    "nameless": Cause.NAME_RESOLUTION,
}
STATE_OF_SERVER = {**SERVER, "panels": SERVER["panels"][:1]}
LABEL = re.compile(r"\{\{(\w+)\}\}")

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("lab")) as made:
        yield made


def answers(there: Lab, dashboard: Any, values: Mapping[str, str]) -> Iterator[tuple[Query, list[Series]]]:
    found = list(dashboards.queries(dashboard))
    asked = there.ask([Asked(expanded(one.expression, values), one.is_at_end) for one in found])
    yield from zip(found, asked, strict=True)


def empty(there: Lab, dashboard: Any, values: Mapping[str, str]) -> list[str]:
    """The queries without a number, as panel and place."""
    found = answers(there, dashboard, values)
    return [f"{query.panel}, {query.number}" for query, series in found if not any(one.values for one in series)]


def eventually(look: Callable[[], object], expected: object) -> None:
    """Wait until it is so."""
    until = time.monotonic() + SECONDS
    while (found := look()) != expected and time.monotonic() < until:
        time.sleep(0.5)
    assert found == expected


def of(panel: str, there: Lab, dashboard: Any, values: Mapping[str, str]) -> list[list[Series]]:
    """The answers to the queries of a panel."""
    found = [one for one in dashboards.queries(dashboard) if one.panel == panel]
    return there.ask([Asked(expanded(one.expression, values), one.is_at_end) for one in found])


def numbers(panel: str, there: Lab, dashboard: Any, values: Mapping[str, str], number: int = 0) -> list[float]:
    """All the values of a query."""
    return [value for one in of(panel, there, dashboard, values)[number] for value in one.values]


def followed(url: str, labels: Mapping[str, str]) -> dict[str, str]:
    """The variables that a link of a row sets."""
    for name, value in labels.items():
        url = re.sub(rf"\$\{{__data\.fields\.{name}(:raw)?}}", value, url)
    given = parse_qs(urlsplit(url).query, keep_blank_values=True)
    return {name: escaped(given[f"var-{name}"][0]) for name in ("job", "instance", "target")}


def chosen(there: Lab, fate: str, way: str) -> dict[str, str]:
    """The variables of the server's dashboard for a server in one way."""
    name = there.names[fate]
    instance, target = (EXPORTER, name) if way == "background" else (name, "")
    values = {**EVERYTHING, "instance": escaped(instance), "target": escaped(target)}
    hosts = there.options(variables(SERVER)["host"], values)
    return {**values, "host": escaped(hosts[0] if hosts else "nobody")}  # none is scraped yet


@pytest.mark.parametrize("name", [name for name, one in variables(FLEET).items() if one["type"] == "query"])
def test_every_variable_of_the_fleet_has_options(there: Lab, name: str) -> None:
    expected = {
        "job": ["ssh_exchange", "ssh_exchange_exporter"],
        "instance": sorted([*there.names.values(), EXPORTER]),
        "target": sorted(there.names.values()),
        "exporter": [EXPORTER],
    }
    eventually(lambda: there.options(variables(FLEET)[name], EVERYTHING), expected[name])


def test_every_query_of_the_fleet_has_something_to_show(there: Lab) -> None:
    eventually(lambda: empty(there, FLEET, EVERYTHING), [])


def test_a_query_that_no_series_matches_is_found(there: Lab) -> None:
    broken = json.loads(json.dumps(FLEET).replace("count(ssh_exchange_state{", "count(ssh_exchange_status{", 1))
    eventually(lambda: empty(there, broken, EVERYTHING), ["Servers, 0"])
    nobody = {**EVERYTHING, "instance": "nobody"}
    assert len(empty(there, FLEET, nobody)) == len(list(dashboards.queries(FLEET)))


def test_servers_are_counted_by_their_state(there: Lab) -> None:
    def counted() -> list[bool]:
        states = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
        return [min(numbers(state, there, FLEET, EVERYTHING), default=0) > 0 for state in states]

    eventually(counted, [True] * 4)
    eventually(lambda: numbers("Servers", there, FLEET, EVERYTHING), [2.0 * len(there.names)])  # each in both ways
    eventually(lambda: min(numbers("Probes deferred", there, FLEET, EVERYTHING), default=0) > 0, True)


def test_the_causes_have_the_names_of_what_is_wrong(there: Lab) -> None:
    (panel,) = [one for one in dashboards.drawn(FLEET) if one["title"] == "Causes"]
    names = {int(code): one["text"] for code, one in panel["fieldConfig"]["defaults"]["mappings"][0]["options"].items()}

    def found() -> dict[str, bool]:
        (bands,) = of("Causes", there, FLEET, EVERYTHING)
        of_server: dict[str, set[str]] = {}
        for band in bands:
            seen = of_server.setdefault(band.labels["server"], set())
            seen |= {names[int(value)] for value in band.values}
        return {fate: cause in of_server.get(there.names[fate], ()) for fate, cause in CAUSES.items()}

    eventually(found, dict.fromkeys(CAUSES, True))


def test_the_worst_servers_are_those_that_are_not_ok_and_lead_to_their_dashboard(there: Lab) -> None:
    def rows() -> set[str]:
        return {one.labels["server"] for one in of("Worst servers", there, FLEET, EVERYTHING)[0]}

    bad = {there.names[fate] for fate in CAUSES}
    eventually(lambda: bad <= rows(), True)
    eventually(lambda: there.names["healthy"] in rows(), False)
    (panel,) = [one for one in dashboards.drawn(FLEET) if one["title"] == "Worst servers"]
    links = {
        (one["matcher"]["options"], link["title"]): link["url"]
        for one in panel["fieldConfig"]["overrides"]
        for shown in one["properties"]
        if shown["id"] == "links"
        for link in shown["value"]
    }
    ways: dict[str, dict[str, str]] = {}

    def seen() -> set[str]:
        for row in of("Worst servers", there, FLEET, EVERYTHING)[0]:
            if row.labels["server"] == there.names["throttled"]:
                values = {**EVERYTHING, **followed(links["server", "Server dashboard"], row.labels)}
                ways[values["job"]] = values
        return set(ways)

    eventually(seen, {"ssh_exchange", "ssh_exchange_exporter"})
    for values in ways.values():
        eventually(partial(empty, there, STATE_OF_SERVER, values), [])


@pytest.mark.parametrize("way", ["background", "probe"])
def test_every_query_of_a_server_has_something_to_show(there: Lab, way: str) -> None:
    bare = ["Probes deferred a minute, 0"] if way == "probe" else []
    eventually(lambda: empty(there, SERVER, chosen(there, "throttled", way)), bare)


@pytest.mark.parametrize("way", ["background", "probe"])
def test_the_variables_of_a_server_lead_from_one_to_the_next(there: Lab, way: str) -> None:
    values = {**EVERYTHING, "job": "ssh_exchange_exporter" if way == "background" else "ssh_exchange"}
    instances = [EXPORTER] if way == "background" else sorted(there.names.values())
    eventually(lambda: there.options(variables(SERVER)["instance"], values), instances)
    values["instance"] = escaped(instances[0])
    targets = sorted(there.names.values()) if way == "background" else []
    eventually(lambda: there.options(variables(SERVER)["target"], values), targets)


@pytest.mark.parametrize("way", ["background", "probe"])
def test_the_host_is_found_by_its_name_and_else_chosen_by_hand(there: Lab, way: str) -> None:
    def hosts(fate: str) -> list[str]:
        values = {**chosen(there, fate, way)}
        return there.options(variables(SERVER)["host"], values)

    eventually(lambda: hosts("throttled"), [there.node])
    eventually(lambda: hosts("banned"), ["(choose)", there.node])  # it has another address than the node_exporter
    strange = {**chosen(there, "banned", way)}
    assert numbers("Startups, on the host", there, SERVER, strange) == []


def test_the_faults_are_where_the_server_dashboard_shows_them(there: Lab) -> None:
    def seen() -> dict[str, bool]:
        throttled, strict = (chosen(there, fate, "background") for fate in ("throttled", "strict"))
        panels = "Startups, on the host", "Drops a minute by reason, on the host", "Addresses banned, on the host"
        found = {panel: max(numbers(panel, there, SERVER, throttled), default=0) > 0 for panel in panels}
        found["deferred"] = max(numbers("Probes deferred a minute", there, SERVER, strict), default=0) > 0
        old = numbers("Age of the result", there, SERVER, chosen(there, "strict", "probe"))
        return {**found, "old": max(old, default=0) > 0}

    eventually(lambda: [name for name, is_there in seen().items() if not is_there], [])


def test_a_host_key_is_one_row_from_outside_and_on_the_host(there: Lab) -> None:
    def keys() -> list[set[tuple[str, str]]]:
        found = of("Host keys", there, SERVER, chosen(there, "throttled", "probe"))
        return [{(one.labels["type"], one.labels["fingerprint"]) for one in shown} for shown in found]

    def same() -> tuple[int, bool]:
        outside, inside = keys()
        return len(outside), outside == inside

    # On a busy machine sshd may not tell check_sshd_local its keys in time, for once.
    eventually(same, (3, True))


@pytest.mark.parametrize("dashboard", [FLEET, SERVER], ids=["fleet", "server"])
def test_what_a_legend_names_is_a_label_of_each_series(there: Lab, dashboard: Any) -> None:
    values = EVERYTHING if dashboard is FLEET else chosen(there, "throttled", "background")
    legends = {
        (panel["title"], number): target["legendFormat"]
        for panel in dashboards.drawn(dashboard)
        for number, target in enumerate(panel["targets"])
    }
    eventually(lambda: empty(there, dashboard, values), [])
    for query, series in answers(there, dashboard, values):
        wanted = set(LABEL.findall(legends[query.panel, query.number]))
        assert [one.labels for one in series if not wanted <= set(one.labels)] == [], query.panel
