"""The requests that wait for a budget of handshakes, first come, first served. Pure: the caller gives the time."""

from collections.abc import Hashable
from typing import NamedTuple

# Seconds after which a request that was not repeated leaves the queue; scrape intervals are shorter.
FORGOTTEN = 120.0
MAX_WAITING = 64  # in one queue; above it the oldest leaves, so that a stream of new requests cannot exhaust memory


class Waiter(NamedTuple):
    """A request that waits: its handshakes, when it last came, and for how many seconds it keeps them reserved."""

    handshakes: float
    asked: float
    reserved_for: float


class WaitQueue:
    """The queue of one budget: later requests leave to earlier ones what these need, however small they are.

    Without it a module of two handshakes, probed every second, would keep one of five waiting forever.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[Hashable, Waiter] = {}

    def put(self, requester: Hashable, handshakes: float, now: float, reserved_for: float | None = None) -> None:
        """Add a request and the handshakes it needs; one that waits already keeps its place.

        They stay reserved for `reserved_for` seconds. None: a first request reserves nothing (the client may not
        return); a repeated one reserves them for twice the observed interval.
        """
        if reserved_for is None:
            earlier = self._waiting.get(requester)
            reserved_for = 2 * (now - earlier.asked) if earlier else 0.0
        self._waiting[requester] = Waiter(handshakes, now, reserved_for)
        while len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]

    def remove(self, requester: Hashable) -> None:
        """Remove a request, if it waits."""
        self._waiting.pop(requester, None)

    def reserved_before(self, requester: Hashable, now: float) -> float:
        """Return how many handshakes are reserved for the requests before this one."""
        if not self._waiting:
            return 0.0
        self._waiting = {
            other: waiter
            for other, waiter in self._waiting.items()
            if now - waiter.asked <= max(waiter.reserved_for, FORGOTTEN)
        }
        handshakes = 0.0
        for other, waiter in self._waiting.items():
            if other == requester:
                break
            handshakes += waiter.handshakes if now - waiter.asked <= waiter.reserved_for else 0.0
        return handshakes
