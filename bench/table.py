"""What a bench has found, and how it is written: one Markdown page, the rows with their targets first."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple


class Row(NamedTuple):
    """One figure with its target, the table it was read from, and a sentence on how it was measured.

    `measured` is the figure in words; `is_reached` is None when it could not be measured, then `measured` says why.
    """

    title: str
    target: str
    measured: str
    is_reached: bool | None
    how: str
    header: tuple[str, ...] = ()
    lines: tuple[tuple[str, ...], ...] = ()

    @property
    def verdict(self) -> str:
        if self.is_reached is None:
            return "not measured"
        return "reached" if self.is_reached else "NOT reached"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return the median with the least and the greatest of the values."""
    middle, least, most = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})"


def ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios of what was measured side by side: the machine's mood is in both and cancels."""
    return median(value / other for value, other in zip(values, others, strict=True))


def page(title: str, facts: Sequence[str], rows: Sequence[Row]) -> str:
    """Return the whole page."""
    summary = [(row.title, row.target, row.measured, row.verdict) for row in rows]
    parts = [f"# {title}", "\n".join(f"- {fact}" for fact in facts)]
    parts.append(table(("what", "target", "measured", "result"), summary))
    for row in rows:
        parts.append(f"## {row.title}")
        if row.lines:
            parts.append(table(row.header, row.lines))
        parts += [row.how, f"**{row.verdict}**: {row.measured} (target: {row.target})"]
    return "\n\n".join(parts) + "\n"


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    whole = [header, *lines]
    widths = [max(len(line[column]) for line in whole) for column in range(len(header))]
    rows = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in whole
    ]
    rows.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(rows)
