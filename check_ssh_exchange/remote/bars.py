"""The drawing of a run as text: every handshake a bar of its phases, all on one time axis.

Lines are pieces of text with their styles; nothing here knows a terminal.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ..ending import TIMEOUTS, Ending
from ..plugin.page import INDENT, Line, Piece
from ..report import PHASES, Handshake, Report, Role
from ..values import NamedTuple
from .axis import CUT, Axis, axis_of, duration

MOST_ROWS = 40  # about a screen; the evidence counts all
GAP = 2  # blanks between two columns
NARROW_BAR, LEAST_BAR = 8, 4  # columns; below the first, labels are cut to their numbers
# A text is cut before the bar is narrower than this, and left out where less than LEAST_TEXT of it would stand.
WIDE_BAR = 20
LEAST_TEXT = 12
LONGEST_TIME = len("99.9 ms")
QUIET = "dim"
WAITING = ""  # the phase of the time in which none of the others was under way


class Marks(NamedTuple):
    """The characters of a drawing: one for each phase in order, so that it reads without colours."""

    phases: str
    waiting: str
    completed: str
    failed: str
    timeout: str
    line: str
    tick: str
    more: str

    def of_phase(self, phase: str) -> Piece:
        """Return the character of a phase and its colour."""
        if phase == WAITING:
            return self.waiting, QUIET
        number = PHASES.index(phase)
        return self.phases[number % len(self.phases)], COLOURS[number % len(COLOURS)]

    def of_ending(self, ending: Ending) -> Piece:
        """Return the mark at the end of a bar and its colour."""
        if ending is Ending.COMPLETED:
            return self.completed, "green"
        return self.timeout if ending in TIMEOUTS else self.failed, "bold red"


UNICODE = Marks("▁▄█▒░▚", "·", "✓", "✗", "…", "─", "┬", "…")
ASCII = Marks("-=+%#@", ".", "|", "x", ">", "-", "+", "...")
COLOURS = ("blue", "cyan", "magenta", "yellow", "green", "bright_blue")


class _Row(NamedTuple):
    """A handshake with the words beside its bar."""

    handshake: Handshake
    label: str
    said: str

    @property
    def span(self) -> tuple[float, float]:
        one = self.handshake
        return one.started, one.started + one.ended


class _Layout(NamedTuple):
    """The columns of a drawing: the width of the label, the bar, the ending's word and what was said."""

    label: int
    bar: int
    ending: int
    said: int


def drawing(report: Report, width: int, marks: Marks) -> Iterator[Line]:
    """Yield the lines: a row for each handshake that has room, the axis, the legend; nothing without handshakes."""
    if not report.handshakes:
        return
    rows = _rows(report)
    layout = _layout(rows, width)
    if layout.bar < NARROW_BAR:
        rows = [row._replace(label=f"#{row.handshake.number}") for row in rows]
        layout = _layout(rows, width)
    axis = axis_of([row.span for row in rows], layout.bar)
    for address, members in _by_address(rows):
        if address:
            yield [(f"{INDENT}{address}", "bold")]
        yield from (_line(row, axis, layout, marks) for row in members)
    if len(rows) < len(report.handshakes):
        yield from _flowing(_left_out(report, rows, marks), width, 1)
    margin = " " * (len(INDENT) + layout.label + GAP)
    ruler, times = axis.ruler(marks.line, marks.tick)
    yield [(margin + ruler, QUIET)]
    yield [(margin + times, "")]
    yield from _flowing([*_legend(rows, axis, marks), *_cuts(axis)], width)


def _rows(report: Report) -> list[_Row]:
    is_in_waves = any(one.wave > 1 for one in report.burst)
    rows = []
    for one in _with_room(report.handshakes):
        part = str(one.role)
        if one.is_second_source:
            part = "second source"
        elif one.spoke_first and not report.speaks_first:
            part = "we spoke first"
        elif one.role is Role.RECHECK and one.wave:
            part = "burst again"
        elif one.wave and is_in_waves:
            part = f"burst {one.wave}"
        rows.append(_Row(one, f"#{one.number} {part}", f'"{one.text}"' if one.text else ""))
    return rows


def _with_room(handshakes: Sequence[Handshake]) -> list[Handshake]:
    """Return the handshakes to draw, in their order: those made alone, then the first few of each ending."""
    seen: Counter[tuple[bool, Ending]] = Counter()
    ranked = []
    for one in handshakes:
        kind = one.role is Role.BURST or one.wave > 0, one.ending
        ranked.append((kind[0], seen[kind], one))
        seen[kind] += 1
    ranked.sort(key=lambda each: each[:2])
    return sorted((one for *_, one in ranked[:MOST_ROWS]), key=lambda one: one.number)


def _left_out(report: Report, rows: Sequence[_Row], marks: Marks) -> Iterator[Line]:
    counts = Counter(report.counts)
    counts.subtract(row.handshake.ending for row in rows)
    yield [(f"{marks.more} and {counts.total():,} more:", "")]
    *first, last = [f"{count:,} {ending}" for ending, count in counts.items() if count]
    yield from ([(f"{words},", "")] for words in first)
    yield [(last, "")]


