"""What a background target's probes add up to: counters by ending, histograms by phase. No clock, no metric library."""

from bisect import bisect_left
from collections.abc import Sequence

from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.report import PHASES, Report


class Distribution:
    """Counts of durations (seconds) by the upper bounds of their buckets; the last count is of those above all."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class Counters:
    """Adds up reports. The handshakes that completed alone enter the distributions."""

    __slots__ = ("bounds", "distributions", "endings")

    def __init__(self, bounds: Sequence[float], depth: Depth) -> None:
        self.bounds = tuple(bounds)
        self.endings = dict.fromkeys(Ending, 0)
        # From the start, at zero: rate() sees the first increase of a series only where it has seen the series before.
        phases = PHASES[: 2 + list(Depth).index(depth)]
        self.distributions = {phase: Distribution(len(self.bounds)) for phase in phases}

    def add(self, report: Report) -> None:
        """Count one more run."""
        for handshake in report.handshakes:
            self.endings[handshake.ending] += 1
        for phase in PHASES:
            durations = report.durations(phase)
            if durations:
                distribution = self.distributions.setdefault(phase, Distribution(len(self.bounds)))
                for duration in durations:
                    # A bucket's bound is within it (le: less or equal).
                    distribution.counts[bisect_left(self.bounds, duration)] += 1
                    distribution.total += duration
