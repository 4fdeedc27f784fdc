"""Background targets: their specifications, results and counters, and when each is due."""

import heapq
import itertools
import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from check_ssh_exchange.plan import Target

from ..configuration.module import Module
from ..result import FleetRow, Result
from .counters import Counters
from .share import phase, seconds_until

JITTER = 0.1  # of the interval, in both directions, so that probes do not align with each other or with the minute


class TargetSpec(NamedTuple):
    """A background target in the configuration; `interval` is in seconds, `vantage` is "" where none is named."""

    text: str
    target: Target
    labels: tuple[tuple[str, str], ...]
    module_name: str
    module: Module
    interval: float
    vantage: str = ""

    def first_turn(self, epoch: float) -> float:
        """Return in how many seconds a new target is due; `epoch` is now, in seconds since the epoch."""
        if self.vantage:
            return seconds_until(phase(self.target, self.vantage, self.interval), self.interval, epoch)
        return random.uniform(0.0, self.interval)  # noqa: S311  # spread, not secret

    @property
    def name(self) -> tuple[object, ...]:
        """Return the key of its series."""
        return (self.text, self.labels)


class BackgroundTarget:
    """A background target with its counters and last result; a reload may replace `spec` and keeps the counters."""

    __slots__ = ("counters", "deferred", "due", "is_gone", "labels", "result", "spec")

    def __init__(self, spec: TargetSpec, bounds: Sequence[float]) -> None:
        self.spec = spec
        self.labels = {"target": spec.text, **dict(spec.labels)}
        self.counters = Counters(bounds, spec.module.depth)
        self.deferred = 0
        self.due = 0.0
        self.is_gone = False
        self.result: Result | None = None

    def add(self, result: Result) -> None:
        """Add the result of a probe."""
        self.counters.add(result.report)
        self.result = (
            result  # last: the thread that writes metrics takes a new result as the sign that the counters are complete
        )

    @property
    def row(self) -> FleetRow:
        """Return the row of the overview page."""
        spec = self.spec
        return FleetRow(spec.text, spec.module_name, dict(spec.labels), self.result)


class Fleet:
    """All background targets, and which is due first. Pure: the caller gives the time.

    `now` is in monotonic seconds, `epoch` the same moment in seconds since the epoch.
    """

    def __init__(self) -> None:
        self.targets: dict[tuple[object, ...], BackgroundTarget] = {}
        self._queue: list[tuple[float, int, BackgroundTarget]] = []
        self._sequence = itertools.count()

    def replace(
        self, specs: Iterable[TargetSpec], bounds: Sequence[float], now: float, epoch: float = 0.0
    ) -> list[BackgroundTarget]:
        """Replace the targets by those of a new configuration; return those that are gone.

        A target that stays keeps its counters and its next turn; other buckets reset its histograms.
        """
        kept: dict[tuple[object, ...], BackgroundTarget] = {}
        for one in specs:
            if one.name in kept:
                continue
            target = self.targets.get(one.name)
            if target is None:
                target = BackgroundTarget(one, bounds)
                self._put(target, now + one.first_turn(epoch))
            elif target.counters.bounds != tuple(bounds):
                endings = target.counters.endings
                target.counters = Counters(bounds, one.module.depth)
                target.counters.endings = endings
            if one.interval < target.spec.interval or one.vantage != target.spec.vantage:
                self._put(target, min(target.due, now + one.first_turn(epoch)))
            target.spec = one
            kept[one.name] = target
        gone = [target for name, target in self.targets.items() if name not in kept]
        for target in gone:
            target.is_gone = True
        self.targets = kept
        return gone

    def newest(self, text: str | None, module_name: str | None) -> Result | None:
        """Return the last result of a background target, or None."""
        for target in self.targets.values():
            if (target.spec.text, target.spec.module_name) == (text, module_name):
                return target.result
        return None

    def _put(self, target: BackgroundTarget, due: float) -> None:
        target.due = due
        heapq.heappush(self._queue, (due, next(self._sequence), target))

    def next_due(self) -> float | None:
        """Return when the next target is due, or None without targets."""
        # A target that is gone or was rescheduled leaves a stale entry.
        while self._queue and (self._queue[0][2].is_gone or self._queue[0][0] != self._queue[0][2].due):
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def pop(self) -> BackgroundTarget:
        """Remove and return the target that is due next. Raises IndexError without targets."""
        self.next_due()
        return heapq.heappop(self._queue)[2]

    def again(self, target: BackgroundTarget, now: float, epoch: float = 0.0) -> None:
        """Schedule the next turn, an interval after the last one; missed turns are skipped."""
        spec, interval = target.spec, target.spec.interval
        if spec.vantage:
            wait = spec.first_turn(epoch)
            # The turn that is just over would come again where the clock was set back a little.
            self._put(target, now + wait + (interval if wait < interval / 4 and now - target.due < interval / 2 else 0))
            return
        due = target.due + interval * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        self._put(target, max(due, now))

    def later(self, target: BackgroundTarget, now: float, wait: float) -> None:
        """Schedule a deferred target again in `wait` seconds, at most an interval."""
        self._put(target, now + min(max(wait, 0.5), target.spec.interval))
