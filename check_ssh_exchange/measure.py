"""The one door to a measurement: measure(target, plan) -> Report."""

import time

from .diagnosis import budget
from .diagnosis.followup import followups
from .ending import Depth
from .interrupt import Interrupted
from .plan import Plan, Target
from .probe.connection import Address, Connection
from .probe.engine import Engine
from .probe.fault import NameUnresolved, ProbeError
from .probe.policy import Policy
from .probe.resolve import resolve
from .probe.run import Connect, Run
from .report import Followup, Report, Server

# Of the timeout; a resolver that needs more leaves too little to say anything about the server.
RESOLVER_SHARE = 0.8

__all__ = ["Plan", "Target", "measure"]


def policy(plan: Plan) -> Policy:
    """Return what a plan may do: the budget that a server's software allows, and the tests that a burst calls for."""

    def refusal(server: Server | None, addresses: int) -> str | None:
        handshakes = plan.handshakes * addresses
        return budget.refusal(server, plan.depth, handshakes, plan.at_once, is_exempt=plan.exempt)

    def wanted(report: Report) -> tuple[Followup, ...]:
        return followups(
            report,
            has_witness=len(plan.sources) > 1,
            has_control=plan.control_port is not None,
            is_exempt=plan.exempt,
        )

    return Policy(refusal, wanted)


def _addresses(target: Target, plan: Plan) -> list[Address]:
    begun = time.monotonic()
    addresses = resolve(target.host, target.port, plan.family, plan.timeout)
    took = time.monotonic() - begun
    if took > RESOLVER_SHARE * plan.timeout:
        raise NameUnresolved(f"the resolver took {took:.2f} of {plan.timeout:.3g} s for {target.host}")
    return addresses


def measure(target: Target, plan: Plan) -> Report:
    """Carry out a plan against a target and return what was measured.

    Never raises for what the server, the network or this machine did: a report says it. What kept us from measuring is
    in its `fault`; an Interrupted that a signal handler raises ends the run with what is known.
    """
    begun = time.monotonic()
    report = Report(host=target.host, port=target.port, depth=Depth(plan.depth), asked=plan.handshakes)
    try:
        addresses = _addresses(target, plan)
        took = time.monotonic() - begun
        report = report._replace(resolve=took, address=addresses[0].text)
        engine = Engine()
    except NameUnresolved as fault:
        return report._replace(fault=str(fault), fault_cause="name_resolution", took=time.monotonic() - begun)
    except ProbeError as fault:
        return report._replace(fault=str(fault), took=time.monotonic() - begun)
    except Interrupted as signal:
        return report._replace(fault=f"interrupted by {signal} before the first handshake")
    runs: list[Run] = []

    def make_run(connect: Connect = Connection) -> Run:
        runs.append(Run(engine, target, plan, addresses, policy(plan), connect, took))
        return runs[0]

    try:
        seconds = plan.timeout - took
        if plan.depth in (Depth.KEX, Depth.LOGIN):
            from .probe.login import drive

            drive(engine, target, plan, make_run, seconds)
        else:
            make_run().start(seconds)
            while not runs[0].is_done:
                engine.step()
        return runs[0].report()
    except ProbeError as fault:
        return report._replace(fault=str(fault), took=time.monotonic() - begun)
    except Interrupted as signal:
        known = runs[0].report() if runs else report
        done = f"{len(known.handshakes)} of {known.asked} handshakes"
        still = f", {runs[0].open} still open" if runs and runs[0].open else ""
        return known._replace(fault=f"interrupted by {signal} after {done}{still}")
    finally:
        for run in runs:
            run.stop()
        engine.shutdown()
