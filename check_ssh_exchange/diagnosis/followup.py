"""Which further tests tell causes apart: only where something failed, and only what the budget has left."""

from enum import StrEnum

from ..ending import NOT_ACCEPTED, Ending
from ..report import Report
from . import budget


class Followup(StrEnum):
    """A test after the burst."""

    WITNESS = "witness"  # from the second source address, while the burst is still held
    AGAIN = "again"  # one more alone, after all have closed
    ASK = "ask"  # one in which we speak first: a service that waits for its client then shows what it is
    CONTROL = "control"  # whether anything answers on another port of the host


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
