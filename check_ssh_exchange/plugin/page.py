"""A page for a person at a terminal: paragraphs of styled pieces, broken into lines and coloured by rich.

rich is imported only here, and only when a page is made.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from io import StringIO

from ..text import to_install
from ..values import NamedTuple
from .arguments import Message
from .nagios import Critical, Ok, State, Unknown, Warn
from .process import unknown

Piece = tuple[str, str]  # a text and its style
Line = list[Piece]

# Narrower, no drawing has room; wider, the eye loses the line.
NARROWEST, WIDEST = 40, 120
PIPED = 80  # columns where no terminal and no COLUMNS says how many
COLOURLESS = ("", "dumb", "unknown")  # values of TERM
INDENT = "  "
BULLET = "- "
TITLE = "bold"
BADGES = {Ok: "black on green", Warn: "black on yellow", Critical: "bold white on red", Unknown: "white on magenta"}
# What only a sentence has, and no command.
_OF_SENTENCES = re.compile(r"(?:^|\s)(?:the|an?|and|or|is|its|than|raise)(?=[\s,])|\w's\b")
COMMENT = "   # "


class Paragraph(NamedTuple):
    """Text that is broken into lines; `first` and `rest` stand before them. A whole one is never broken."""

    pieces: Line
    first: str = INDENT
    rest: str = INDENT
    is_whole: bool = False


class Screen(NamedTuple):
    """What the output can show: its width in columns, colours, more than ASCII."""

    width: int = PIPED
    has_colours: bool = False
    is_ascii: bool = False


def demand_rich(prefix: str) -> None:
    """Raise the answer of a plugin that cannot make the page, where rich is missing."""
    try:
        import rich.console
        import rich.text  # noqa: F401
    except ModuleNotFoundError as error:
        module = error.name or "rich"
        code, text = unknown(prefix, f"--explain needs the Python module {module}: {to_install(module)}")
        raise Message(text, code) from None


def screen() -> Screen:
    """Return what standard output can show."""
    out = sys.stdout  # None where it was closed
    is_plain = out is None or not out.isatty() or bool(os.environ.get("NO_COLOR"))
    return Screen(
        width=min(max(shutil.get_terminal_size((PIPED, 24)).columns, NARROWEST), WIDEST),
        has_colours=not is_plain and os.environ.get("TERM", "") not in COLOURLESS,
        is_ascii=out is None or out.encoding.lower().replace("-", "") != "utf8",
    )


def rendered(paragraphs: Iterable[Paragraph], screen: Screen, marks: Iterable[str] = ()) -> str:
    """Return the page; without colours it has no escape sequence. `marks` are what it may have beyond ASCII."""
    from rich.console import Console
    from rich.text import Text

    characters = frozenset(map(chr, range(0x20, 0x7F))).union(*marks)
    made = StringIO()
    console = Console(
        file=made, width=screen.width, force_terminal=screen.has_colours,
        color_system="standard" if screen.has_colours else None,
        no_color=False, markup=False, highlight=False, emoji=False, legacy_windows=False,
    )  # fmt: skip
    for paragraph in paragraphs:
        text = Text.assemble(*((_safe(words, characters), style) for words, style in paragraph.pieces))
        lines = [text] if paragraph.is_whole else text.wrap(console, screen.width - len(paragraph.rest))
        for number, line in enumerate(lines):
            line.rstrip()
            console.print(Text(paragraph.rest if number else paragraph.first) + line, soft_wrap=True)
    return made.getvalue()


def _safe(text: str, characters: frozenset[str]) -> str:
    """Return a text of these characters only: nothing foreign reaches the terminal as it is."""
    return "".join(one if one in characters else f"\\x{ord(one):02x}" for one in text)


def headline(prefix: str, state: State, words: str) -> Paragraph:
    """Return the first paragraph: the state as a badge, and what the status line says."""
    return Paragraph([(f"{prefix} {str(state).upper()}", BADGES[state]), (f" - {words}", TITLE)], "")


def section(title: str, paragraphs: Iterable[Paragraph]) -> Iterator[Paragraph]:
    """Yield a blank line, the title and the paragraphs; nothing without paragraphs."""
    paragraphs = list(paragraphs)
    if paragraphs:
        yield Paragraph([], "")
        if title:
            yield Paragraph([(title, TITLE)], "")
        yield from paragraphs


def fact(name: str, words: str) -> Paragraph:
    """Return a name with what it stands for, in two columns."""
    return Paragraph([(words, "")], f"{INDENT}{name:<8}", f"{INDENT}{'':8}")


def items(sentences: Iterable[str], said: str = "") -> Iterator[Paragraph]:
    """Yield the sentences as a list, without those that were said before."""
    for sentence in sentences:
        if sentence not in said:
            yield Paragraph([(sentence, "")], INDENT + BULLET, INDENT + " " * len(BULLET))


def remedy(text: str, width: int) -> Iterator[Paragraph]:
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
