"""How many handshakes one source of ours may still make against one server: a pure account, told the time.

OpenSSH 9.8 and later book a second of penalty for each handshake that ends without an authentication, forgive one each
second, and shut an address out when more than 15 are on the account (srclimit.c; measured on 10.0 and 10.6). They book
it when the connection ends. So nothing is earned back while a run is under way, and what it has spent counts from its
end: however many ask at once, the server's account never runs ahead of ours.
"""

from collections.abc import Hashable

from .wait_queue import WaitQueue

LATE = 15.0  # seconds; who comes back may find somebody else at the server
EPSILON = 1e-9  # of a handshake: what adding up fractions of seconds may lose


class Allowance:
    """An account of handshakes: at most `most`, `per_second` come back. Times are monotonic seconds."""

    __slots__ = ("_at", "_is_held", "_level", "_most", "_per_second", "_queue")

    def __init__(self, most: float, per_second: float, now: float) -> None:
        self._most = most
        self._per_second = per_second
        self._level = most
        self._at = now
        self._is_held = False
        self._queue = WaitQueue()

    def left(self, now: float) -> float:
        """Return how many handshakes are left."""
        if self._is_held:
            return self._level
        return min(self._most, self._level + max(0.0, now - self._at) * self._per_second)

    def is_full(self, now: float) -> bool:
        """Return whether nothing of earlier handshakes is remembered any more."""
        return not self._is_held and self.left(now) >= self._most

    def covers(self, handshakes: int, now: float, who: Hashable = None) -> bool:
        """Return whether so many may be made; a run larger than the account needs all of it.

        With `who`, what those need who asked before is to be left to them.
        """
        claimed = 0.0 if who is None else self._queue.before(who, now)
        return self.left(now) + EPSILON >= min(handshakes, self._most) + claimed

    def claim(self, handshakes: int, now: float, who: Hashable, *, comes_back: bool) -> float:
        """Take a place among those who wait, and return the seconds until `covers` holds, when nobody else asks.

        `comes_back`: whether that one will ask again then, for sure.
        """
        need = min(handshakes, self._most)
        in_all = min(need + self._queue.before(who, now), self._most)
        wait = max(0.0, (in_all - self.left(now)) / self._per_second)
        self._queue.put(who, need, now, wait + LATE if comes_back else None)
        return wait

    def take(self, handshakes: int, now: float, who: Hashable = None) -> None:
        """Spend, and earn nothing until `settle`; below zero where the run is larger than the account."""
        self._queue.drop(who)
        # Cut off at zero, a run of 20 that is refused after one handshake would be given 19 back, and cost nothing.
        self._level = self.left(now) - handshakes
        self._at = now
        self._is_held = True

    def settle(self, unspent: float, now: float) -> None:
        """Give back what was taken and not spent (negative: more was spent), and earn again from now on."""
        self._level = min(self._most, max(0.0, self._level + unspent))
        self._at = now
        self._is_held = False

    def resize(self, most: float, per_second: float, now: float) -> None:
        """Take over another size and pace; what was spent stays spent."""
        spent = self._most - self.left(now)
        self._most, self._per_second = most, per_second
        self._level = most - spent if self._is_held else max(0.0, most - spent)
        self._at = now
