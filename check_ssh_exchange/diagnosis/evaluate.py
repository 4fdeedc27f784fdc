"""The one way from a report to an answer: evaluate(report, history, expectations) -> Outcome. Pure."""

from ..plugin.states import Result, Verdict
from ..report import Report
from ..values import NamedTuple
from . import history as past
from .cause import Cause, Confidence
from .diagnosis import Diagnosis
from .explain import diagnose
from .figures import figures
from .history import History
from .verdict import DEFAULT_WINDOW, Expectations, judge, judge_held_back, shortfall_note, unexcused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plugin.perfdata import Figure
    from .history import Clock


class Outcome(NamedTuple):
    """All that a run says: what was measured, why, and how it is judged.

    `history` is what the next run should know. `window` counts early closes and accepted connections of the window,
    this run included; None without a history to count in. `notes` are sentences about this run beside the diagnosis:
    changes of the server, what was not done.
    """

    report: Report
    diagnosis: Diagnosis
    verdict: Verdict
    history: History = History()
    window: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    @property
    def figures(self) -> "list[Figure]":
        """Return the figures under their public labels, in their order."""
        startups = self.diagnosis.startups
        return figures(self.report, startups.likeliest if startups else None, self.window)


def evaluate(
    report: Report, history: History | None, expectations: Expectations, clock: "Clock | None" = None
) -> Outcome:
    """Return what a run says, with what earlier runs saw at hand.

    `history` is None where nothing is remembered between runs: then nothing is compared and no window is counted.
    `clock` writes a moment (seconds since the epoch) as evidence names it, by default as that number.
    """
    say = clock or epoch
    # A run that was begun may have no handshake either: its time was up before the first one ended.
    is_unbegun = not report.handshakes and report.fault is None and not report.shortfalls
    if is_unbegun and history is not None and past.waits(history, report.at):
        return _held_back(report, history, expectations, say)
    cut = history.cut if history is not None else None
    diagnosis = diagnose(report, expectations.max_startups, expectations.slow_after, cut)
    notes = [shortfall_note(shortfall, report) for shortfall in report.shortfalls]
    if report.pause:
        notes.append(f"paced: {report.pause:g} s between handshakes")
    window = None
    if history is not None and report.fault is None:
        notes += past.changes(history, report)
        diagnosis = past.with_past(diagnosis, history, report, say)
        history = past.remember(history, report, diagnosis, report.at, expectations.window or 0.0)
        if report.host_keys:
            from .host_keys import remembered

            history = remembered(history, report, report.at, expectations.window or DEFAULT_WINDOW)
        if expectations.window is not None:
            window = history.window(report.at, expectations.window)
            if expectations.is_window_outside(window):
                closes = unexcused(history.closes(report.at, expectations.window), expectations)
                diagnosis = past.with_window(diagnosis, report, window, closes, say)
        if history.wait_until > report.at and not expectations.exempt:
            notes.append(f"no further try before {say(history.wait_until)}, so that a penalty can run out")
    history = history or History()
    results = []
    if report.host_keys:
        from .host_keys import objections, with_host_keys

        found = objections(report, expectations, history, say)
        diagnosis = with_host_keys(diagnosis, found, report)
        results = [Result(one.state, one.sentence) for one in found]
    verdict = judge(report, diagnosis, expectations, window, history, results)
    return Outcome(report, diagnosis, verdict, history, window, notes=tuple(dict.fromkeys(notes)))


def _held_back(report: Report, history: History, expectations: Expectations, say: "Clock") -> Outcome:
    """Return the outcome of a run that was not begun, because a penalty may still hold."""
    from .remedies import remedies_for

    sentence = (
        f"a penalty against our address seemed to hold at {say(history.wait_until - history.wait)}, "
        f"no try before {say(history.wait_until)} so that it can run out"
    )
    diagnosis = Diagnosis(Cause.PENALTY, Confidence.POSSIBLE, (sentence,), remedies=remedies_for(Cause.PENALTY, report))
    window = history.window(report.at, expectations.window or 0.0)
    verdict = judge_held_back(report, sentence, expectations, window, history)
    return Outcome(report, diagnosis, verdict, history, window)


def epoch(when: float) -> str:
    """Return a moment as seconds since the epoch."""
    return f"{when:.0f} s since the epoch"
