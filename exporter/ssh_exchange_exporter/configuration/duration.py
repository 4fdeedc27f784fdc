"""Durations as Prometheus writes them (30s, 1h30m, 500ms), and as Go does (1.5h, 100us)."""

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

# Milliseconds per unit, in the order in which Prometheus requires them.
_UNITS = {"y": 365 * 86_400_000, "w": 7 * 86_400_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_ORDER = list(_UNITS)
# Go allows decimals and any order of its units; its longest is the hour.
_GO_UNITS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ns": 1e-6}
_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ms|us|µs|μs|ns|[ywdhms])")
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_SENTENCE = "must be a duration, as in 30s, 1h30m or 500ms"


def seconds_of(given: object, *, is_go: bool = False) -> float:
    """Return the seconds of a duration (a str, or the number 0); raises ValueError with a sentence."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = f"{given:f}".rstrip("0").rstrip(".") if isinstance(given, float) else str(given)
    if given == "0":
        return 0.0
    if not isinstance(given, str) or not given:
        raise ValueError(_SENTENCE)
    if _NUMBER.fullmatch(given):
        raise ValueError(f"must have a unit, as in {_nearest(float(given))}")
    units = _GO_UNITS if is_go else _UNITS
    parts = _PART.findall(given)
    if "".join(number + unit for number, unit in parts) != given or not {unit for _, unit in parts} <= units.keys():
        raise ValueError(_SENTENCE)
    seconds = sum(float(number) * units[unit] for number, unit in parts) / 1000
    if not is_go:
        _require_order([unit for _, unit in parts])
        if not all(number.isdecimal() for number, _ in parts):
            raise ValueError(f"must be whole numbers, as in {_nearest(seconds)}")
    return seconds


def _require_order(units: list[str]) -> None:
    ranks = [_ORDER.index(unit) for unit in units]
    if ranks != sorted(set(ranks)):
        raise ValueError(_SENTENCE)


def _nearest(seconds: float) -> str:
    return text_of(max(seconds, 0.001))


def text_of(seconds: float, *, is_go: bool = False) -> str:
    """Return a duration, rounded to the millisecond, in the largest units: `1h30m`."""
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    text = ""
    for unit, size in _UNITS.items():
        if is_go and unit not in _GO_UNITS:
            continue
        # A year is 365 days here; 400d is clearer than 1y5w.
        if left >= size and (unit not in ("y", "w") or left % size == 0):
            text += f"{left // size}{unit}"
            left %= size
    return text


def _go_seconds_of(given: object) -> float:
    return seconds_of(given, is_go=True)


Duration = Annotated[float, BeforeValidator(seconds_of), PlainSerializer(text_of, when_used="json")]
GoDuration = Annotated[float, BeforeValidator(_go_seconds_of)]


def between(low: float, high: float = math.inf, *, is_go: bool = False) -> AfterValidator:
    """Return a validator for seconds from `low` to `high`, for use in Annotated."""

    def check(seconds: float) -> float:
        if seconds < low:
            raise ValueError(f"must be at least {text_of(low, is_go=is_go)}")
        if seconds > high:
            raise ValueError(f"must be at most {text_of(high, is_go=is_go)}")
        return seconds

    return AfterValidator(check)
