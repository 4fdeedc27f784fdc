"""Thresholds and states as a user writes them: LABEL=RANGE, WORD=STATE."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from ..values import NamedTuple
from .nagios import Critical, Ok, Range, State, Warn
from .states import WORDS

# The plugin guidelines' range. nagiosplugin's own parser also takes "", "1_000", Arabic digits and "5:6:7"; none of
# these means anything to readers of our warn and crit fields, so only what the guidelines describe passes.
# Python makes no int of more than 4300 digits.
_NUMBER = r"-?(?:[0-9]{1,15}(?:\.[0-9]{1,15})?|\.[0-9]{1,15})"
_RANGE = rf"(?P<invert>@?)(?:(?P<start>~|{_NUMBER})?:)?(?P<end>{_NUMBER})?"


class Thresholds(NamedTuple):
    """Ranges by label, as the user wrote them. A figure outside of its range has that state, critical first."""

    warning: Mapping[str, str]
    critical: Mapping[str, str]

    def state(self, label: str, value: float) -> State:
        """Return the state of a figure; OK where its label has no range."""
        for ranges, state in ((self.critical, Critical), (self.warning, Warn)):
            spec = ranges.get(label)
            if spec is not None and not _range(spec).match(value):
                return state
        return Ok

    def range_of(self, label: str, state: State) -> str:
        """Return the range that gives a label this state, WARNING or CRITICAL; raises KeyError for none."""
        return (self.critical if state is Critical else self.warning)[label]

    def upper_end(self, label: str) -> float | None:
        """Return where a label's warning range ends; None without an end, or for a range turned round."""
        spec = self.warning.get(label, "@")
        end = spec.rpartition(":")[2]
        return None if spec.startswith("@") or not end else float(end)


NONE = Thresholds({}, {})


@lru_cache(256)  # the same for each figure of each server that an exporter probes
def _range(spec: str) -> Range:
    return Range(spec)


def position(spec: str) -> str:
    """Return where a value lies that is outside of a range: `outside 1:5`, and `inside 0 to 5` for `@5`."""
    if not spec.startswith("@"):
        return f"outside {spec}"
    start, _, end = spec[1:].rpartition(":")
    return f"inside {start.replace('~', '-infinity') or '0'} to {end or 'infinity'}"


def parse_thresholds(text: str, labels: Iterable[str]) -> dict[str, str]:
    """Return label -> range of one option's value, `LABEL=RANGE[,LABEL=RANGE]`; raises ValueError with a sentence."""
    found = {}
    for item in text.split(","):
        label, equals, spec = item.partition("=")
        if not equals:
            raise ValueError(f"{item!r} is not a valid LABEL=RANGE, as in {next(iter(labels))}=5")
        if label not in labels:
            raise ValueError(f"{label!r} is not a perfdata label; these are: {', '.join(labels)}")
        found[label] = parse_range(spec)
    return found


def parse_range(spec: str) -> str:
    """Return a Nagios range as it was written; raises ValueError with a sentence."""
    match = re.fullmatch(_RANGE, spec)
    if match is None or spec in ("", "@", ":", "@:"):
        raise ValueError(f"{spec!r} is not a valid Nagios range, as in 5, 1:5, ~:5, 5: or @1:5")
    start, end = match["start"], match["end"]
    low = float("-inf") if start == "~" else float(start or 0)
    if end is not None and low > float(end):
        raise ValueError(f"{spec!r} is not a valid range: it ends before it begins")
    return spec


@lru_cache(256)
def shortest(spec: str) -> str:
    """Return a range in its shortest form (`0:5` is `5`); "" as it is."""
    # Icinga's metric writers keep plain numbers only, so a range that is one is written as one.
    if ":" not in spec:
        return spec
    match = re.fullmatch(_RANGE, spec)
    if match is None or match["end"] is None or match["start"] == "~" or float(match["start"] or 0) != 0:
        return spec
    return f"{match['invert']}{match['end']}"


def parse_states(text: str, words: Iterable[str], what: str) -> dict[str, str]:
    """Return word -> state of one option's value, `WORD=STATE[,WORD=STATE]`; raises ValueError with a sentence.

    `what` says what the words are: `an ending or a cause`.
    """
    found = {}
    for item in text.split(","):
        word, _, state = item.partition("=")
        if word not in words:
            known = ", ".join(dict.fromkeys(words))
            raise ValueError(f"{word!r} is not {what}; these are: {known}")
        if state.lower() not in WORDS:
            raise ValueError(f"{item!r} does not name a state: {', '.join(WORDS[:-1])} or {WORDS[-1]}")
        found[word] = state.lower()
    return found
