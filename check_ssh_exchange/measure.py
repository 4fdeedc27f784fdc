"""The one door to a measurement: measure(target, plan) -> Report."""

import time

from .diagnosis import budget
from .ending import Depth
from .interrupt import Interrupted
from .probe.engine import Engine
from .probe.fault import NameUnresolved, ProbeError
from .probe.plan import Plan, Target
from .probe.resolve import resolve
from .probe.run import Run
from .report import Report, Server

__all__ = ["Plan", "Target", "measure"]


class Prudence:
    """The budget that a server's software allows, and the recheck that a burst calls for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def refusal(self, server: Server | None) -> str | None:
        """Return why the plan is more than this server tolerates."""
        plan = self._plan
        return budget.refusal(server, plan.depth, plan.handshakes, plan.at_once, is_exempt=plan.exempt)

    def wants_recheck(self, report: Report) -> bool:
        """Return whether early closes came beside served handshakes, and the budget has one handshake left."""
        most = budget.limit(report.server, report.depth, is_exempt=self._plan.exempt)
        return 0 < report.early_closes and report.completed > 0 and (most is None or len(report.handshakes) < most)


def measure(target: Target, plan: Plan) -> Report:
    """Carry out a plan against a target and return what was measured.

    Never raises for what the server, the network or this machine did: a report says it. What kept us from measuring is
    in its `fault`; an Interrupted that a signal handler raises ends the run with what is known.
    """
    begun = time.monotonic()
    report = Report(host=target.host, port=target.port, depth=Depth(plan.depth), asked=plan.handshakes)
    try:
        addresses = resolve(target.host, target.port, plan.family, plan.timeout)
        took = time.monotonic() - begun
        report = report._replace(resolve=took, address=addresses[0].text)
        engine = Engine()
    except NameUnresolved as fault:
        return report._replace(fault=str(fault), fault_cause="name_resolution", took=time.monotonic() - begun)
    except ProbeError as fault:
        return report._replace(fault=str(fault), took=time.monotonic() - begun)
    except Interrupted as signal:
        return report._replace(fault=f"interrupted by {signal} before the first handshake")
    run = Run(engine, target, plan, addresses, Prudence(plan), resolved_in=took)
    try:
        run.start(plan.timeout - took)
        while not run.is_done:
            engine.step()
        return run.report()
    except Interrupted as signal:
        known = run.report()
        return known._replace(fault=f"interrupted by {signal} after {len(known.handshakes)} of {known.asked} handshakes")
    finally:
        run.stop()
        engine.shutdown()
