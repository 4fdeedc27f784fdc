"""The whole matrix, several scenarios at a time, and what the plugin said of each."""

import fnmatch
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Self

from check_ssh_exchange.diagnosis.cause import Cause, Confidence

from . import ban, damage, limits, network, plugin, proxies, services, standstill, superserver
from .plugin import Answer
from .scenario import Scenario, Skip

AT_ONCE = 4  # most of them wait for time-outs
MODULES = (services, standstill, proxies, network, ban, superserver, limits, damage)


class Row(NamedTuple):
    """One run of one scenario: what it said, or why there was none."""

    scenario: Scenario
    said: Answer | None
    seconds: float
    problem: str = ""  # why it is wrong
    local: str = ""  # what check_sshd_local said on the host, "" where it was not asked
    skipped: str = ""  # why it was not run

    @property
    def is_right(self) -> bool:
        """Whether the plugin named the cause."""
        return not self.problem and not self.skipped

    @property
    def is_certain(self) -> bool:
        """Whether the plugin said it is certain."""
        return self.said is not None and self.said.confidence == Confidence.CERTAIN


def matching(*patterns: str) -> list[Scenario]:
    """Return the scenarios whose names match or contain one of the patterns; all without a pattern."""
    every = [scenario for module in MODULES for scenario in module.scenarios()]
    wanted = [pattern if any(c in "*?[" for c in pattern) else f"*{pattern}*" for pattern in patterns]
    return [s for s in every if not wanted or any(fnmatch.fnmatch(s.name.lower(), w.lower()) for w in wanted)]


class Matrix:
    """Scenarios at work; a context manager that ends when those that have begun are over."""

    def __init__(self, scenarios: Sequence[Scenario], at_once: int = AT_ONCE) -> None:
        self._pool = ThreadPoolExecutor(at_once)
        self._scenarios = {scenario.name: scenario for scenario in scenarios}
        self._rows: dict[str, Future[list[Row]]] = {
            scenario.name: self._pool.submit(carry_out, scenario) for scenario in scenarios
        }

    def rows(self, name: str) -> list[Row]:
        """The runs of one scenario, when they are over; new ones when asked again."""
        begun = self._rows.pop(name, None)
        return begun.result() if begun else carry_out(self._scenarios[name])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def carry_out(scenario: Scenario) -> list[Row]:
    """Set a scenario up and run the plugin against it."""
    rows = []
    begun = time.monotonic()
    try:
        with scenario.place() as target:
            for options in target.runs:
                answer = plugin.run(target, options)
                rows.append(Row(scenario, answer, answer.seconds, problem(scenario, answer)))
            if scenario.local is not None:
                rows[-1] = beside(rows[-1], plugin.run_local(target), scenario.local)
    except Skip as reason:
        return [Row(scenario, None, time.monotonic() - begun, skipped=str(reason))]
    except Exception as error:  # noqa: BLE001 - a scenario that cannot be set up is one wrong row, not the end of all
        rows.append(Row(scenario, None, time.monotonic() - begun, f"{type(error).__name__}: {error}"))
    return rows


def beside(row: Row, local: plugin.LocalAnswer, wanted: Cause) -> Row:
    """Return a row with what check_sshd_local said of the same fault, wrong where it is not certain of its cause."""
    said = ", ".join(dict.fromkeys(local.causes)) or "nothing"
    wrong = "" if wanted in local.causes else f"on the host it is certain of {said}, not of {wanted}: {local.line}"
    return row._replace(local=said, problem=row.problem or wrong)


def problem(scenario: Scenario, answer: Answer) -> str:
    """What is wrong with an answer, "" when nothing is."""
    return next(problems(scenario, answer), "")


def problems(scenario: Scenario, answer: Answer) -> Iterator[str]:
    """Yield all that is wrong with an answer."""
    if len(answer.line) >= plugin.MAX_LINE:
        yield f"its first line has {len(answer.line)} characters"
    if scenario.strikes_at_random and answer.is_served:
        if answer.cause != Cause.HEALTHY:
            yield f"all were served, and it says {answer.cause}"
        return
    causes = scenario.causes
    if scenario.strikes_at_random and answer.is_cut:  # of a hundred runs one looks so, and so does a limit of our own
        causes += (Cause.PER_SOURCE_LIMIT, Cause.PENALTY)
    if answer.cause not in causes:
        yield f"it says {answer.cause}, not {' or '.join(causes)}"
    # Where the fault leaves marks of its own, as the server's words are, it may be certain of a cut burst too.
    if answer.confidence == Confidence.CERTAIN and scenario.causes != (answer.cause,):
        yield f"it is certain of {answer.cause}, and {' or '.join(causes)} leave the same marks"
    if scenario.says not in answer.words:
        yield f"it does not say {scenario.says!r}"
    told = answer.document["diagnosis"]["self_inflicted"]
    if scenario.self_inflicted not in (None, told):
        yield f"it says self_inflicted={told}"
