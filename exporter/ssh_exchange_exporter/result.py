"""The result of a probe: what was requested, measured and judged."""

from typing import NamedTuple

from check_ssh_exchange.diagnosis.diagnosis import Diagnosis
from check_ssh_exchange.diagnosis.evaluate import Outcome
from check_ssh_exchange.plugin.states import Verdict
from check_ssh_exchange.remote.status_line import line
from check_ssh_exchange.report import Report

from .probe_request import Origin


class Result(NamedTuple):
    """A probe. `at` is when it began (seconds since the epoch), `took` is in seconds, `ended` on the monotonic clock.

    `number` counts from 1 and is 0 for a placeholder where no probe was made. `target` is as the client wrote it.
    """

    number: int
    target: str
    module: str
    origin: Origin
    at: float
    took: float
    outcome: Outcome
    ended: float = 0.0

    @property
    def summary(self) -> str:
        """Return the status line of the plugin without perfdata, printable like every text in an outcome.

        Written when somebody reads it: of ten thousand targets a minute hardly any are looked at.
        """
        return line(self.outcome)

    @property
    def is_routine(self) -> bool:
        """Return whether a scheduler asked, this one or another: of such results only failures and changes are news."""
        return self.origin is not Origin.PROBE

    @property
    def report(self) -> Report:
        """Return what was measured."""
        return self.outcome.report

    @property
    def diagnosis(self) -> Diagnosis:
        """Return the cause and its evidence."""
        return self.outcome.diagnosis

    @property
    def verdict(self) -> Verdict:
        """Return the state by the module's expectations."""
        return self.outcome.verdict

    @property
    def is_ok(self) -> bool:
        """Return whether the module's expectations hold."""
        return int(self.verdict.state) == 0

    @property
    def finding(self) -> tuple[str, str]:
        """Return the state and the cause; a result with the finding of the one before it is not news."""
        return (str(self.verdict.state), self.diagnosis.cause)


class FleetRow(NamedTuple):
    """A background target on the overview page; `result` is None before its first probe."""

    target: str
    module: str
    labels: dict[str, str]
    result: Result | None
