"""The shipped rules and routes at another pace: every span of time divided by the same number, but for one."""

import re
from typing import Any

PACE = 60  # an hour in a minute
# Seconds: check_sshd_local takes one or two for a run at any pace, and twenty on a machine with far too much to do.
LEAST_AGE_OF_A_RUN = 60.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_PART = r"\d+(?:ms|[smhdwy])"
_DURATION = rf"(?:{_PART})+"
# [5m], [1h:1m], [1h:] and offset 5m; a name such as ratio_rate5m has no bracket before it.
_RANGES = re.compile(rf"(?<=\[){_DURATION}(?=[\]:])|(?<=:){_DURATION}(?=\])|(?<=\boffset ){_DURATION}")
# An age, compared with a number of seconds. How late a probe starts, and when a certificate ends, are no ages.
_AGES = re.compile(r"((?:time\(\) - \w+|\w+_age_seconds) > )(\d+)\b")
_KEYS = ("for", "keep_firing_for", "interval", "group_wait", "group_interval", "repeat_interval", "resolve_timeout")


def seconds(duration: str) -> float:
    """What Prometheus takes a duration for."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def scaled(duration: str) -> str:
    """A duration at our pace."""
    return f"{round(seconds(duration) * 1000 / PACE)}ms"


def expression(text: str) -> str:
    """An expression of PromQL at our pace."""
    ranged = _RANGES.sub(lambda found: scaled(found[0]), text)
    return _AGES.sub(_age, ranged)


def _age(found: re.Match[str]) -> str:
    least = LEAST_AGE_OF_A_RUN if "sshd_local" in found[1] else 0.0
    return f"{found[1]}{max(int(found[2]) / PACE, least):g}"


def faster(document: Any) -> Any:
    """A parsed file of rules, or the configuration of Alertmanager, at our pace."""
    if isinstance(document, list):
        return [faster(one) for one in document]
    if not isinstance(document, dict):
        return document
    made = {key: faster(value) for key, value in document.items()}
    for key, value in document.items():
        if key in _KEYS and isinstance(value, str):
            made[key] = scaled(value)
        elif key == "expr":
            made[key] = expression(value)
    return made
