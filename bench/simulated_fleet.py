"""The exporter's own schedule of background targets, walked through on a simulated clock."""

import heapq
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from check_ssh_exchange.plan import Target
from ssh_exchange_exporter.background.scheduler import next_tick
from ssh_exchange_exporter.background.targets import BackgroundTarget, Fleet, TargetSpec
from ssh_exchange_exporter.configuration.configuration import Configuration
from ssh_exchange_exporter.configuration.module import Module

from .simulated_server import BURST

EPOCH = 1_800_000_000.0  # when every simulation begins, in seconds since the epoch
INTERVAL = 60.0
# bench/RESULTS.md, row "background probing": percent of a core over a minute, divided by the handshakes in it.
CPU_PER_HANDSHAKE = 166e-6
CPU_PER_RUN = CPU_PER_HANDSHAKE * (BURST + 1)
MOST_AT_ONCE = Configuration().max_in_flight
_MODULE = Module()
_BOUNDS = (1.0,)


class Conditions(NamedTuple):
    """How long a probe takes, how long at each tenth target, and `max_in_flight`."""

    took: float
    tenth_takes: float
    most: int = MOST_AT_ONCE

    def seconds(self, target: Target) -> float:
        return self.tenth_takes if target.host.endswith("0.example") else self.took


class Turn(NamedTuple):
    """A probe of a background target: when it was due, when it began (since the epoch), and what it takes."""

    host: str
    due: float
    begun: float
    takes: float


@contextmanager
def seeded(seed: int) -> Iterator[random.Random]:
    """Seed the chance that the exporter's schedule uses, for a while; the simulation's own is yielded."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield random.Random(seed)  # noqa: S311  # a simulation
    finally:
        random.setstate(state)


def targets(count: int) -> list[Target]:
    """Return the servers of a fleet."""
    return [Target(f"server-{number}.example") for number in range(count)]


class Exporter:
    """One exporter and its clocks."""

    def __init__(self, fleet: Sequence[Target], booted: float, conditions: Conditions, vantage: str = "") -> None:
        self._specs = [TargetSpec(f"{one.host}:22", one, (), "default", _MODULE, INTERVAL, vantage) for one in fleet]
        self._fleet = Fleet()
        self._booted = booted  # seconds since the epoch: its monotonic clock began there
        self._conditions = conditions
        self._ends: list[float] = []
        self._free = -1.0  # when its core has nothing to do, by the monotonic clock
        self.reload(EPOCH)

    def reload(self, epoch: float) -> list[BackgroundTarget]:
        """Read the same configuration again; return the targets that are gone."""
        return self._fleet.replace(self._specs, _BOUNDS, epoch - self._booted, epoch)

    def turns(self, until: float, *, not_before: float = EPOCH) -> Iterator[Turn]:
        """Yield each probe that is due until then; none begins before `not_before`, when the process was stopped."""
        while (due := self._fleet.next_due()) is not None and due + self._booted < until:
            target = self._fleet.pop()
            begun = self._begin(max(next_tick(due), not_before - self._booted))
            takes = self._conditions.seconds(target.spec.target)
            ended = begun + takes
            heapq.heappush(self._ends, ended)
            self._fleet.again(target, ended, ended + self._booted)
            yield Turn(target.spec.target.host, due + self._booted, begun + self._booted, takes)

    def _begin(self, now: float) -> float:
        """Return when a probe begins: when its core is free, and not too many probes are in flight."""
        begun = max(now, self._free)
        while self._ends and self._ends[0] <= begun:
            heapq.heappop(self._ends)
        if len(self._ends) >= self._conditions.most:
            begun = max(begun, heapq.heappop(self._ends))
        self._free = begun + CPU_PER_RUN
        return begun


def most_within(moments: Sequence[float], seconds: float) -> int:
    """Return the most moments, given in any order, that lie within a span of this many seconds."""
    most, first = 0, 0
    ordered = sorted(moments)
    for last, moment in enumerate(ordered):
        while moment - ordered[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def most_open(spans: Sequence[tuple[float, float, int]]) -> int:
    """Return how much is open at once of spans with a beginning, an end and a number."""
    now = most = 0
    for _, change in sorted(change for begun, ended, count in spans for change in ((begun, count), (ended, -count))):
        now += change
        most = max(most, now)
    return most
