"""Figures under their labels, and the block of perfdata that they make."""

from collections.abc import Iterable, Mapping

from ..values import NamedTuple
from .nagios import State
from .thresholds import NONE, Thresholds, position, shortest


class Figure(NamedTuple):
    """A measured value in the unit of its label: a count, a percentage, seconds."""

    label: str
    value: float


def block(figures: Iterable[Figure], units: Mapping[str, str], thresholds: Thresholds = NONE) -> str:
    """Return `label=value[unit];warning;critical;minimum;maximum` for each figure, separated by blanks.

    Labels are plain words, so none needs quotes. The minimum is 0; a percentage has the maximum 100.
    """
    return " ".join(_item(figure, units[figure.label], thresholds) for figure in figures)


def _item(figure: Figure, unit: str, thresholds: Thresholds) -> str:
    label = figure.label
    warning, critical = (shortest(ranges.get(label, "")) for ranges in (thresholds.warning, thresholds.critical))
    most = "100" if unit == "%" else ""
    return f"{label}={fixed(figure.value)}{unit};{warning};{critical};0;{most}".rstrip(";")


def violation(figure: Figure, unit: str, thresholds: Thresholds, state: State) -> str:
    """Return the sentence about a figure that has this state by its range: `banner_p50 is 1.2 s (outside 1)`."""
    where = position(thresholds.range_of(figure.label, state))
    return f"{figure.label} is {fixed(figure.value)}{unit and ' '}{unit} ({where})"


def fixed(value: float) -> str:
    """Return a number as the plugin interface wants it: fixed-point, microseconds at the finest.

    Raises ValueError for NaN and infinity: ranges take NaN for anything, and no consumer reads `nans`.
    """
    if value - value != 0:
        raise ValueError(f"{value} is not a figure")
    text = f"{value:.6f}"
    return text.rstrip("0").rstrip(".")
