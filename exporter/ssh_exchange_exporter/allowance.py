"""How many handshakes one source of ours may still make against one server: a pure account, told the time.

OpenSSH 9.8 and later book a second of penalty for each handshake that ends without an authentication, forgive one each
second, and shut an address out when more than 15 are on the account (srclimit.c; measured on 10.0 and 10.6). They book
it when the connection ends. So nothing is earned back while a run is under way, and what it has spent counts from its
end: however many ask at once, the server's account never runs ahead of ours.
"""

EPSILON = 1e-9  # of a handshake: what adding up fractions of seconds may lose


class Allowance:
    """An account of handshakes: at most `most`, `per_second` come back. Times are monotonic seconds."""

    __slots__ = ("_at", "_is_held", "_level", "_most", "_per_second")

    def __init__(self, most: float, per_second: float, now: float) -> None:
        self._most = most
        self._per_second = per_second
        self._level = most
        self._at = now
        self._is_held = False

    def left(self, now: float) -> float:
        """Return how many handshakes are left."""
        if self._is_held:
            return self._level
        return min(self._most, self._level + max(0.0, now - self._at) * self._per_second)

    def is_full(self, now: float) -> bool:
        """Return whether nothing of earlier handshakes is remembered any more."""
        return not self._is_held and self.left(now) >= self._most

    def covers(self, handshakes: int, now: float) -> bool:
        """Return whether so many may be made; a run larger than the account needs all of it."""
        return self.left(now) + EPSILON >= min(handshakes, self._most)

    def wait(self, handshakes: int, now: float) -> float:
        """Return the seconds until `covers` holds, when nobody else asks."""
        return max(0.0, (min(handshakes, self._most) - self.left(now)) / self._per_second)

    def take(self, handshakes: int, now: float) -> None:
        """Spend, and earn nothing until `settle`; below zero where the run is larger than the account."""
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
