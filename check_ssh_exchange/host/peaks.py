"""The most startups of the last 24 hours, kept by the hour, and the MaxStartups that would have fitted them. Pure."""

from collections.abc import Mapping

from ..diagnosis.maxstartups import MOST, MaxStartups
from ..values import NamedTuple

HOUR = 3600
HOURS = 24
MOST_PLACES = 8  # sshds that are remembered


class Peak(NamedTuple):
    """The most startups, in how long (seconds); `is_remembered`: of earlier runs too."""

    most: int
    seconds: float
    is_remembered: bool

    @property
    def window(self) -> str:
        """The time in words: 24 h, 3 h, 12 min, 40 s."""
        if self.seconds >= HOUR:
            return f"{min(HOURS, round(self.seconds / HOUR))} h"
        return f"{self.seconds / 60:.0f} min" if self.seconds >= 60 else f"{self.seconds:.0f} s"


def peak_of(memory: object, at: float, place: str, now: int) -> Peak:
    """Return the peak of a listener, from what was remembered of it and what it has now."""
    hours, since = _remembered(memory, at, place)
    return Peak(max([now, *hours.values()]), max(0.0, at - since), since < at)


def after(memory: object, at: float, counts: Mapping[str, int]) -> object:
    """Return what is to be remembered: by place the most of each hour, and when the first was seen."""
    kept = {}
    for place, now in list(counts.items())[:MOST_PLACES]:
        hours, since = _remembered(memory, at, place)
        hour = int(at // HOUR)
        hours[hour] = max(now, hours.get(hour, 0))
        kept[place] = {"since": since, "hours": {str(key): value for key, value in sorted(hours.items())}}
    return kept


def proposal(most: int, setting: MaxStartups) -> MaxStartups | None:
    """Return a MaxStartups that leaves half as much room again above a peak; None where none was in danger."""
    if most < setting.start:
        return None
    start = -(-most * 3 // 20) * 10  # half as much again, in tens
    full = max(2 * start, setting.full)
    return MaxStartups(start, setting.rate, full) if full <= MOST else None


def _remembered(memory: object, at: float, place: str) -> tuple[dict[int, int], float]:
    """Return the peaks by hour since the epoch, and since when; a state file may hold anything."""
    found = memory.get(place) if isinstance(memory, dict) else None
    found = found if isinstance(found, dict) else {}
    last = int(at // HOUR)
    kept = found.get("hours")
    hours = {
        int(key): value
        for key, value in (kept.items() if isinstance(kept, dict) else ())
        if isinstance(value, int) and 0 <= value <= MOST and key.isdecimal() and last - HOURS <= int(key[:12]) <= last
    }
    since = found.get("since")
    return hours, min(at, max(float(since), at - HOURS * HOUR)) if isinstance(since, int | float) else at
