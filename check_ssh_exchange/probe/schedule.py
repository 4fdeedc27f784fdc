"""When the parts of a run must end, and the waves of its burst: arithmetic on monotonic nanoseconds, no clock."""

from collections.abc import Sequence

from .connection import Address

SECOND = 1_000_000_000
# sshd frees a slot only when it has reaped the child, milliseconds after our close (at most 0.3 s measured). A burst
# begun at once would find one slot too few, and a per-source limit would look like random early drop.
PAUSE = 0.25
# Of the whole time: when the baseline is silent for this share, the burst begins beside it. A server that answers each
# connection after five seconds (hosts.deny) is then seen to do so in all of them within the default ten.
PATIENCE = 0.25
# Of the whole time, and at most so many seconds: beside a baseline that is silent for this long a second one is made,
# in which we speak first.
QUESTION = 0.1
MOST_QUESTION = 1.0
# Of the whole time: kept back for the further tests that the burst may call for.
RESERVE = 0.15


class Schedule:
    """The times of one run. `tries` is how many addresses the baseline may have to try, one after another."""

    __slots__ = ("begun", "burst_end", "end", "patience", "silence")

    def __init__(self, begun: int, seconds: float, tries: int) -> None:
        whole = int(seconds * SECOND)
        self.begun = begun
        self.end = begun + whole
        self.burst_end = self.end - int(whole * RESERVE)
        self.silence = int(min(whole * QUESTION, MOST_QUESTION * SECOND))
        self.patience = int(whole * min(PATIENCE, 1 / (tries + 1)))

    def baseline_deadline(self, now: int, *, is_alone: bool) -> int:
        """Return when a baseline begun now must have ended; half of the time is the burst's where that has to wait."""
        whole = self.burst_end - now
        return now + (whole if is_alone else whole // 2)

    def wave_deadline(self, now: int, waves_left: int) -> int:
        """Return when a wave begun now must have ended: the waves share what is left of the time."""
        return now + (self.burst_end - now) // (waves_left + 1)

    def pause_end(self, now: int, seconds: float = 0.0) -> int:
        """Return when a pause begun now ends: after PAUSE at most, or after `seconds` where those are more."""
        if seconds > PAUSE:
            return now + int(seconds * SECOND)
        return now + min(int(PAUSE * SECOND), max(0, self.end - now) // 10)


class Waves:
    """The parts of a burst: at most `at_once` handshakes at one address, each held until all of it have an answer."""

    __slots__ = ("_left", "number")

    def __init__(self, addresses: Sequence[Address] = (), handshakes: int = 0, at_once: int = 1) -> None:
        self._left = [
            (address, min(at_once, handshakes - done))
            for address in addresses
            for done in range(0, handshakes, at_once)
        ]
        self.number = 0

    def __len__(self) -> int:
        return len(self._left)

    @property
    def handshakes(self) -> int:
        """Return how many handshakes the waves have left."""
        return sum(count for _, count in self._left)

    def next(self) -> tuple[Address, int]:
        """Take the next wave: its address and how many handshakes; raises IndexError when none is left."""
        self.number += 1
        return self._left.pop(0)

    def put_back(self, address: Address, count: int) -> None:
        """Give back what a wave could not open: it comes next."""
        self._left.insert(0, (address, count))
