"""A time axis in columns of text: one scale, with the pauses between handshakes left out.

A quarter of a second lies between the baseline and the burst, and the phases of a healthy server take a millisecond:
with the pauses drawn, every handshake would be one column.
"""

import math
from collections.abc import Iterable

from ..spans import merged
from ..text import milliseconds
from ..values import NamedTuple

# A pause is drawn when it is shorter than this share of the time in which handshakes were open.
WORTH_DRAWING = 0.25
LEAST = 2  # columns of a segment however short it is: a bar of one, and the mark at its end
CUT = "//"
# Of the columns, what short segments and cuts may take; with more pauses than that, none is left out.
MOST_FOR_CUTS = 0.7
BETWEEN_TICKS = 8  # columns: a label and a blank, where the label has no more than 7 characters
SHORTEST = 1e-6  # seconds: the length of an axis on which nothing took any time


class Segment(NamedTuple):
    """A stretch of time, in seconds, and the column where it begins."""

    start: float
    end: float
    left: float


class Axis(NamedTuple):
    """The segments in their order; `scale` is columns per second, `width` all columns."""

    segments: tuple[Segment, ...]
    scale: float
    width: int

    def at(self, seconds: float) -> float:
        """Return the column of a time that lies within a segment."""
        found = next((one for one in reversed(self.segments) if one.start <= seconds), self.segments[0])
        return found.left + (min(seconds, found.end) - found.start) * self.scale

    def columns(self, start: float, end: float) -> range:
        """Return the columns of a span that lies within a segment: at least one, and one is left behind them."""
        first = int(self.at(start))
        return range(first, max(first + 1, round(self.at(end))))

    @property
    def pauses(self) -> list[float]:
        """Return the lengths of the pauses that are left out, in seconds."""
        return [after.start - before.end for before, after in zip(self.segments, self.segments[1:], strict=False)]

    def ruler(self, line: str, tick: str) -> tuple[str, str]:
        """Return the line under the bars and the times under it."""
        drawn, labels = [line] * self.width, [" "] * (self.width + BETWEEN_TICKS)
        for column, label in self._ticks():
            end = column + len(label)
            if not "".join(labels[max(0, column - 1) : end + 1]).strip():
                drawn[column] = tick
                labels[column:end] = label
        for segment in self.segments[1:]:
            end = int(segment.left)
            drawn[end - len(CUT) : end + 1] = CUT + tick
        return "".join(drawn), "".join(labels).rstrip()

    def _ticks(self) -> list[tuple[int, str]]:
        """Return columns and times: where segments start, and then round ones."""
        step = _step(BETWEEN_TICKS / self.scale)
        found = {_label(segment.start, step): int(segment.left) for segment in self.segments}
        for segment in self.segments:
            first = math.floor(segment.start / step) + 1
            for number in range(first, math.floor(segment.end / step) + 1):
                found.setdefault(_label(number * step, step), int(self.at(number * step)))
        return [(column, label) for label, column in found.items()]


def axis_of(spans: Iterable[tuple[float, float]], width: int) -> Axis:
    """Return the axis for spans of (start, end) in seconds, at least one; spans that overlap share a segment."""
    active = merged(sorted(spans))
    active = merged(active, sum(end - start for start, end in active) * WORTH_DRAWING)
    if len(active) * (LEAST + len(CUT)) > width * MOST_FOR_CUTS:
        active = [(active[0][0], active[-1][1])]
    room = width - len(active) * LEAST - (len(active) - 1) * len(CUT)
    scale = room / max(SHORTEST, sum(end - start for start, end in active))
    segments, left = [], 0.0
    for start, end in active:
        segments.append(Segment(start, end, left))
        left += LEAST + (end - start) * scale + len(CUT)
    return Axis(tuple(segments), scale, width)


def _step(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, ... that is at least this many seconds."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * 0.999)


def _label(seconds: float, step: float) -> str:
    unit, name = (1.0, "s") if step >= 0.1 else (1000.0, "ms")
    decimals = max(0, -math.floor(math.log10(step * unit) + 1e-9))
    return f"{seconds * unit:.{decimals}f} {name}" if seconds >= step / 2 else "0"


def duration(seconds: float) -> str:
    """Return a duration as a person reads it: 0.31 ms, 150 ms, 8.5 s."""
    # 0.9996 s would be "1000 ms".
    return milliseconds(seconds) if seconds < 0.9995 else f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"
