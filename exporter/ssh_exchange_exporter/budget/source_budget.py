"""The handshakes that one source address may still make against one server. Pure: the caller gives the time.

OpenSSH 9.8 and later add a second of penalty for each handshake that ends without an authentication, remove one each
second, and refuse an address above 15 (srclimit.c; measured on 10.0 and 10.6). They add it when the connection ends. So
the bucket gains nothing while a run is under way, and what the run has spent counts from its end: whatever the number
of requests, the server's account is never ahead of this one.
"""

from collections.abc import Hashable

from .token_bucket import TokenBucket
from .wait_queue import WaitQueue

GRACE = 15.0  # seconds; a client that comes back may find another run at the server


class SourceBudget:
    """A bucket of handshakes and the queue of requests that wait for them. Times are monotonic seconds."""

    __slots__ = ("_bucket", "_queue")

    def __init__(self, handshakes: float, per_second: float) -> None:
        self._bucket = TokenBucket(handshakes, per_second)
        self._queue = WaitQueue()

    def left(self, now: float) -> float:
        """Return how many handshakes are left."""
        return self._bucket.level(now)

    def is_full(self, now: float) -> bool:
        """Return whether no earlier handshake counts any more."""
        return self._bucket.is_full(now)

    def covers(self, handshakes: int, now: float, requester: Hashable = None) -> bool:
        """Return whether a run of this many handshakes may be made; one above the capacity needs a full bucket.

        With `requester`, the handshakes of requests that wait before it are left to them.
        """
        reserved = 0.0 if requester is None else self._queue.reserved_before(requester, now)
        return self._bucket.has(min(handshakes, self._bucket.capacity) + reserved, now)

    def wait_for(self, handshakes: int, now: float, requester: Hashable, *, comes_back: bool) -> float:
        """Put a request into the queue and return the seconds until `covers` holds, if no other request comes.

        `comes_back`: whether the requester is sure to ask again then.
        """
        needed = min(handshakes, self._bucket.capacity)
        wait = self._bucket.seconds_until(needed + self._queue.reserved_before(requester, now), now)
        self._queue.put(requester, needed, now, wait + GRACE if comes_back else None)
        return wait

    def take(self, handshakes: int, now: float, requester: Hashable = None) -> None:
        """Take handshakes from the bucket, which gains nothing until `settle`."""
        self._queue.remove(requester)
        # Without an overdraft, a run of 20 that is refused after one handshake would get 19 back and cost nothing.
        self._bucket.overdraw(handshakes, now)
        self._bucket.pause(now)

    def settle(self, unspent: float, now: float) -> None:
        """Put back what was taken and not spent (negative: more was spent); the bucket gains again from now on."""
        self._bucket.resume(unspent, now)

    def resize(self, handshakes: float, per_second: float, now: float) -> None:
        """Change capacity and rate; what was spent stays spent."""
        self._bucket.resize(handshakes, per_second, now)
