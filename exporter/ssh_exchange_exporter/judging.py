"""From a report to a result, with what earlier probes of the same target and module saw at hand."""

import time

from check_ssh_exchange.diagnosis.evaluate import evaluate
from check_ssh_exchange.remote.status_line import line
from check_ssh_exchange.report import Report

from .last_results import LastResults
from .probe_request import ProbeRequest
from .result import Result
from .text import moment


class Judge:
    """Makes results of reports."""

    def __init__(self, last_results: LastResults) -> None:
        self._last_results = last_results

    def judge(self, request: ProbeRequest, report: Report, at: float, took: float) -> Result:
        """Return the result of a probe that began at `at` (seconds since the epoch) and took this many seconds.

        Its number is 0 until the broker records it.
        """
        key = request.result_key
        outcome = evaluate(report, self._last_results.past(key), request.module.expectations(), moment)
        if report.fault is None:
            self._last_results.remember(key, outcome.history)
        return Result(
            number=0,
            target=request.text,
            module=request.module_name,
            is_background=request.is_background,
            at=at,
            took=took,
            outcome=outcome,
            summary=line(outcome),
            ended=time.monotonic(),
        )
