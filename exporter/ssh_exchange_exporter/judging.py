"""From a report to a result, with what earlier probes of the same target and module saw at hand."""

import itertools
import time

from check_ssh_exchange.diagnosis.evaluate import evaluate
from check_ssh_exchange.remote.status_line import line
from check_ssh_exchange.report import Report

from .question import Question
from .recall import Recall, clock
from .result import Result


class Judge:
    """Makes results of reports, numbered from 1."""

    def __init__(self, recall: Recall) -> None:
        self._recall = recall
        self._numbers = itertools.count(1)

    def judge(self, question: Question, report: Report, at: float, took: float) -> Result:
        """Return the result of a probe that began at `at` (seconds since the epoch) and took this many seconds."""
        subject = question.subject
        outcome = evaluate(report, self._recall.past(subject), question.module.expectations(), clock)
        if report.fault is None:
            self._recall.remember(subject, outcome.history)
        return Result(
            number=next(self._numbers),
            target=question.text,
            module=question.module_name,
            is_background=question.is_background,
            at=at,
            took=took,
            outcome=outcome,
            summary=line(outcome),
            ended=time.monotonic(),
        )
