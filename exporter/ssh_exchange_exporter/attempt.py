"""One attempt to answer a request by a probe: its plan and its clock."""

import time

from check_ssh_exchange.report import Report

from .probe_request import ProbeRequest


class Attempt:
    """Begins with its construction and has `seconds`; `at` is that moment in seconds since the epoch."""

    __slots__ = ("_begun", "at", "plan", "request", "resolved_in", "seconds")

    def __init__(self, request: ProbeRequest, seconds: float) -> None:
        self.request = request
        self.seconds = seconds
        self.plan = request.module.plan(seconds, trace=request.trace)
        self.at = time.time()
        self.resolved_in = 0.0  # seconds
        self._begun = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._begun

    @property
    def left(self) -> float:
        """Return the seconds until the deadline, below zero after it."""
        return self.seconds - self.elapsed

    def failed(self, fault: str, cause: str | None = None) -> Report:
        """Return the report of an attempt without a handshake; `cause` is that of the diagnosis, where one is known."""
        target, plan = self.request.target, self.plan
        return Report(target.host, target.port, plan.depth, plan.handshakes, fault=fault, fault_cause=cause)
