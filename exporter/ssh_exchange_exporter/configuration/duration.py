"""Durations as Prometheus writes them: 30s, 1h30m, 500ms."""

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

# Milliseconds a unit, in the order in which Prometheus wants them.
_UNITS = {"y": 365 * 86_400_000, "w": 7 * 86_400_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,12}}){unit})?" for unit in _UNITS), re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_DECIMAL = re.compile(rf"({_NUMBER.pattern})(s|m|h|d|w|y)", re.ASCII)


def seconds_of(text: object) -> float:
    """Return the seconds of a duration (a str, or the number 0); raises ValueError with a sentence."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = f"{text:f}".rstrip("0").rstrip(".") if isinstance(text, float) else str(text)
    if not isinstance(text, str):
        raise ValueError("should be a duration, as in 30s, 1h30m or 500ms")
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(_sentence(text))
    return sum(int(match[unit] or 0) * size for unit, size in _UNITS.items()) / 1000


def _sentence(text: str) -> str:
    if _NUMBER.fullmatch(text):
        return f"should have a unit, as in {_nearest(float(text))}"
    decimal = _DECIMAL.fullmatch(text)
    if decimal:
        return f"should be whole numbers, as in {_nearest(float(decimal[1]) * _UNITS[decimal[2]] / 1000)}"
    return "should be a duration, as in 30s, 1h30m or 500ms"


def _nearest(seconds: float) -> str:
    return text_of(max(seconds, 0.001))


def text_of(seconds: float) -> str:
    """Return a duration (seconds, to the millisecond) as Prometheus writes it: `1h30m`."""
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    text = ""
    for unit, size in _UNITS.items():
        # A year is 365 days here; 400d says it better than 1y5w.
        if left >= size and (unit not in ("y", "w") or left % size == 0):
            text += f"{left // size}{unit}"
            left %= size
    return text


Duration = Annotated[float, BeforeValidator(seconds_of), PlainSerializer(text_of, when_used="json")]


def between(low: float, high: float = math.inf) -> AfterValidator:
    """Return a validator for seconds from `low` to `high`, for use in Annotated."""

    def check(seconds: float) -> float:
        if seconds < low:
            raise ValueError(f"should be at least {text_of(low)}")
        if seconds > high:
            raise ValueError(f"should be at most {text_of(high)}")
        return seconds

    return AfterValidator(check)
