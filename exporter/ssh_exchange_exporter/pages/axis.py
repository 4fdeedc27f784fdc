"""One time axis on which the pauses between groups of handshakes are left out, all of it on one scale.

A quarter of a second lies between the baseline and the burst, and phases of a healthy server take a millisecond: drawn
through, they would be thinner than a hair.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

# A pause is drawn as it is when it is shorter than this share of the time in which something happened.
_WORTH_DRAWING = 0.25
_BREAK = 3.0  # percent of the width
_ALL_BREAKS = 25.0
_LEAST_SEGMENT = 30.0  # percent for all segments together, whatever they last
_APART = 30.0  # percent between two labels: 48 pixels on a telephone
_APART_WIDE = 11.0  # where there is more room
_EDGE = 6.0  # percent from the edges, where labels lie beside their lines: their middle is further in
_FURTHER_IN = 12.0
_GRID = 9.0  # percent between two lines at least
_SHORTEST = 1e-6  # seconds; what took no time still has a place


class Segment(NamedTuple):
    """A stretch of time, in seconds, and where it is drawn, in percent of the width."""

    start: float
    end: float
    left: float
    width: float


class Tick(NamedTuple):
    """A line of the grid at `x` percent.

    `label` is "" where there is no room for one, `is_wide` says that only a wide drawing has it.
    """

    x: float
    label: str = ""
    is_wide: bool = False

    @property
    def anchor(self) -> str:
        """Return which end of the label stands at the line: at the edges all of it lies inside."""
        return "start" if self.x < _EDGE else "end" if self.x > 100 - _EDGE else "middle"


class Axis(NamedTuple):
    """The segments in their order; `scale` is percent per second, `step` seconds between two lines."""

    segments: tuple[Segment, ...]
    scale: float
    step: float

    def at(self, seconds: float) -> float:
        """Return where a time is drawn, in percent, 0 to 100."""
        found = self.segments[0]
        for segment in self.segments:
            if segment.start > seconds:
                break
            found = segment
        inside = min(max(0.0, seconds - found.start), found.end - found.start)
        return min(100.0, found.left + inside * self.scale)

    @property
    def pauses(self) -> list[tuple[float, float, float]]:
        """Return every pause left out: its left edge and width in percent, and how long it was in seconds."""
        pairs = zip(self.segments, self.segments[1:], strict=False)
        return [(a.left + a.width, b.left - a.left - a.width, b.start - a.end) for a, b in pairs]

    def ticks(self) -> list[Tick]:
        """Return the grid: where each segment begins, and round times."""
        labels = {segment.left: _label(segment.start, self.step) for segment in self.segments}
        lines = dict.fromkeys(labels)
        for segment in self.segments:
            first = math.floor(segment.start / self.step) + 1
            for number in range(first, first + int(segment.width / self.scale / self.step) + 1):
                x = segment.left + (number * self.step - segment.start) * self.scale
                if x <= segment.left + segment.width:
                    lines[x] = None
                    labels.setdefault(x, _label(number * self.step, self.step))
        always = _spread(labels, [], _APART)
        shown = _spread(labels, always, _APART_WIDE)
        return [Tick(x, labels[x] if x in shown else "", x not in always) for x in sorted(lines)]


def axis_of(spans: Iterable[tuple[float, float]]) -> Axis:
    """Return the axis for spans of (start, end) in seconds, at least one; spans that overlap share a segment."""
    merged = _merged(sorted(spans))
    busy = sum(end - start for start, end in merged)
    merged = _merged(merged, busy * _WORTH_DRAWING)
    busy = max(_SHORTEST, sum(end - start for start, end in merged))
    pause = min(_BREAK, _ALL_BREAKS / len(merged))
    room = 100.0 - pause * (len(merged) - 1)
    least = _LEAST_SEGMENT / len(merged) if len(merged) > 1 else 0.0
    scale = (room - least * len(merged)) / busy
    segments, left = [], 0.0
    for start, end in merged:
        width = least + (end - start) * scale
        segments.append(Segment(start, end, left, width))
        left += width + pause
    return Axis(tuple(segments), scale, _step(_GRID / scale))


def _merged(spans: Iterable[tuple[float, float]], gap: float = 0.0) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in spans:
        if merged and start - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _spread(places: Iterable[float], taken: list[float], apart: float) -> list[float]:
    """Return the places taken, and those that keep a distance from all before them: where segments begin come first."""
    taken = list(taken)
    for x in places:
        if all(abs(_middle(x) - _middle(other)) >= apart for other in taken):
            taken.append(x)
    return taken


def _middle(x: float) -> float:
    return x + {"start": _FURTHER_IN, "middle": 0.0, "end": -_FURTHER_IN}[Tick(x).anchor]


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
