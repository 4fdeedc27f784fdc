"""A token bucket, for handshakes and for HTTP requests. Pure: the caller gives the time."""

import math

EPSILON = 1e-9  # of a token: the rounding error of adding up fractions of seconds


class TokenBucket:
    """Hold at most `capacity` tokens and gain `per_second` (above 0) of them; full at first.

    Times are monotonic seconds; one that lies before the last one counts as the last one.
    """

    __slots__ = ("_at", "_is_paused", "_level", "capacity", "per_second")

    def __init__(self, capacity: float, per_second: float) -> None:
        self.capacity = capacity
        self.per_second = per_second
        self._level = capacity
        self._at = -math.inf
        self._is_paused = False

    def level(self, now: float) -> float:
        """Return the number of tokens, below zero after an overdraft."""
        if self._is_paused or self._level >= self.capacity:
            return self._level
        return min(self.capacity, self._level + max(0.0, now - self._at) * self.per_second)

    def is_full(self, now: float) -> bool:
        """Return whether no earlier `take` or `overdraw` has an effect any more."""
        return not self._is_paused and self.level(now) >= self.capacity

    def has(self, tokens: float, now: float) -> bool:
        """Return whether the bucket has at least this many tokens."""
        return self.level(now) + EPSILON >= tokens

    def seconds_until(self, tokens: float, now: float) -> float:
        """Return how many seconds the bucket takes to gain what it lacks; at most its capacity is waited for."""
        return max(0.0, (min(tokens, self.capacity) - self.level(now)) / self.per_second)

    def take(self, tokens: float, now: float) -> bool:
        """Take tokens and return True, or return False and take none where there are too few."""
        is_enough = self.has(tokens, now)
        if is_enough:
            self.overdraw(tokens, now)
        return is_enough

    def overdraw(self, tokens: float, now: float) -> None:
        """Take tokens even where the bucket has fewer."""
        self._level = self.level(now) - tokens
        self._at = max(self._at, now)

    def pause(self, now: float) -> None:
        """Gain nothing until `resume`."""
        self._level = self.level(now)
        self._is_paused = True

    def resume(self, unspent: float, now: float) -> None:
        """Put back `unspent` tokens (negative: take more), end an overdraft, and gain again from now on."""
        self._level = min(self.capacity, max(0.0, self._level + unspent))
        self._at = now
        self._is_paused = False

    def resize(self, capacity: float, per_second: float, now: float) -> None:
        """Change capacity and rate; what was taken stays taken."""
        level = capacity - (self.capacity - self.level(now))
        # A paused bucket keeps its overdraft: `resume` puts back what the run did not spend.
        self._level = level if self._is_paused else max(0.0, level)
        self.capacity, self.per_second = capacity, per_second
        self._at = now
