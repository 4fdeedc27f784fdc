"""One probe as everything after it sees it: what was asked for, measured and judged."""

from typing import NamedTuple

from check_ssh_exchange.diagnosis.diagnosis import Diagnosis
from check_ssh_exchange.diagnosis.evaluate import Outcome
from check_ssh_exchange.plugin.states import Verdict
from check_ssh_exchange.report import Report


class Result(NamedTuple):
    """A probe that was made. `at` is when it began (seconds since the epoch); `number` counts from 1, `took` is
    in seconds, `ended` on the monotonic clock.

    `target` is what was asked for, as it was written; `summary` the status line that the plugin would print, without
    its perfdata, and like every text in the report, diagnosis and verdict printable.
    """

    number: int
    target: str
    module: str
    is_background: bool
    at: float
    took: float
    outcome: Outcome
    summary: str
    ended: float = 0.0

    @property
    def report(self) -> Report:
        """What was measured."""
        return self.outcome.report

    @property
    def diagnosis(self) -> Diagnosis:
        """Why."""
        return self.outcome.diagnosis

    @property
    def verdict(self) -> Verdict:
        """How the module's expectations judge it."""
        return self.outcome.verdict

    @property
    def is_ok(self) -> bool:
        """Whether the module's expectations hold."""
        return int(self.verdict.state) == 0

    @property
    def told(self) -> tuple[str, str]:
        """Return what two results have in common that say the same: the state and the cause."""
        return (str(self.verdict.state), self.diagnosis.cause)


class FleetRow(NamedTuple):
    """A background target as the overview shows it; `result` is its last, None before the first."""

    target: str
    module: str
    labels: dict[str, str]
    result: Result | None
