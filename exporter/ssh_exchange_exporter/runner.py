"""Runs on locked servers: takes the budget, makes the run, settles and unlocks a moment after it."""

import asyncio
from collections.abc import Callable
from functools import partial

from check_ssh_exchange.probe.measurement import Measurement
from check_ssh_exchange.report import Report

from .budget.reservation import Reservation
from .budget.server_state import ServerState, release
from .prober import Prober

# Seconds after a run: sshd and dropbear free a connection's slot a moment after our close (at most 0.3 s measured).
REST = 0.3


class Runner:
    """Makes runs and owns the locks until each server has had its rest. To be used within one running loop."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._loop = asyncio.get_running_loop()
        self._resting: dict[Reservation, tuple[asyncio.TimerHandle, Callable[[], None]]] = {}

    async def run(self, measurement: Measurement, states: list[ServerState], reservation: Reservation) -> Report:
        """Make the run of a resolved measurement in the time that is left; takes over the locks of `states`."""
        reservation.take()
        report: Report | None = None
        try:
            report = await self._prober.run(measurement, reservation.policy())
            return report
        finally:
            rested = partial(self._rested, reservation, states, report)
            self._resting[reservation] = self._loop.call_later(REST, rested), rested

    def _rested(self, reservation: Reservation, states: list[ServerState], report: Report | None) -> None:
        del self._resting[reservation]
        try:
            reservation.settle(report)
        finally:
            release(states)

    def close(self) -> None:
        """Settle and unlock at once."""
        for timer, rested in tuple(self._resting.values()):
            timer.cancel()
            rested()
