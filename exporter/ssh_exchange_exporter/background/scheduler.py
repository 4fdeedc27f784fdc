"""Scheduler of background probes: each target at its time, a limited number at once."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from functools import partial

from ..broker import ProbeBroker
from ..own_metrics import OwnMetrics
from ..probe_request import Origin, ProbeRequest
from ..probe_response import ProbeResponse, ResponseKind
from ..result import Result
from .targets import BackgroundTarget, Fleet

LOG = logging.getLogger(__package__)

# Seconds: probes that are due between two ticks begin together at the second one. 34 probes a second cost 14 % of a
# core one by one and 8 % in batches (measured), because a batch finds the processor's caches filled. Batches of a
# whole second would cost a seventh less, and let exporters with a `vantage` each meet at a server more often.
TICK = 0.5


def next_tick(due: float) -> float:
    """Return the tick at which a probe that is due then begins, both in monotonic seconds."""
    return math.ceil(due / TICK) * TICK


class Scheduler:
    """Probes the background targets while `run` runs."""

    def __init__(
        self,
        fleet: Fleet,
        broker: ProbeBroker,
        own: OwnMetrics,
        most: int,
        on_result: Callable[[BackgroundTarget, Result], None],
    ) -> None:
        self._fleet = fleet
        self._broker = broker
        self._own = own
        self._on_result = on_result
        self.most = most
        self._running = 0
        self._wake = asyncio.Event()
        self._until = math.inf  # when `run` looks at the targets again by itself

    def wake(self) -> None:
        """Look at the targets again: they have changed, or a probe has ended."""
        self._wake.set()

    async def run(self) -> None:
        """Probe targets when they are due, until cancelled."""
        while True:
            self._wake.clear()
            due = self._fleet.next_due()
            if due is None or self._running >= self.most:
                self._until = math.inf
                await self._wake.wait()
                continue
            self._until = next_tick(due)
            wait = self._until - time.monotonic()
            if wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            self._begin(self._fleet.pop())

    def _begin(self, target: BackgroundTarget) -> None:
        self._own.lateness.observe(max(0.0, time.monotonic() - next_tick(target.due)))
        spec = target.spec
        request = ProbeRequest(spec.target, spec.text, spec.module_name, spec.module, Origin.BACKGROUND)
        # The broker's own task and a callback: a task that waits for it would cost as much as a handshake.
        task, _ = self._broker.begin(request, spec.module.timeout)
        self._running += 1
        task.add_done_callback(partial(self._ended, target))

    def _ended(self, target: BackgroundTarget, task: asyncio.Task[ProbeResponse]) -> None:
        self._running -= 1
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            self._take(target, task.result())
        else:
            self._fleet.again(target, time.monotonic(), time.time())
        if error is not None:
            LOG.error("a background probe failed", exc_info=error)
        if next_tick(target.due) < self._until:  # not at every end: each look at the targets has its price
            self.wake()

    def _take(self, target: BackgroundTarget, response: ProbeResponse) -> None:
        now = time.monotonic()
        if target.is_gone:
            return
        if response.kind is ResponseKind.DEFERRED:
            target.deferred += 1
            self._fleet.later(target, now, response.wait)
            return
        # A probe that an HTTP request began counts too: it is one more run of this target.
        if response.is_probed:
            target.add(response.result)
            self._on_result(target, response.result)
        self._fleet.again(target, now, time.time())
