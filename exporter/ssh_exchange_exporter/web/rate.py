"""The token bucket of rate_limit. Pure: the time is given."""


class Bucket:
    """Holds at most `burst` tokens, gains one each `interval` seconds (> 0), begins full."""

    __slots__ = ("_at", "_tokens", "burst", "interval")

    def __init__(self, interval: float, burst: int) -> None:
        self.interval = interval
        self.burst = burst
        self._tokens = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Takes a token at a monotonic time in seconds; False when there is none."""
        if self._at is not None:
            gained = max(0.0, now - self._at) / self.interval
            self._tokens = min(float(self.burst), self._tokens + gained)
        self._at = now if self._at is None else max(now, self._at)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
