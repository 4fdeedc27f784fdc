"""A diagnosis: the cause, how sure it is, what speaks for it and what to do."""

from ..report import Report
from ..text import printable
from ..values import NamedTuple
from .cause import Cause, Confidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .maxstartups import Estimate, MaxStartups

SLOW_AFTER = 1.0  # seconds of median banner latency: the default warning threshold


class Diagnosis(NamedTuple):
    """Why handshakes ended as they did. All texts are printable; `remedies` are commands or settings on the server.

    `startups` estimates the unauthenticated connections that others hold on the server, where drops allow one.
    `address` is the one that the cause is about, where a run saw several.
    """

    cause: Cause
    confidence: Confidence
    evidence: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    self_inflicted: bool = False
    startups: "Estimate | None" = None
    address: str = ""

    @property
    def runbook(self) -> str:
        """Return the page that explains the cause, relative to the project."""
        return f"docs/runbook/{self.cause}.md"


def diagnose(report: Report, setting: "MaxStartups | None" = None, slow_after: float = SLOW_AFTER) -> Diagnosis:
    """Return why the handshakes of a report ended as they did.

    `setting` is the server's MaxStartups where the user knows it; a median banner above `slow_after` seconds is slow.
    """
    if report.fault_cause is not None:
        return Diagnosis(Cause(report.fault_cause), Confidence.CERTAIN, (printable(report.fault or ""),))
    served = report.completed
    if served < len(report.handshakes):
        # Most runs find a healthy server and need no rules.
        from .addresses import explain_each, parts_of
        from .rules import explain

        parts = parts_of(report)
        return explain(report, setting) if len(parts) < 2 else explain_each(parts, setting)
    if not served:
        return Diagnosis(Cause.UNEXPLAINED, Confidence.POSSIBLE, (printable(report.fault),) if report.fault else ())
    from .served import explain_served

    confidence = Confidence.POSSIBLE if report.fault else Confidence.CERTAIN
    return explain_served(report, slow_after) or Diagnosis(
        Cause.HEALTHY, confidence, (f"{served} of {served} handshakes completed",)
    )
