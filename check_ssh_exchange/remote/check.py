"""One check from its options to its answer: remember, measure, evaluate, print."""

import time

from ..diagnosis.evaluate import Outcome, evaluate
from ..interrupt import ignore_signals
from ..measure import measure
from ..report import Family, Report
from .options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plugin.state_file import Document, StateFile


def check(options: Options) -> tuple[int, str]:
    """Return the exit code and the output."""
    outcome = _remembered(options) if options.state_file else evaluate(_measured(options), None, options.expectations)
    code = int(outcome.verdict.state)
    if options.is_json:
        from ..plugin.output import json_line
        from .json_output import document

        return code, json_line(document(outcome))
    from .status_line import text

    return code, text(outcome, options.expectations.thresholds, options.verbosity)


def _measured(options: Options) -> Report:
    return measure(options.target, options.plan, on_done=ignore_signals)


def _remembered(options: Options) -> Outcome:
    """Measure with what earlier runs saw at hand, and remember this one."""
    from ..diagnosis import history as past
    from ..plugin.state_file import StateFile, StateFileError
    from ..text import printable

    target, plan = options.target, options.plan
    # Another family or source may fare otherwise with the same host.
    family = [plan.family] if plan.family is not Family.ANY else []
    key = " ".join([f"{target.host}:{target.port}", *family, *plan.sources[:1]])
    file = StateFile(options.state_file or "", "check_ssh_exchange", key)
    notes: list[str] = []
    history = past.History()
    try:
        history = past.History.of_document(file.load())
    except StateFileError as error:
        notes.append(printable(str(error)))
    now = time.time()
    if past.waits(history, now) and not plan.exempt:
        report = Report(host=target.host, port=target.port, depth=plan.depth, asked=plan.handshakes, at=now)
        return evaluate(report, history, options.expectations, _clock)
    report = _measured(options)
    try:
        outcome = _remember(file, report, options) if report.fault is None else None
    except StateFileError as error:
        outcome = None
        notes.append(printable(str(error)))
    outcome = outcome or evaluate(report, history, options.expectations, _clock)
    return outcome._replace(notes=tuple(dict.fromkeys((*outcome.notes, *notes))))


def _remember(file: "StateFile", report: Report, options: Options) -> Outcome:
    """Evaluate with the history as it is now, another check may have changed it, and write the new one."""
    outcomes: list[Outcome] = []

    def change(document: "Document") -> "Document":
        from ..diagnosis.history import History

        outcomes.append(evaluate(report, History.of_document(document), options.expectations, _clock))
        return outcomes[0].history._asdict()

    file.update(change)
    return outcomes[0]


def _clock(when: float) -> str:
    """Return a time of day, with its date when that is not today's."""
    there, today = time.localtime(when), time.localtime()
    return time.strftime("%H:%M:%S" if there[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", there)
