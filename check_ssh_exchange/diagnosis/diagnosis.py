"""A diagnosis: the cause, how sure it is, what speaks for it and what to do."""

from ..report import Report
from ..values import NamedTuple
from .cause import Cause, Confidence


class Diagnosis(NamedTuple):
    """Why handshakes ended as they did. All texts are printable; `remedies` are commands or settings on the server."""

    cause: Cause
    confidence: Confidence
    evidence: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    self_inflicted: bool = False

    @property
    def runbook(self) -> str:
        """Return the page that explains the cause, relative to the project."""
        return f"docs/runbook/{self.cause}.md"


def diagnose(report: Report) -> Diagnosis:
    """Return why the handshakes of a report ended as they did."""
    if report.fault_cause is not None:
        return Diagnosis(Cause(report.fault_cause), Confidence.CERTAIN, (report.fault or "",))
    served = report.completed
    if served < len(report.handshakes):
        # Most runs find a healthy server and need no rules.
        from .rules import explain

        return explain(report)
    if not served:
        return Diagnosis(Cause.HEALTHY, Confidence.POSSIBLE)
    return Diagnosis(Cause.HEALTHY, Confidence.CERTAIN, (f"{served} of {served} handshakes completed",))
