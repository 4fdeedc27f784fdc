"""Measure one target and return when it is done; asyncio programs drive probe/measurement.py themselves."""

from collections.abc import Callable

from .diagnosis import budget
from .ending import Depth
from .interrupt import Interrupted
from .plan import Plan, Target
from .probe.engine import Engine
from .probe.errors import ProbeError
from .probe.measurement import Measurement
from .report import Report

__all__ = ["Plan", "Target", "measure"]


def measure(target: Target, plan: Plan, on_done: Callable[[], None] = lambda: None) -> Report:
    """Carry out a plan against a target and return what was measured.

    Raises ValueError for a plan that cannot be carried out, and nothing for what the server, the network or this
    machine did: the report says it. What kept us from measuring is its `fault`. An Interrupted that a signal handler
    raises ends the run with what is known. `on_done` is called when the report is whole, with Interrupted still caught.
    """
    measurement = Measurement(target, plan)
    try:
        report = _carried_out(measurement)
        on_done()
    except Interrupted as signal:
        return measurement.interrupted(str(signal))
    return report


def _carried_out(measurement: Measurement) -> Report:
    try:
        measurement.resolve()
        engine = Engine()
    except ProbeError as error:
        return measurement.failed(error)
    plan = measurement.plan
    try:
        if plan.depth in (Depth.KEX, Depth.LOGIN):
            from .probe.login import drive

            drive(engine, measurement, budget.policy(plan))
        else:
            run = measurement.make_run(engine, budget.policy(plan))
            run.start(measurement.seconds_left)
            while not run.is_done:
                engine.step()
            engine.linger(measurement.seconds_left)
        return measurement.report()
    except ProbeError as error:
        return measurement.failed(error)
    finally:
        if measurement.run is not None:
            measurement.run.stop()
        engine.shutdown()
