"""The time axis: one scale, with the pauses between groups of handshakes left out.

A quarter of a second lies between the baseline and the burst, and the phases of a healthy server take a millisecond:
with the pauses drawn, phases would be too thin to see.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from check_ssh_exchange.spans import merged

# A pause is drawn when it is shorter than this share of the time in which handshakes were open.
_WORTH_DRAWING = 0.25
_BREAK = 3.0  # percent of the width
_ALL_BREAKS = 25.0
_LEAST_SEGMENT = 30.0  # percent for all segments together, however short they are
# Width of a label's character in percent: on a phone, and on a page 640 pixels wide or more.
_NARROW, _WIDE = 3.9, 1.6
_EDGE = 6.0  # percent from the edges, where labels stand beside their lines
_GRID = 14.0  # minimum percent between two lines
_SHORTEST = 1e-6  # seconds; the width of a phase that took no time


class Segment(NamedTuple):
    """A stretch of time, in seconds, and where it is drawn, in percent of the width."""

    start: float
    end: float
    left: float
    width: float


class Tick(NamedTuple):
    """A line of the grid at `x` percent.

    `label` is "" where there is no room for one; `is_wide`: only a wide drawing shows it.
    """

    x: float
    label: str = ""
    is_wide: bool = False

    @property
    def anchor(self) -> str:
        """Return which end of the label is at the line, so that labels near the edges stay inside."""
        return "start" if self.x < _EDGE else "end" if self.x > 100 - _EDGE else "middle"


class Axis(NamedTuple):
    """The segments in their order; `scale` is percent per second, `step` seconds between two lines."""

    segments: tuple[Segment, ...]
    scale: float
    step: float

    def at(self, seconds: float) -> float:
        """Return the position of a time, in percent from 0 to 100."""
        found = self.segments[0]
        for segment in self.segments:
            if segment.start > seconds:
                break
            found = segment
        inside = min(max(0.0, seconds - found.start), found.end - found.start)
        return min(100.0, found.left + inside * self.scale)

    @property
    def pauses(self) -> list[tuple[float, float, float]]:
        """Return the pauses that are left out: left edge and width in percent, length in seconds."""
        pairs = zip(self.segments, self.segments[1:], strict=False)
        return [(a.left + a.width, b.left - a.left - a.width, b.start - a.end) for a, b in pairs]

    def ticks(self) -> list[Tick]:
        """Return the lines of the grid: the start of each segment, and round times."""
        starts = {segment.left: _label(segment.start, self.step) for segment in self.segments}
        every_second: dict[float, str] = {}
        between: dict[float, str] = {}
        for segment in self.segments:
            first = math.floor(segment.start / self.step) + 1
            for number in range(first, first + int(segment.width / self.scale / self.step) + 1):
                x = segment.left + (number * self.step - segment.start) * self.scale
                if x <= segment.left + segment.width:
                    (between if number % 2 else every_second)[x] = _label(number * self.step, self.step)
        lines = between | every_second | starts
        always = _with_room(starts | every_second, {}, _NARROW)
        shown = _with_room(starts | every_second | between, always, _WIDE)
        return [Tick(x, lines[x] if x in shown else "", x not in always) for x in sorted(lines)]


def axis_of(spans: Iterable[tuple[float, float]]) -> Axis:
    """Return the axis for spans of (start, end) in seconds, at least one; spans that overlap share a segment."""
    active = merged(sorted(spans))
    busy = sum(end - start for start, end in active)
    active = merged(active, busy * _WORTH_DRAWING)
    busy = max(_SHORTEST, sum(end - start for start, end in active))
    pause = min(_BREAK, _ALL_BREAKS / len(active))
    room = 100.0 - pause * (len(active) - 1)
    least = _LEAST_SEGMENT / len(active) if len(active) > 1 else 0.0
    scale = (room - least * len(active)) / busy
    segments, left = [], 0.0
    for start, end in active:
        width = least + (end - start) * scale
        segments.append(Segment(start, end, left, width))
        left += width + pause
    return Axis(tuple(segments), scale, _step(_GRID / scale))


def _with_room(labels: dict[float, str], taken: dict[float, str], character: float) -> dict[float, str]:
    """Return the labels already placed, and those of the others that overlap none of them."""
    taken = dict(taken)
    for x, label in labels.items():
        left, right = _extent(x, label, character)
        others = (_extent(at, other, character) for at, other in taken.items())
        if all(right + character < begin or end + character < left for begin, end in others):
            taken[x] = label
    return taken


def _extent(x: float, label: str, character: float) -> tuple[float, float]:
    width = len(label) * character
    left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[Tick(x).anchor] * width
    return left, left + width


def _step(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, ... that is at least this many seconds."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * 0.999)


def _label(seconds: float, step: float) -> str:
    in_seconds = step >= 0.1
    unit = 1.0 if in_seconds else 1000.0
    decimals = max(0, -math.floor(math.log10(step * unit) + 1e-9))
    if seconds == 0:
        return "0"
    return f"{seconds * unit:.{decimals}f} {'s' if in_seconds else 'ms'}"
