"""Spans of time that are drawn: the parts of a run in which something happens."""

from collections.abc import Iterable


def merged(spans: Iterable[tuple[float, float]], gap: float = 0.0) -> list[tuple[float, float]]:
    """Return spans of (start, end), sorted by start, with those joined that lie at most `gap` apart."""
    found: list[tuple[float, float]] = []
    for start, end in spans:
        if found and start - found[-1][1] <= gap:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
