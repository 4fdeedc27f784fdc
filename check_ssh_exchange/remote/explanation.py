"""The page of --explain: what happened, the drawing of the handshakes, why, and what to do, for a person."""

import time
from collections.abc import Iterable, Iterator

from ..diagnosis.cause import Cause
from ..diagnosis.evaluate import Outcome
from ..diagnosis.figures import UNITS
from ..diagnosis.host_keys import certificate_words
from ..diagnosis.remedies import Where
from ..plugin import page as kit
from ..plugin.nagios import Ok
from ..plugin.page import BULLET, INDENT, PIPED, TITLE, Paragraph, Screen, fact, headline, items, section
from ..plugin.perfdata import violation
from ..plugin.thresholds import Thresholds
from ..text import join
from .axis import duration
from .bars import ASCII, UNICODE, Marks, drawing
from .clock import clock
from .status_line import PREFIX, summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnosis.remedies import Remedy

PLACES = {
    Where.SERVER: "On the server",
    Where.MONITOR: "On the monitor (this machine)",
    Where.FRONTEND: "On the frontend (a load balancer, or whatever else answers before the SSH server)",
    Where.DEVICE: "On the device",
}


def demand_rich() -> None:
    """Raise the answer of a plugin that cannot make the page, where rich is missing."""
    kit.demand_rich(PREFIX)


def page(outcome: Outcome, thresholds: Thresholds) -> str:
    """Return the page for standard output as it is. Raises Message where rich is missing."""
    width, has_colours, is_ascii = kit.screen()
    return explanation(outcome, thresholds, width=width, has_colours=has_colours, is_ascii=is_ascii)


def explanation(
    outcome: Outcome, thresholds: Thresholds, *, width: int = PIPED, has_colours: bool = False, is_ascii: bool = False
) -> str:
    """Return the page; without colours it has no escape sequence. Raises Message where rich is missing."""
    demand_rich()
    width = min(max(width, kit.NARROWEST), kit.WIDEST)
    marks = ASCII if is_ascii else UNICODE
    paragraphs = _paragraphs(outcome, thresholds, width, marks)
    return kit.rendered(paragraphs, Screen(width, has_colours, is_ascii), marks)


def _paragraphs(outcome: Outcome, thresholds: Thresholds, width: int, marks: Marks) -> Iterator[Paragraph]:
    """Yield the page in the order in which it is needed at night: what happened, why, what to do."""
    words = summary(outcome._replace(notes=()))  # they come later, each on its own
    drawn = [Paragraph(line, "", "", is_whole=True) for line in drawing(outcome.report, width, marks)]
    yield headline(PREFIX, outcome.verdict.state, words)
    yield from section("", _facts(outcome))
    yield from section("Handshakes, each from its SYN to its end", drawn)
    yield from _why(outcome, words)
    yield from section("It could also be", items(outcome.diagnosis.alternatives, words))
    yield from section("What to do", _remedies(outcome.diagnosis.remedies, width))
    yield from section("Notes", items(_notes(outcome), "\n".join((words, *outcome.diagnosis.evidence))))
    yield from section("Figures outside their ranges", _figures(outcome, thresholds))
    yield from section("More about this cause", _runbook(outcome))


def _facts(outcome: Outcome) -> Iterator[Paragraph]:
    """Yield whom we asked, who answered, from where and when."""
    report = outcome.report
    addresses = [one.address for one in report.handshakes] or [report.address or ""]
    names = [address for address in dict.fromkeys(addresses) if address not in ("", report.host)]
    yield fact("target", f"{report.host} port {report.port}{', ' if names else ''}{join(names) if names else ''}")
    if report.server:
        yield fact("server", report.server.identification)
    for key in report.host_keys:
        found = key.certificate
        words = f", {certificate_words(found, clock)}" if found else ""
        yield fact("key", f"{key.plain_type} {key.fingerprint}{words}")
    sources = list(dict.fromkeys(one.source for one in report.handshakes if one.source))
    if sources:
        yield fact("source", join(sources))
    if report.at:
        took = f", took {duration(report.took)}" if report.took else ""
        yield fact("time", time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(report.at)) + took)


def _has_cause(outcome: Outcome) -> bool:
    """Return whether a cause is known: where we could not measure, the fault is the whole explanation."""
    cause = outcome.diagnosis.cause
    return cause is not Cause.HEALTHY and (outcome.report.fault is None or cause is not Cause.UNEXPLAINED)


def _why(outcome: Outcome, said: str) -> Iterator[Paragraph]:
    """Yield the cause, how sure it is, and what speaks for it."""
    diagnosis = outcome.diagnosis
    evidence = diagnosis.evidence
    if diagnosis.cause is Cause.HEALTHY and outcome.report.fault is None:
        evidence = evidence[1:]  # the headline counts them too
    found = list(items(evidence, said))
    if not _has_cause(outcome):
        yield from section("Evidence", found)
        return
    yield Paragraph([], "")
    yield Paragraph(
        [("Cause", TITLE), (f": {diagnosis.cause.phrase} ({diagnosis.cause}, {diagnosis.confidence})", "")], ""
    )
    yield from found


def _remedies(remedies: "Iterable[Remedy]", width: int) -> Iterator[Paragraph]:
    """Yield the remedies by the place to use them at."""
    by_place: dict[Where, list[str]] = {}
    for remedy in remedies:
        by_place.setdefault(remedy.where, []).append(remedy.command)
    for where, texts in by_place.items():
        yield Paragraph([(f"{PLACES[where]}:", "")])
        for text in texts:
            yield from kit.remedy(text, width)


def _notes(outcome: Outcome) -> Iterator[str]:
    yield from outcome.notes
    if outcome.window is not None and outcome.window[1]:
        early, accepted = outcome.window
        yield f"{early} of {accepted} connections of the window ended early"


def _figures(outcome: Outcome, thresholds: Thresholds) -> Iterator[Paragraph]:
    for figure in outcome.figures:
        state = thresholds.state(figure.label, figure.value)
        if state is not Ok:
            words = violation(figure, UNITS[figure.label], thresholds, state)
            yield Paragraph([(f"{state}: {words}", "")], INDENT + BULLET, INDENT + " " * len(BULLET))


def _runbook(outcome: Outcome) -> Iterator[Paragraph]:
    if _has_cause(outcome):
        yield Paragraph([(f"check_ssh_exchange --runbook {outcome.diagnosis.cause}", TITLE)], is_whole=True)
