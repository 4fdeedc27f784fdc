"""One attempt to answer a request by a probe: its measurement and its clock."""

import time

from check_ssh_exchange.probe.measurement import Measurement

from .probe_request import ProbeRequest


class Attempt:
    """Begins with its construction and has `seconds`; `at` is that moment in seconds since the epoch."""

    __slots__ = ("_begun", "at", "measurement", "request")

    def __init__(self, request: ProbeRequest, seconds: float) -> None:
        self.request = request
        self.measurement = Measurement(request.target, request.module.plan(seconds, trace=request.trace))
        self.at = time.time()
        self._begun = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._begun
