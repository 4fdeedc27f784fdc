"""Counters of a background target: handshakes by ending, histograms by phase. No clock, no metric library."""

from bisect import bisect_left
from collections.abc import Sequence

from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.report import PHASES, Report

_COMPLETED = Ending.COMPLETED  # looked up once: Python 3.11 takes 0.1 us
PHASES_UP_TO = {depth: PHASES[: 2 + number] for number, depth in enumerate(Depth)}


class Distribution:
    """Counts of durations (seconds) by bucket; the last count is of durations above every bound."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0

    def add(self, duration: float, bounds: Sequence[float]) -> None:
        """Count a duration; a bound belongs to its bucket (le: less or equal)."""
        self.counts[bisect_left(bounds, duration)] += 1
        self.total += duration


class Counters:
    """Sums over reports. Only completed handshakes enter the distributions."""

    __slots__ = ("bounds", "distributions", "endings")

    def __init__(self, bounds: Sequence[float], depth: Depth) -> None:
        self.bounds = tuple(bounds)
        self.endings = dict.fromkeys(Ending, 0)
        self.distributions: dict[str, Distribution] = {}
        # All phases start at zero: rate() misses the first increase of a series that did not exist before.
        self._begin(depth)

    def _begin(self, depth: Depth) -> tuple[str, ...]:
        phases = PHASES_UP_TO[depth]
        for phase in phases:
            if phase not in self.distributions:
                self.distributions[phase] = Distribution(len(self.bounds))
        return phases

    def add(self, report: Report) -> None:
        """Add a run."""
        phases = self._begin(report.depth)  # a deeper module's may be new
        for handshake in report.handshakes:
            self.endings[handshake.ending] += 1
            if handshake.ending is not _COMPLETED:
                continue
            for phase in phases:
                if (took := getattr(handshake, phase)) is not None:
                    self.distributions[phase].add(took, self.bounds)
