"""Scheduler of background probes: each target at its time, a limited number at once."""

import asyncio
import logging
import math
import time

from ..broker import ProbeBroker
from ..own_metrics import OwnMetrics
from ..probe_request import ProbeRequest
from ..probe_response import ResponseKind
from ..recent_probes import RecentProbes
from .targets import BackgroundTarget, Fleet

LOG = logging.getLogger(__package__)

# Seconds: probes that are due between two ticks begin together at the second one. 34 probes a second cost 14 % of a
# core one by one and 8 % in batches (measured), because a batch finds the processor's caches filled.
TICK = 0.5


def next_tick(due: float) -> float:
    """Return the tick at which a probe that is due then begins, both in monotonic seconds."""
    return math.ceil(due / TICK) * TICK


class Scheduler:
    """Probes the background targets while `run` runs."""

    def __init__(self, fleet: Fleet, broker: ProbeBroker, recent: RecentProbes, own: OwnMetrics, most: int) -> None:
        self._fleet = fleet
        self._broker = broker
        self._recent = recent
        self._own = own
        self.most = most
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look at the targets again: they have changed, or a probe has ended."""
        self._wake.set()

    async def run(self) -> None:
        """Probe targets when they are due, until cancelled."""
        while True:
            self._wake.clear()
            due = self._fleet.next_due()
            if due is None or len(self._running) >= self.most:
                await self._wake.wait()
                continue
            wait = next_tick(due) - time.monotonic()
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
        task = asyncio.create_task(self._probe(target))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.wake()
        if not task.cancelled() and (error := task.exception()):
            LOG.error("a background probe failed", exc_info=error)

    async def _probe(self, target: BackgroundTarget) -> None:
        spec = target.spec
        request = ProbeRequest(spec.target, spec.text, spec.module_name, spec.module, is_background=True)
        try:
            response = await self._broker.probe(request, spec.module.timeout)
        except BaseException:
            self._fleet.again(target, time.monotonic())
            raise
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
            self._recent.keep(spec.name, response.result)
        self._fleet.again(target, now)

    async def close(self) -> None:
        """Cancel probes in flight; the broker has waited for them before."""
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
