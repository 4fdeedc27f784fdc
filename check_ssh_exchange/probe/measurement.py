"""One target measured once: resolve, run, report. Its owner waits in between, blocking or in an asyncio program."""

import time

from ..plan import Plan, Policy, Target
from ..report import Fault, FaultKind, Report
from .connection import Address, Connection
from .engine import Engine
from .errors import NameUnresolved, ProbeError
from .resolve import SHARE, resolve
from .run import Connect, Run


class Measurement:
    """A plan carried out against a target, and what is known of it at any time. Raises ValueError for a bad plan."""

    def __init__(self, target: Target, plan: Plan) -> None:
        self.target = target
        self.plan = plan.checked()
        self.run: Run | None = None
        self._addresses: list[Address] = []
        self._begun = time.monotonic()
        self._resolved_in: float | None = None

    @property
    def seconds_left(self) -> float:
        """Return how many seconds of the plan's timeout are left."""
        return self.plan.timeout - (time.monotonic() - self._begun)

    def resolve(self) -> list[Address]:
        """Return the target's addresses (blocking).

        Raises ProbeError, and NameUnresolved too where the resolver left too little time to say anything of the server.
        """
        target, plan = self.target, self.plan
        addresses = resolve(target.host, target.port, plan.family, plan.timeout)
        took = time.monotonic() - self._begun
        if took > SHARE * plan.timeout:
            raise NameUnresolved(f"the resolver took {took:.2f} of {plan.timeout:.3g} s for {target.host}")
        self._addresses, self._resolved_in = addresses, took
        return addresses

    def make_run(self, engine: Engine, policy: Policy, connect: Connect = Connection) -> Run:
        """Return the run, to be started by the owner; `resolve` comes before it."""
        self.run = Run(engine, self.target, self.plan, self._addresses, policy, connect, self._resolved_in)
        return self.run

    def report(self) -> Report:
        """Return what is known so far."""
        if self.run is not None:
            return self.run.report()
        return Report(
            host=self.target.host,
            port=self.target.port,
            depth=self.plan.depth,
            asked=self.plan.handshakes,
            address=self._addresses[0].text if self._addresses else None,
            resolve=self._resolved_in,
            at=time.time(),
        )

    def failed(self, error: ProbeError) -> Report:
        """Return what is known, with an error as the reason why it is not more."""
        return self.report()._replace(fault=error.fault)

    def interrupted(self, signal: str) -> Report:
        """Return what is known when a signal ends the measurement; a run that was finished lost nothing by it."""
        run = self.run
        if run is not None and run.is_finished:
            return run.report()
        known, after = self.report(), "before the first handshake"
        if run is not None:
            still = f", {run.open} still open" if run.open else ""
            after = f"after {len(known.handshakes)} of {known.asked} handshakes{still}"
        return known._replace(fault=Fault(FaultKind.INTERRUPTED, f"interrupted by {signal} {after}"))
