"""From a report to a result: diagnosis, memory, verdict, status line. The plugin's own judgement, module by module."""

import time

from check_ssh_exchange.diagnosis.diagnosis import diagnose
from check_ssh_exchange.diagnosis.history import changes, remember, with_past
from check_ssh_exchange.remote.status_line import summary
from check_ssh_exchange.report import Report
from check_ssh_exchange.verdict import judge

from .last_results import LastResults
from .moment import moment
from .probe_request import ProbeRequest
from .result import Result

WINDOW = 0.0  # seconds of runs to list one by one; a diagnosis needs when it was served last, and Prometheus counts


class Judge:
    """Judges reports, with what earlier ones of the same target and module said at hand."""

    def __init__(self, last_results: LastResults) -> None:
        self._last_results = last_results

    def judge(self, request: ProbeRequest, report: Report, at: float, took: float) -> Result:
        """Return the result of a probe that began at `at` (seconds since the epoch) and took so many seconds."""
        module = request.module
        diagnosis = diagnose(report, None, module.slow_after)
        if report.fault is None:
            past = self._last_results.past(request.result_key)
            notes = (*report.notes, *changes(past, report))
            diagnosis = with_past(diagnosis, past, report, moment)
            self._last_results.remember(request.result_key, remember(past, report, diagnosis, at, WINDOW))
            report = report._replace(notes=notes)
        verdict = judge(report, diagnosis, module.expectations(), has_perfdata=request.trace)
        line = f"SSH {str(verdict.state).upper()} - {summary(report, diagnosis, verdict)}"
        return Result(
            number=0,
            target=request.text,
            module=request.module_name,
            is_background=request.is_background,
            at=at,
            took=took,
            report=report,
            diagnosis=diagnosis,
            verdict=verdict,
            summary=line,
            ended=time.monotonic(),
        )