def _by_address(rows: Sequence[_Row]) -> Iterator[tuple[str, list[_Row]]]:
    """Yield the rows of each address with it, "" where there is only one."""
    found: dict[str, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.handshake.address, []).append(row)
    for address, members in found.items():
        yield address if len(found) > 1 else "", members


def _layout(rows: Sequence[_Row], width: int) -> _Layout:
    label = max(len(row.label) for row in rows)
    ending = max(len(row.handshake.ending) for row in rows) + 1 + LONGEST_TIME
    room = width - len(INDENT) - label - GAP - ending - GAP
    said = min(max(len(row.said) for row in rows), room - GAP - max(WIDE_BAR, room * 2 // 5))
    said = said if said >= LEAST_TEXT else 0
    return _Layout(label, max(LEAST_BAR, room - said - GAP * bool(said)), ending, said)


def _line(row: _Row, axis: Axis, layout: _Layout, marks: Marks) -> Line:
    one = row.handshake
    columns = axis.columns(*row.span)
    mark, colour = marks.of_ending(one.ending)
    line = [
        (f"{INDENT}{row.label:<{layout.label + GAP}}{' ' * columns.start}", ""),
        *_bar(one, axis, marks),
        (mark, colour),
        (" " * (layout.bar - columns.stop - 1 + GAP), ""),
        (str(one.ending), "" if one.ending is Ending.COMPLETED else colour),
        (f"{duration(one.ended):>{layout.ending - len(one.ending)}}", ""),
    ]
    if layout.said and row.said:
        short = row.said if len(row.said) <= layout.said else f"{row.said[: layout.said - 3]}..."
        line.append((" " * GAP + short, ""))
    return line


def _bar(one: Handshake, axis: Axis, marks: Marks) -> Line:
    """Return the bar of a handshake, from its SYN on."""
    return [
        (character * len(list(members)), colour)
        for (character, colour), members in groupby(map(marks.of_phase, _phases_drawn(one, axis)))
    ]


def _phases_drawn(one: Handshake, axis: Axis) -> list[str]:
    """Return the phase to draw in each column of a bar: the one that takes most of it."""
    phases = _phases(one)
    columns = axis.columns(one.started, one.started + one.ended)
    if len(columns) == 1:
        return [max(phases, key=lambda phase: phase[2] - phase[1])[0]]
    drawn = [_widest(phases, axis, column) for column in columns]
    if one.ending is Ending.COMPLETED:
        drawn[-1] = phases[-1][0]  # with it the handshake was complete, however short it was
    return drawn


def _phases(one: Handshake) -> list[tuple[str, float, float]]:
    """Return the phases in order with their spans, in seconds since the run's start, and the rest of the time."""
    took = one.phases
    rest = WAITING, max(0.0, one.ended - sum(seconds for _, seconds in took))
    # What ended a handshake came after a wait; one that completed was over with its last phase, and waited before it.
    took.insert(len(took) - (one.ending is Ending.COMPLETED), rest)
    found, at, end = [], one.started, one.started + one.ended
    for phase, seconds in took:
        until = min(end, at + seconds)
        found.append((phase, at, until))
        at = until
    return found


def _widest(phases: Sequence[tuple[str, float, float]], axis: Axis, column: int) -> str:
    """Return the phase that takes most of a column."""

    def share(phase: tuple[str, float, float]) -> float:
        return min(axis.at(phase[2]), column + 1) - max(axis.at(phase[1]), column)

    return max(phases, key=share)[0]


def _legend(rows: Sequence[_Row], axis: Axis, marks: Marks) -> Iterator[Line]:
    drawn = {phase for row in rows for phase in _phases_drawn(row.handshake, axis)}
    for phase in (*PHASES, WAITING):
        if phase in drawn:
            yield [marks.of_phase(phase), (f" {phase or 'waiting'}", "")]
    words = {marks.completed: "completed", marks.failed: "failed", marks.timeout: "time was up"}
    for mark, colour in dict.fromkeys(marks.of_ending(row.handshake.ending) for row in rows):
        yield [(mark, colour), (f" {words[mark]}", "")]


def _cuts(axis: Axis) -> Iterator[Line]:
    pauses = axis.pauses
    if pauses:
        words = f"a pause of {duration(pauses[0])}" if len(pauses) == 1 else f"pauses, up to {duration(max(pauses))}"
        yield [(CUT, QUIET), (f" {words}, left out", "")]


def _flowing(items: Iterable[Line], width: int, gap: int = GAP) -> Iterator[Line]:
    """Yield lines of whole items, with this many blanks between them."""
    line: Line = []
    used = 0
    for item in items:
        size = sum(len(text) for text, _ in item)
        if line and used + gap + size > width:
            yield line
            line = []
        margin = " " * gap if line else INDENT
        used = (used if line else 0) + len(margin) + size
        line += [(margin, ""), *item]
    yield line
