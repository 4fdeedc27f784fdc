"""Thresholds and states as a user writes them: LABEL=RANGE, WORD=STATE."""

import re

from ..diagnosis.cause import Cause
from ..ending import Ending
from ..perfdata import LABELS

DEFAULT_WARNING = {"early_close": "0", "banner_p50": "1", "early_close_window": "1"}
DEFAULT_CRITICAL = {"early_close": "50", "banner_p50": "5"}

STATES = ("ok", "warning", "critical", "unknown")

# The plugin guidelines' range. nagiosplugin's own parser also takes "", "1_000", Arabic digits and "5:6:7"; none of
# these means anything to whoever reads our warn and crit fields, so only what the guidelines describe passes.
# Python makes no int of more than 4300 digits.
_NUMBER = r"-?(?:[0-9]{1,15}(?:\.[0-9]{1,15})?|\.[0-9]{1,15})"
_RANGE = rf"(?P<invert>@?)(?:(?P<start>~|{_NUMBER})?:)?(?P<end>{_NUMBER})?"


def parse_thresholds(text: str) -> dict[str, str]:
    """Return label -> range of one option's value, `LABEL=RANGE[,LABEL=RANGE]`; raises ValueError with a sentence."""
    found = {}
    for item in text.split(","):
        label, equals, spec = item.partition("=")
        if not equals:
            raise ValueError(f"{item!r} is no LABEL=RANGE, as in banner_p50=0.5")
        if label not in LABELS:
            raise ValueError(f"{label!r} is no perfdata label; these are: {', '.join(LABELS)}")
        found[label] = parse_range(spec)
    return found


def parse_range(spec: str) -> str:
    """Return a Nagios range in its shortest form (`0:5` is `5`); raises ValueError with a sentence."""
    match = re.fullmatch(_RANGE, spec)
    if match is None or spec in ("", "@", ":", "@:"):
        raise ValueError(f"{spec!r} is no Nagios range, as in 5, 1:5, ~:5, 5: or @1:5")
    start, end = match["start"], match["end"]
    low = float("-inf") if start == "~" else float(start or 0)
    if end is not None and low > float(end):
        raise ValueError(f"{spec!r} is a range that ends before it begins")
    # Icinga's metric writers keep plain numbers only, so a range that is one is written as one.
    return f"{match['invert']}{end}" if end is not None and (start is None or low == 0) else spec


def parse_states(text: str) -> dict[str, str]:
    """Return ending or cause -> state of one option's value, `WORD=STATE[,WORD=STATE]`; raises ValueError."""
    found = {}
    words = (*Ending, *Cause)
    for item in text.split(","):
        word, _, state = item.partition("=")
        if word not in words:
            raise ValueError(f"{word!r} is no ending and no cause; these are: {', '.join(dict.fromkeys(words))}")
        if state.lower() not in STATES:
            raise ValueError(f"{item!r} does not say {', '.join(STATES[:-1])} or {STATES[-1]}")
        found[word] = state.lower()
    return found
