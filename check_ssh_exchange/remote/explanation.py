"""The page of --explain: what happened, the drawing of the handshakes, why, and what to do, for a person at a terminal.

rich breaks lines and writes colours. It is imported only here, and only when a page is made.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from io import StringIO

from ..diagnosis.cause import Cause
from ..diagnosis.evaluate import Outcome
from ..diagnosis.figures import UNITS
from ..diagnosis.remedies import Where
from ..plugin.arguments import Message
from ..plugin.nagios import Critical, Ok, Unknown, Warn
from ..plugin.perfdata import violation
from ..plugin.process import unknown
from ..plugin.thresholds import Thresholds
from ..text import join
from ..values import NamedTuple
from .axis import duration
from .bars import ASCII, INDENT, UNICODE, Line, Marks, drawing
from .status_line import PREFIX, summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..diagnosis.remedies import Remedy
    from ..plugin.nagios import State

MISSING = "--explain needs the Python module {}: pip install 'check_ssh_exchange[explain]'"
# Narrower, no bar has room; wider, the eye loses the line.
NARROWEST, WIDEST = 40, 120
PIPED = 80  # columns where no terminal and no COLUMNS says how many
COLOURLESS = ("", "dumb", "unknown")  # values of TERM
BULLET = "- "
TITLE = "bold"
BADGES = {Ok: "black on green", Warn: "black on yellow", Critical: "bold white on red", Unknown: "white on magenta"}
PLACES = {
    Where.SERVER: "On the server",
    Where.MONITOR: "On the monitor (this machine)",
    Where.FRONTEND: "On the frontend (a load balancer, or whatever else answers before the SSH server)",
    Where.DEVICE: "On the device",
}
# What only a sentence has, and no command.
_OF_SENTENCES = re.compile(r"(?:^|\s)(?:the|an?|and|or|is|its|than|raise)(?=[\s,])|\w's\b")
COMMENT = "   # "


class Paragraph(NamedTuple):
    """Text that is broken into lines; `first` and `rest` stand before them. A whole one is never broken."""

    pieces: Line
    first: str = INDENT
    rest: str = INDENT
    is_whole: bool = False


def demand_rich() -> None:
    """Raise the answer of a plugin that cannot make the page, where rich is missing."""
    try:
        import rich.console
        import rich.text  # noqa: F401
    except ModuleNotFoundError as error:
        code, text = unknown(PREFIX, MISSING.format(error.name))
        raise Message(text, code) from None


def page(outcome: Outcome, thresholds: Thresholds) -> str:
    """Return the page for standard output as it is: its width, whether it shows colours, what it can encode.

    Raises Message where rich is missing.
    """
    out = sys.stdout  # None where it was closed
    is_plain = out is None or not out.isatty() or bool(os.environ.get("NO_COLOR"))
    return explanation(
        outcome,
        thresholds,
        width=shutil.get_terminal_size((PIPED, 24)).columns,
        has_colours=not is_plain and os.environ.get("TERM", "") not in COLOURLESS,
        is_ascii=out is None or out.encoding.lower().replace("-", "") != "utf8",
    )


def explanation(
    outcome: Outcome, thresholds: Thresholds, *, width: int = PIPED, has_colours: bool = False, is_ascii: bool = False
) -> str:
    """Return the page; without colours it has no escape sequence. Raises Message where rich is missing."""
    demand_rich()
    from rich.console import Console
    from rich.text import Text

    width = min(max(width, NARROWEST), WIDEST)
    marks = ASCII if is_ascii else UNICODE
    characters = frozenset(map(chr, range(0x20, 0x7F))).union(*marks)
    made = StringIO()
    console = Console(
        file=made, width=width, force_terminal=has_colours, color_system="standard" if has_colours else None,
        no_color=False, markup=False, highlight=False, emoji=False, legacy_windows=False,
    )  # fmt: skip
    for paragraph in _paragraphs(outcome, thresholds, width, marks):
        text = Text.assemble(*((_safe(words, characters), style) for words, style in paragraph.pieces))
        lines = [text] if paragraph.is_whole else text.wrap(console, width - len(paragraph.rest))
        for number, line in enumerate(lines):
            line.rstrip()
            console.print(Text(paragraph.rest if number else paragraph.first) + line, soft_wrap=True)
    return made.getvalue()


def _safe(text: str, characters: frozenset[str]) -> str:
    """Return a text of these characters only: nothing that a server sent reaches the terminal as it is."""
    return "".join(one if one in characters else f"\\x{ord(one):02x}" for one in text)


def _paragraphs(outcome: Outcome, thresholds: Thresholds, width: int, marks: Marks) -> Iterator[Paragraph]:
    """Yield the page in the order in which it is needed at night: what happened, why, what to do."""
    headline = summary(outcome._replace(notes=()))  # they come later, each on its own
    drawn = [Paragraph(line, "", "", is_whole=True) for line in drawing(outcome.report, width, marks)]
    yield _headline(outcome.verdict.state, headline)
    yield from _section("", _facts(outcome))
    yield from _section("Handshakes, each from its SYN to its end", drawn)
    yield from _why(outcome, headline)
    yield from _section("It could also be", _items(outcome.diagnosis.alternatives, headline))
    yield from _section("What to do", _remedies(outcome.diagnosis.remedies, width))
    yield from _section("Notes", _items(_notes(outcome), "\n".join((headline, *outcome.diagnosis.evidence))))
    yield from _section("Figures outside their ranges", _figures(outcome, thresholds))
    yield from _section("More about this cause", _runbook(outcome))


def _section(title: str, paragraphs: Iterable[Paragraph]) -> Iterator[Paragraph]:
    """Yield a blank line, the title and the paragraphs; nothing without paragraphs."""
    paragraphs = list(paragraphs)
    if paragraphs:
        yield Paragraph([], "")
        if title:
            yield Paragraph([(title, TITLE)], "")
        yield from paragraphs


def _headline(state: "State", words: str) -> Paragraph:
    return Paragraph([(f"{PREFIX} {str(state).upper()}", BADGES[state]), (f" - {words}", TITLE)], "")


def _facts(outcome: Outcome) -> Iterator[Paragraph]:
    """Yield whom we asked, who answered, from where and when."""
    report = outcome.report
    addresses = [one.address for one in report.handshakes] or [report.address or ""]
    names = [address for address in dict.fromkeys(addresses) if address not in ("", report.host)]
    yield _fact("target", f"{report.host} port {report.port}{', ' if names else ''}{join(names) if names else ''}")
    if report.server:
        yield _fact("server", report.server.identification)
    for key in report.host_keys:
        yield _fact("key", f"{key.type} {key.fingerprint}")
    sources = list(dict.fromkeys(one.source for one in report.handshakes if one.source))
    if sources:
        yield _fact("source", join(sources))
    if report.at:
        took = f", took {duration(report.took)}" if report.took else ""
        yield _fact("time", time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(report.at)) + took)


def _fact(name: str, words: str) -> Paragraph:
    return Paragraph([(words, "")], f"{INDENT}{name:<8}", f"{INDENT}{'':8}")


def _items(sentences: Iterable[str], headline: str) -> Iterator[Paragraph]:
    """Yield the sentences as a list, without those that the headline has said."""
    for sentence in sentences:
        if sentence not in headline:
            yield Paragraph([(sentence, "")], INDENT + BULLET, INDENT + " " * len(BULLET))


def _has_cause(outcome: Outcome) -> bool:
    """Return whether a cause is known: where we could not measure, the fault is the whole explanation."""
    cause = outcome.diagnosis.cause
    return cause is not Cause.HEALTHY and (outcome.report.fault is None or cause is not Cause.UNEXPLAINED)


def _why(outcome: Outcome, headline: str) -> Iterator[Paragraph]:
    """Yield the cause, how sure it is, and what speaks for it."""
    diagnosis = outcome.diagnosis
    evidence = diagnosis.evidence
    if diagnosis.cause is Cause.HEALTHY and outcome.report.fault is None:
        evidence = evidence[1:]  # the headline counts them too
    found = list(_items(evidence, headline))
    if not _has_cause(outcome):
        yield from _section("Evidence", found)
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
            yield from _remedy(text, width)


def _remedy(text: str, width: int) -> Iterator[Paragraph]:
    """Yield a sentence, or a command as it can be copied: a long one goes on after a semicolon and nowhere else."""
    margin, more = INDENT * 2, INDENT * 3
    command, mark, comment = text.partition(COMMENT)
    if not mark and _OF_SENTENCES.search(text):
        yield Paragraph([(text, "")], margin, more)
        return
    if len(margin + text) <= width:
        yield Paragraph([(command, TITLE), (mark + comment, "")], margin, is_whole=True)
        return
    is_long = len(margin + command) > width
    for part in command.replace("; ", ";\n").split("\n") if is_long else [command]:
        yield Paragraph([(part, TITLE)], margin, is_whole=True)
    if comment:
        yield Paragraph([(comment, "")], f"{more}# ", f"{more}# ")


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
