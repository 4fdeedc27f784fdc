"""Counters of a background target: handshakes by ending, histograms by phase. No clock, no metric library."""

from bisect import bisect_left
from collections.abc import Sequence

from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.report import PHASES, Report


class Distribution:
    """Counts of durations (seconds) by bucket; the last count is of durations above every bound."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class Counters:
    """Sums over reports. Only completed handshakes enter the distributions."""

    __slots__ = ("bounds", "distributions", "endings")

    def __init__(self, bounds: Sequence[float], depth: Depth) -> None:
        self.bounds = tuple(bounds)
        self.endings = dict.fromkeys(Ending, 0)
        # All phases start at zero: rate() misses the first increase of a series that did not exist before.
        phases = PHASES[: 2 + list(Depth).index(depth)]
        self.distributions = {phase: Distribution(len(self.bounds)) for phase in phases}

    def add(self, report: Report) -> None:
        """Add a run."""
        for handshake in report.handshakes:
            self.endings[handshake.ending] += 1
        for phase in PHASES:
            durations = report.durations(phase)
            if durations:
                distribution = self.distributions.setdefault(phase, Distribution(len(self.bounds)))
                for duration in durations:
                    # A bound belongs to its bucket (le: less or equal).
                    distribution.counts[bisect_left(self.bounds, duration)] += 1
                    distribution.total += duration
