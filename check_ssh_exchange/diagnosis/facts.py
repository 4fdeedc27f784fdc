"""What the rules look at: a report's numbers and words, computed once."""

from collections import Counter
from functools import cached_property

from ..ending import EARLY_CLOSES, NOT_ACCEPTED, Ending
from ..report import Handshake, Report, Server, join
from .software import Software, software_of

# How a sentence speaks of an ending.
VERBS: dict[Ending, str] = {
    Ending.COMPLETED: "completed",
    Ending.CLOSED: "closed without a word",
    Ending.RESET: "reset",
    Ending.TURNED_AWAY: "turned away",
    Ending.CLOSED_AFTER_BANNER: "closed after the banner",
    Ending.BANNER_TIMEOUT: "left without a banner",
    Ending.KEXINIT_TIMEOUT: "left without a KEXINIT",
    Ending.REFUSED: "refused",
    Ending.REJECTED: "rejected by ICMP",
    Ending.UNREACHABLE: "without a route",
    Ending.CONNECT_TIMEOUT: "unanswered",
    Ending.NOT_SSH: "answered by something that is not SSH",
    Ending.PROTOCOL_ERROR: "ended by a protocol error",
}


class Facts:
    """A report seen by the rules."""

    def __init__(self, report: Report) -> None:
        self.report = report

    @cached_property
    def handshakes(self) -> tuple[Handshake, ...]:
        """Every handshake that has ended, in the order of their SYNs."""
        return self.report.handshakes

    @cached_property
    def failed(self) -> tuple[Handshake, ...]:
        """The handshakes that did not complete."""
        return tuple(h for h in self.handshakes if h.ending is not Ending.COMPLETED)

    @cached_property
    def early(self) -> tuple[Handshake, ...]:
        """The early closes."""
        return tuple(h for h in self.handshakes if h.ending in EARLY_CLOSES)

    @cached_property
    def not_accepted(self) -> tuple[Handshake, ...]:
        """The handshakes that came to no connection."""
        return tuple(h for h in self.handshakes if h.ending in NOT_ACCEPTED)

    @cached_property
    def endings(self) -> frozenset[Ending]:
        """The endings of the failed handshakes."""
        return frozenset(h.ending for h in self.failed)

    @cached_property
    def texts(self) -> Counter[str]:
        """What the server said in failed handshakes, counted."""
        return Counter(h.text for h in self.failed if h.text)

    @property
    def is_rejected_by_target(self) -> bool:
        """Whether ICMP answers came from the very address that was asked."""
        return any(h.icmp is not None and h.icmp[2] == h.address for h in self.failed)

    @cached_property
    def software(self) -> Software | None:
        """The server's software, None when it never identified itself."""
        return software_of(self.server)

    @property
    def server(self) -> Server | None:
        """The server's identification."""
        return self.report.server

    @property
    def count(self) -> str:
        """The failed handshakes in words: `2 of 5 handshakes turned away`."""
        counts = Counter(h.ending for h in self.failed)
        total = len(self.handshakes)
        (first, number), *others = counts.most_common()
        words = [f"{number} of {total} handshakes {VERBS[first]}"]
        words += [f"{more} {VERBS[ending]}" for ending, more in others]
        return join(words)

    def all_failed_as(self, *endings: Ending) -> bool:
        """Return whether nothing completed and every handshake ended in one of these ways."""
        return bool(self.handshakes) and all(h.ending in endings for h in self.handshakes)
