"""Which further tests tell causes apart: only where something failed, and only what the budget has left."""

from ..ending import NOT_ACCEPTED, Ending
from ..report import Followup, Report
from . import budget


def followups(report: Report, *, has_witness: bool, has_control: bool, is_exempt: bool) -> tuple[Followup, ...]:
    """Return the tests that this run calls for, in their order."""
    endings = {handshake.ending for handshake in report.handshakes}
    if endings <= {Ending.COMPLETED}:
        return ()
    most = budget.limit(report.server, report.depth, is_exempt=is_exempt)
    has_spare = most is None or len(report.handshakes) < most
    wanted = [Followup.WITNESS] if has_witness else []
    if report.completed:
        wanted += [Followup.AGAIN] if has_spare else []
    elif endings == {Ending.BANNER_TIMEOUT} and not any(handshake.text for handshake in report.handshakes):
        wanted += [Followup.ASK] if has_spare else []
    elif endings <= NOT_ACCEPTED and Ending.CONNECT_TIMEOUT in endings:
        wanted += [Followup.CONTROL] if has_control else []
    return tuple(wanted)
