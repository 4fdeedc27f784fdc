"""The drawing of a run: the phases of every handshake as bars on one time axis."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from check_ssh_exchange.ending import Ending
from check_ssh_exchange.report import PHASES, Handshake, Report

from ..text import counted, duration
from .axis import Axis, axis_of
from .html import Attributes, Markup, join, tag
from .rows import Group, bars, drawn, groups, seconds

_HEADING = 26  # pixels above the first row of a group
_FOOT = 26  # pixels for the axis and its labels
_AIRY, _DENSE = 40, 90  # number of rows up to which each has room for its own label
_LABEL = 13.0  # pixels between two labels
_PHASE_WORDS = {
    "connect": "connect",
    "banner": "banner: until the server's identification was complete",
    "kexinit": "kexinit: until the server's KEXINIT was complete",
    "hostkey": "hostkey: until the server had shown its host key",
    "kex": "kex: until the keys were agreed",
    "login": "login",
}


class _Row(NamedTuple):
    """A handshake and the pixels it is drawn in."""

    handshake: Handshake
    top: int
    height: int

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


def drawing(report: Report) -> Markup:
    """Return the figure of a report: caption, inline SVG and legend; a sentence where there is no handshake."""
    found = groups(report.handshakes)
    shown, left_out = drawn(found)
    if not shown:
        return tag("p", {"class": "quiet"}, "No handshake was made, so there is nothing to draw.")
    spans = [group.span for group in shown]
    axis = axis_of([(0.0, spans[0][1]), *spans[1:]])
    rows, height = _placed(shown)
    summary = _summary(report, found)
    picture = tag(
        "svg",
        {"class": "drawing", "role": "img", "aria-label": summary, "width": "100%", "height": height + _FOOT},
        tag("desc", None, summary),
        *(_band(members) for group, members in zip(shown, rows, strict=True) if group.kind == "burst"),
        _plot(axis, [row for members in rows for row in members], height),
        *(_words(group, members) for group, members in zip(shown, rows, strict=True)),
    )
    return tag("figure", None, tag("figcaption", None, _caption(axis, left_out)), picture, _legend(report))


def _summary(report: Report, found: Sequence[Group]) -> str:
    counts = ", ".join(f"{count:,} {ending}" for ending, count in report.counts.items() if count)
    whole = max(group.span[1] for group in found)
    names = "; ".join(group.name for group in found[:8]) + ("; and so on" if len(found) > 8 else "")
    return f"{counted(len(report.handshakes), 'handshake')} in {duration(whole)}: {counts}. {names}."


def _caption(axis: Axis, left_out: int) -> str:
    sentence = "Each bar is a handshake, from its SYN to its end. The axis is the time since the start of the run."
    pauses = [length for _, _, length in axis.pauses]
    if pauses:
        longest = duration(max(pauses))
        cut = "is cut" if len(pauses) == 1 else "are cut"
        sentence += f" {counted(len(pauses), 'pause')} between handshakes {cut} from the axis, the longest {longest}."
    if left_out:
        sentence += f" {counted(left_out, 'further handshake')} of the burst are not drawn; the table has all of them."
    return sentence


def _placed(shown: Sequence[Group]) -> tuple[list[list[_Row]], int]:
    """Return the rows of each group, and the total height in pixels."""
    count = sum(len(group.handshakes) for group in shown)
    row = 20 if count <= _AIRY else 14 if count <= _DENSE else 8
    placed, top = [], 0
    for group in shown:
        top += _HEADING
        placed.append([_Row(one, top + row * number, row) for number, one in enumerate(group.handshakes)])
        top += row * len(group.handshakes) + 6
    return placed, top


def _words(group: Group, rows: Sequence[_Row]) -> Markup:
    """Return the labels of a group: heading, bracket, row numbers, and endings at the right."""
    top, end = rows[0].top, rows[-1].top + rows[-1].height
    bracket = tag("path", {"class": "bracket", "d": f"M-35 {top + 1}h-5V{end - 1}h5"})
    name = tag("text", {"class": f"name {group.kind}", "x": -40, "y": top - 8}, group.name)
    return join([bracket, name, *_numbers(rows), *_endings(rows)])


def _band(rows: Sequence[_Row]) -> Markup:
    """Return the background of the rows of a burst."""
    top = rows[0].top - _HEADING + 4
    height = rows[-1].top + rows[-1].height + 4 - top
    # Three parts: the margins are pixels and the width between them is a percentage, which SVG cannot add up.
    y: Attributes = {"class": "band", "y": top, "height": height}
    margins = (("-44", "44"), ("0", "100%"), ("100%", "122"))
    return join([tag("rect", {**y, "x": x, "width": width}) for x, width in margins])


def _numbers(rows: Sequence[_Row]) -> Iterator[Markup]:
    last = -_LABEL
    for row in rows:
        if row.middle - last >= _LABEL:
            last = row.middle
            yield tag("text", {"class": "small", "x": -31, "y": f"{row.middle + 4:g}"}, f"#{row.handshake.number}")


def _endings(rows: Sequence[_Row]) -> Iterator[Markup]:
    """Yield the labels at the right: the ending of a row, or of a stretch of equal rows where rows are low."""
    last = -_LABEL
    stretches = [[row] for row in rows]
    if rows[0].height < _LABEL:
        stretches = [list(members) for _, members in groupby(rows, lambda row: row.handshake.ending)]
    for stretch in stretches:
        middle = (stretch[0].middle + stretch[-1].middle) / 2
        if middle - last < _LABEL:
            continue
        last = middle
        ending = stretch[0].handshake.ending
        word = str(ending) if len(stretch) == 1 else f"{len(stretch)} {ending}"
        yield tag("text", {"class": "small", "x": "100%", "dx": 10, "y": f"{middle + 4:g}"}, word)


def _percent(value: float) -> str:
    return f"{value:.3f}%"


def _plot(axis: Axis, rows: Sequence[_Row], height: int) -> Markup:
    """Return the plot area: grid, pauses, bars and the axis with its labels."""
    lines, labels = [], []
    for tick in axis.ticks():
        x = _percent(tick.x)
        lines.append(tag("line", {"class": "grid", "x1": x, "x2": x, "y1": _HEADING - 4, "y2": height}))
        lines.append(tag("line", {"class": "tick-mark", "x1": x, "x2": x, "y1": height, "y2": height + 5}))
        if tick.label:
            kind = "small wide" if tick.is_wide else "small"
            labels.append(
                tag("text", {"class": kind, "x": x, "y": height + 19, "text-anchor": tick.anchor}, tick.label)
            )
    for left, width, length in axis.pauses:
        lines.append(_pause(left, width, length, height))
    base = tag("line", {"class": "tick-mark", "x1": "0", "x2": "100%", "y1": height, "y2": height})
    return join([base, *lines, *(_handshake(axis, row) for row in rows), *labels])


def _pause(left: float, width: float, length: float, height: int) -> Markup:
    """Return the mark of an omitted pause: a gap in the axis between two slashes."""
    words = tag("title", None, f"a pause of {duration(length)} is left out")
    band = tag(
        "rect", {"class": "pause", "x": _percent(left), "y": height - 3, "width": _percent(width), "height": 6}, words
    )
    edges = [
        tag(
            "line",
            {
                "class": "slash",
                "x1": _percent(x - width / 5),
                "x2": _percent(x + width / 5),
                "y1": height + 6,
                "y2": height - 6,
            },
        )
        for x in (left, left + width)
    ]
    return tag("g", None, band, *edges)


def _handshake(axis: Axis, row: _Row) -> Markup:
    one = row.handshake
    inset = 3 if row.height > 8 else 1
    begun = seconds(one.started)
    left, right = axis.at(begun), axis.at(begun + seconds(one.ended))
    box = {"y": row.top + inset, "height": row.height - 2 * inset}
    parts = [
        tag(
            "rect",
            {
                "class": f"phase p-{bar.phase}" if bar.phase else "rest",
                "x": _percent(axis.at(bar.start)),
                "width": _percent(axis.at(bar.end) - axis.at(bar.start)),
                **box,
            },
        )
        for bar in bars(one)
    ]
    whole = tag("rect", {"class": "whole", "x": _percent(left), "width": _percent(right - left), **box})
    # The end of a failure differs by its shape too, for readers who do not see the colour.
    reach = 0 if one.ending is Ending.COMPLETED else inset - 1
    y = {"y1": row.top + inset - reach, "y2": row.top + row.height - inset + reach}
    stop = tag("line", {"class": "stop", "x1": _percent(right), "x2": _percent(right), **y})
    return tag("g", {"class": f"e-{one.ending}"}, tag("title", None, _tooltip(one)), *parts, whole, stop)


def _tooltip(one: Handshake) -> str:
    phases = ", ".join(f"{phase} {duration(took)}" for phase in PHASES if (took := getattr(one, phase)) is not None)
    words = [f"#{one.number} {one.role}: {one.ending} after {duration(one.ended)}"]
    words += [phases] if phases else []
    words += [f'"{one.text}"'] if one.text else []
    return "; ".join(words)


def _legend(report: Report) -> Markup:
    phases = [phase for phase in PHASES if any(getattr(one, phase) is not None for one in report.handshakes)]
    items = [tag("li", {"class": "heading"}, "Phases")]
    items += [_item(f"phase p-{phase}", "", _PHASE_WORDS[phase]) for phase in phases]
    items.append(_item("rest", "", "waiting"))
    endings = [tag("li", {"class": "heading"}, "Endings")]
    for ending, count in report.counts.items():
        if count:
            endings.append(_item("phase p-connect", f"e-{ending}", f"{count:,} {ending}"))
    return join([tag("ul", {"class": "legend"}, *items), tag("ul", {"class": "legend"}, *endings)])


def _item(kind: str, ending: str, words: str) -> Markup:
    box = {"x": 1, "y": 1, "width": 12, "height": 12}
    attributes: Attributes = {"class": ending or None, "width": 14, "height": 14, "aria-hidden": "true"}
    swatch = tag("svg", attributes, tag("rect", {"class": kind, **box}), tag("rect", {"class": "whole", **box}))
    return tag("li", None, swatch, words)
