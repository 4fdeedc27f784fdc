"""One check from its options to its answer: remember, measure, diagnose, judge, say."""

import time

from ..diagnosis.diagnosis import Diagnosis, diagnose
from ..interrupt import ignore
from ..measure import measure
from ..report import Report
from ..text import printable
from ..verdict import judge
from .options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnosis.history import History
    from ..plugin.state_file import Memory


def check(options: Options) -> tuple[int, str]:
    """Return the exit code and the output."""
    report, diagnosis = _remembered(options) if options.state_file else _measured(options)
    verdict = judge(report, diagnosis, options.expected)
    if options.is_json:
        from .json_output import render

        return int(verdict.state), render(report, diagnosis, verdict)
    from .status_line import text

    return int(verdict.state), text(report, diagnosis, verdict, options.verbosity)


def _measured(options: Options) -> tuple[Report, Diagnosis]:
    report = measure(options.target, options.plan)
    ignore()
    return report, diagnose(report, options.max_startups)


def _remembered(options: Options) -> tuple[Report, Diagnosis]:
    """Measure with what earlier runs saw at hand, and remember this one."""
    from ..diagnosis import history as past
    from ..plugin.state_file import Memory, MemoryFault

    target = options.target
    plan = options.plan
    # Another family or source may fare otherwise with the same host.
    family = [plan.family] if plan.family != "any" else []
    whom = [f"{target.host}:{target.port}", *family, *plan.sources[:1]]
    memory = Memory(options.state_file or "", " ".join(whom))
    notes: list[str] = []
    history = past.History()
    try:
        history = memory.load()
    except MemoryFault as fault:
        notes.append(printable(str(fault)))
    now = time.time()
    if past.waits(history, now) and not options.plan.exempt:
        return _held_back(options, history, now)
    report, diagnosis = _measured(options)
    if report.fault is None:
        notes += past.changes(history, report)
        diagnosis = past.with_past(diagnosis, history, report, _clock)
        history, fault_note = _save(memory, report, diagnosis, history, options.window)
        notes += fault_note
        early, accepted = history.window(time.time(), options.window)
        report = report._replace(window=(early, accepted))
        if _is_outside(early, accepted, options.expected.warning.get("early_close_window")):
            diagnosis = past.with_window(diagnosis, history, report, _clock)
        if history.wait_until > now and not options.plan.exempt:
            notes.append(f"no further try before {_clock(history.wait_until)}, so that a penalty can run out")
    return report._replace(notes=(*report.notes, *dict.fromkeys(notes))), diagnosis


def _save(
    memory: "Memory", report: Report, diagnosis: Diagnosis, seen: "History", window: float
) -> tuple["History", list[str]]:
    from ..diagnosis.history import remember
    from ..plugin.state_file import MemoryFault

    now = time.time()
    try:
        return memory.update(lambda history: remember(history, report, diagnosis, now, window)), []
    except MemoryFault as fault:
        return remember(seen, report, diagnosis, now, window), [printable(str(fault))]


def _held_back(options: Options, history: "History", now: float) -> tuple[Report, Diagnosis]:
    """Return the answer of a run that was not made."""
    from ..diagnosis.cause import Cause, Confidence
    from ..diagnosis.remedies import remedies_for

    sentence = (
        f"a penalty against our address seemed to hold at {_clock(history.wait_until - history.wait)}, "
        f"no try before {_clock(history.wait_until)} so that it can run out"
    )
    target, plan = options.target, options.plan
    early, accepted = history.window(now, options.window)
    report = Report(
        host=target.host,
        port=target.port,
        depth=plan.depth,
        asked=plan.handshakes,
        window=(early, accepted),
        held_back=sentence,
    )
    lines = remedies_for(Cause.PENALTY, port=target.port, source=(*plan.sources, "OUR-ADDRESS")[0], address=target.host)
    return report, Diagnosis(Cause.PENALTY, Confidence.POSSIBLE, (sentence,), remedies=lines)


def _is_outside(early: int, accepted: int, spec: str | None) -> bool:
    from ..plugin.nagios import Range

    return spec is not None and accepted > 0 and not Range(spec).match(100 * early / accepted)


def _clock(when: float) -> str:
    """Return a time of day, with its date when that is not today's."""
    there, today = time.localtime(when), time.localtime()
    return time.strftime("%H:%M:%S" if there[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", there)
