"""`python -m faults.doors [PATTERN ...]`: what each door of the exporter says of each fault, against the plugin.

The doors are Icinga's ifw-api (`checker`), `/probe?format=nagios` and `format=json`, a worker of Mod-Gearman at a real
gearmand, and a background target whose result is read from a Nagios spool. Each of them meets a fault of its own, set
up anew, as does the plugin, so that none is answered from what another has seen or has changed at the server.

What a server does may depend on the moment, and what the plugin says then does too: where a door says something else,
the plugin is asked a few times more, and the door must say what the plugin said once.
"""

import re
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.figures import DEFAULT_CRITICAL, DEFAULT_WARNING
from check_ssh_exchange.remote.options import Options, parse
from ssh_exchange_exporter.configuration.module import Module
from tests.lab import gearmand, zoo
from tests.lab.front_door import PLUGIN, check

from .matrix import matching
from .scenario import Scenario, Skip, Target
from .station import Said, Station, entered, of_output

PLUGIN_ITSELF = "plugin"
DOORS = ("checker", "gearman", "nagios", "json", "spool")
OF_MODULES = DOORS[2:]
MOST_ANSWERS = 5  # of the plugin
AT_ONCE = 8  # most of them wait for time-outs
WINDOW = "early_close_window"
CUT = "..."  # ends a status line that would be longer than allowed
_MOMENT_WORD = "MOMENT"
_MOMENT = re.compile(r"(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d(?: UTC)?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
WIDTHS = "{:62} {:34} {:34} {}"


class Row(NamedTuple):
    """What one door says of one scenario, and what is wrong with it; or why it was not asked."""

    scenario: Scenario
    door: str
    said: Said | None = None
    skipped: str = ""
    problem: str = ""


def words_of(target: Target) -> list[str]:
    """Return the plugin's options for the first run of a scenario."""
    return ["-H", target.host, "-p", str(target.port), *target.options, *target.runs[0], "-v"]


def module_of(options: Options) -> dict[str, Any]:
    """Return the settings of a module that does the same. Raises Skip where none can."""
    plan, expected = options.plan, options.expectations
    settings: dict[str, Any] = {
        "handshakes": plan.handshakes,
        "depth": str(plan.depth),
        "timeout": f"{plan.timeout * 1000:.0f}ms",
        "ip_protocol": "all" if plan.all_addresses else "any",
        "source_addresses": list(plan.sources),
        "exempt": plan.exempt,
        "thresholds": {
            "warning": _ranges(expected.thresholds.warning, DEFAULT_WARNING),
            "critical": _ranges(expected.thresholds.critical, DEFAULT_CRITICAL),
        },
        "states": dict(expected.states),
        "expected_version": list(expected.versions),
        "host_keys": list(expected.host_keys),
        "require": ["post_quantum"] if expected.post_quantum else [],
    }
    if plan.concurrency is not None:
        settings["concurrency"] = plan.concurrency
    module = Module.model_validate(settings)
    made = module.plan(plan.timeout)
    different = [name for name, value in plan._asdict().items() if value != getattr(made, name)]
    ours, of_module = expected._asdict(), module.expectations()._asdict()
    # A module has no window: Prometheus remembers by itself.
    compared = [name for name in ours if name not in ("window", "thresholds", "explicit")]
    different += [name for name in compared if ours[name] != of_module[name]]
    if different:
        raise Skip(f"a module has no {', '.join(different)}")
    return settings


def _ranges(given: Any, defaults: Any) -> dict[str, str]:
    return {label: spec for label, spec in given.items() if label != WINDOW and defaults.get(label) != spec}


def form(text: str) -> str:
    """Return a text without the numbers and moments that change from run to run.

    The exporter writes a moment with its date and in UTC: who reads it may be in another time zone.
    """
    return _NUMBER.sub("N", _MOMENT.sub(_MOMENT_WORD, text))


def is_alike(mine: str, theirs: str) -> bool:
    """Return whether two status lines have one form; of a line that was too long, what is left of it."""
    mine, theirs = form(mine), form(theirs)
    is_cut = _MOMENT_WORD in mine and mine.endswith(CUT)
    return theirs.startswith(mine.removesuffix(CUT)) if is_cut else mine == theirs


def _without_endings(line: str) -> str:
    """Return a status line without the endings of its handshakes: its state, and all behind its first colon."""
    state, _, rest = line.partition(" - ")
    return state + rest[rest.find(":") :]


def figure(item: str) -> str:
    """Return a perfdata item without its value: the label, the unit, the thresholds and the limits."""
    label, _, rest = item.partition("=")
    value, _, limits = rest.partition(";")
    return f"{label}={form(value)};{limits}"


def figures_of(said: Said) -> list[str]:
    """Return a door's perfdata without the values, and without the window that only the plugin's options have."""
    return [figure(item) for item in said.perfdata or ()]


def problems(scenario: Scenario, door: str, said: Said, plugin: Said) -> Iterator[str]:
    """Yield what a door says otherwise than the plugin."""
    mine, theirs = figures_of(said), figures_of(plugin)
    if door in OF_MODULES:
        theirs = [item for item in theirs if not item.startswith(f"{WINDOW}=")]
    if scenario.strikes_at_random:
        # A die has been cast for each: any of its causes is right.
        if said.cause and said.cause.split()[0] not in (*scenario.causes, Cause.HEALTHY):
            yield f"it says {said.cause}, not {' or '.join(scenario.causes)}"
        # What is measured of the handshakes that were served stands only where some were.
        labels = [{item.partition("=")[0] for item in items} for items in (mine, theirs)]
        mine, theirs = ([i for i in items if i.partition("=")[0] in labels[0] & labels[1]] for items in (mine, theirs))
    else:
        if said.code != plugin.code:
            yield f"exit code {said.code}, not {plugin.code}"
        if said.cause and said.cause != plugin.cause:
            yield f"it says {said.cause}, not {plugin.cause}"
        lines = [_without_endings(it.line) if scenario.endings_vary else it.line for it in (said, plugin)]
        if not is_alike(*lines):
            yield f"{said.line!r}, not {plugin.line!r}"
    if said.perfdata is not None and mine != theirs:
        yield f"perfdata {sorted(set(mine) - set(theirs))}, not {sorted(set(theirs) - set(mine))}"


def _differences(row: Row, answers: Sequence[Said]) -> str:
    """Return what a door says otherwise than each of the plugin's answers, "" where it says what one of them says."""
    if row.said is None:
        return ""
    found = ["; ".join(problems(row.scenario, row.door, row.said, answer)) for answer in answers]
    return "" if "" in found else found[0]


class Doors:
    """Scenarios at work, each door and the plugin at one of its own; a context manager.

    All faults on loopback share one exporter. One in a network namespace has an exporter of its own there.
    """

    def __init__(self, scenarios: Sequence[Scenario], at_once: int = AT_ONCE) -> None:
        self._scenarios = scenarios
        self._at_once = at_once
        self._undo = ExitStack()
        self._asked: dict[tuple[str, str], Future[Row]] = {}
        self._seen: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._station = undo.enter_context(Station())
            pool = undo.enter_context(ThreadPoolExecutor(self._at_once))
            undo.callback(pool.shutdown, wait=True, cancel_futures=True)
            for scenario in self._scenarios:
                for door in (PLUGIN_ITSELF, *DOORS):
                    self._asked[scenario.name, door] = pool.submit(self._ask, scenario, door)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._undo.close()

    def rows(self, scenario: Scenario) -> list[Row]:
        """Return what the plugin and each door say of a scenario, when all have been asked."""
        plugin, *others = (self._asked[scenario.name, door].result() for door in (PLUGIN_ITSELF, *DOORS))
        if plugin.said is None:
            return [plugin, *(row._replace(problem=row.problem or "nothing to compare with") for row in others)]
        answers = [plugin.said]
        rows = [plugin]
        for row in others:
            while (found := _differences(row, answers)) and len(answers) < MOST_ANSWERS:
                again = self._ask(scenario, PLUGIN_ITSELF)
                answers.append(again.said or plugin.said)
            rows.append(row._replace(problem=found or row.problem))
        return rows

    def _ask(self, scenario: Scenario, door: str) -> Row:
        try:
            with self._placed(scenario) as target:
                return Row(scenario, door, self._said(door, target))
        except Skip as reason:
            return Row(scenario, door, skipped=str(reason))
        except Exception as error:  # noqa: BLE001 - one door that fails is one wrong row, not the end of all
            return Row(scenario, door, problem=f"{type(error).__name__}: {error}")

    @contextmanager
    def _placed(self, scenario: Scenario) -> Iterator[Target]:
        """A fault at a port that the shared exporter has not met yet: it would compare the two."""
        while True:
            with scenario.place() as target:
                with self._lock:
                    is_new = bool(target.prefix) or (target.host, target.port) not in self._seen
                    self._seen.add((target.host, target.port))
                if is_new:
                    yield target
                    return

    def _said(self, door: str, target: Target) -> Said:
        words = words_of(target)
        if named := next((word for word in words if word == "--state-file"), None):
            raise Skip(f"its {named} names a file, which the exporter refuses")
        if door == PLUGIN_ITSELF:
            with TemporaryDirectory() as home:
                return _plugin_says(target, [*words, "--state-file", str(Path(home, "state"))])
        # Before the exporter is started: a module may have no such setting.
        settings = module_of(parse(words)) if door in OF_MODULES else {}
        if not target.prefix:
            return by(door, self._station, target, words, settings)
        with entered(target.prefix), Station(target.prefix) as station:
            return by(door, station, target, words, settings)


def by(door: str, station: Station, target: Target, words: Sequence[str], settings: dict[str, Any]) -> Said:
    """Return what a door says."""
    where = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
    if door == "checker":
        return station.by_checker(words)
    if door == "gearman":
        return station.by_gearman(words)
    if door == "spool":
        return station.by_spool(where, settings)
    return station.by_probe(where, settings, door)


def _plugin_says(target: Target, words: Sequence[str]) -> Said:
    answer = check(*words, command=(*target.prefix, *PLUGIN))
    if answer.err:
        raise RuntimeError(answer.err)
    return of_output(answer.code, answer.out)


def missing() -> str | None:
    """Return why the doors cannot be tried here, as a sentence; None if they can."""
    return zoo.missing() or gearmand.missing()


def cells(rows: Sequence[Row]) -> str:
    """Return the line of a scenario, and one more for each door that differs."""
    plugin, *others = rows
    said = f"{plugin.said.code} {plugin.said.cause}" if plugin.said else plugin.problem or plugin.skipped
    words = " ".join("!" * bool(row.problem) + row.door for row in others if not row.skipped)
    skipped = {row.skipped for row in others if row.skipped}
    first = WIDTHS.format(plugin.scenario.name, said, words, "; ".join(sorted(skipped)))
    return "\n".join([first, *(f"    {row.door}: {row.problem}" for row in rows if row.problem)])


def main(patterns: Sequence[str]) -> int:
    """Ask and print; return 1 where a door differs."""
    if reason := missing():
        print(reason)
        return 1
    scenarios = matching(*patterns)
    zoo.build()
    found: list[Row] = []
    print(WIDTHS.format("scenario", "plugin", "doors that say the same (! not)", "not asked"))
    with Doors(scenarios) as doors:
        for scenario in scenarios:
            rows = doors.rows(scenario)
            found += rows
            print(cells(rows), flush=True)
    wrong, skipped = sum(bool(row.problem) for row in found), sum(bool(row.skipped) for row in found)
    print(f"{len(found) - wrong - skipped} of {len(found)} answers the same, {wrong} not, {skipped} not asked")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
