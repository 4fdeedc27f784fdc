"""Runs on locked servers: takes the budget, makes the run, settles and unlocks a moment after it."""

import asyncio
from collections import deque
from typing import NamedTuple

from check_ssh_exchange.probe.measurement import Measurement
from check_ssh_exchange.report import Report

from .budget.reservation import Reservation
from .budget.server_state import ServerState, release
from .prober import Prober

# Seconds after a run: sshd and dropbear free a connection's slot a moment after our close (at most 0.3 s measured).
REST = 0.3
TOGETHER = 0.05  # seconds; those whose rest ends so soon after another's are unlocked together


class Resting(NamedTuple):
    """A run that is over, whose servers are locked until a moment of the loop's clock."""

    until: float
    reservation: Reservation
    states: list[ServerState]
    report: Report | None


class Runner:
    """Makes runs and owns the locks until each server has had its rest. To be used within one running loop."""

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self._loop = asyncio.get_running_loop()
        self._resting: deque[Resting] = deque()  # each for as long, so the first is over first
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, measurement: Measurement, states: list[ServerState], reservation: Reservation) -> Report:
        """Make the run of a resolved measurement in the time that is left; takes over the locks of `states`."""
        reservation.take()
        report: Report | None = None
        try:
            report = await self._prober.run(measurement, reservation.policy())
            return report
        finally:
            until = self._loop.time() + REST
            self._resting.append(Resting(until, reservation, states, report))
            if self._timer is None:
                self._timer = self._loop.call_at(until, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._loop.time()
        try:
            while self._resting and self._resting[0].until <= now:
                self._settle(self._resting.popleft())
        finally:
            if self._resting:
                self._timer = self._loop.call_at(max(self._resting[0].until, now + TOGETHER), self._wake)

    @staticmethod
    def _settle(over: Resting) -> None:
        try:
            over.reservation.settle(over.report)
        finally:
            release(over.states)

    def close(self) -> None:
        """Settle and unlock at once."""
        if self._timer is not None:
            self._timer.cancel()
        while self._resting:
            self._settle(self._resting.popleft())
