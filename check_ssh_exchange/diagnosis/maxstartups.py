"""MaxStartups arithmetic: OpenSSH's drop formula, and what drops say about the connections a server holds.

sshd.c, should_drop_connection, the same from 6.2 to 10.6: with n unauthenticated connections in progress before this
one a server of `start:rate:full` accepts below start, drops at full and above, and between them drops with
(100 - rate) * (n - start) / (full - start) + rate percent, in whole numbers.
"""

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from ..values import NamedTuple

# What a 95 % interval leaves out at each end.
_TAIL_95 = 0.025
_PERCENTS = 100  # a chance of a drop is a whole number of them
# Above this many tries of uncertain outcome a normal distribution gives the interval; below it is computed exactly.
MOST_EXACT = 128


class MaxStartups(NamedTuple):
    """The setting `start:rate:full`; the single number N of old configurations is N:100:N."""

    start: int = 10
    rate: int = 30
    full: int = 100

    def __str__(self) -> str:
        return f"{self.start}:{self.rate}:{self.full}"


# The estimate looks at numbers up to full; no server holds more unauthenticated connections than this.
MOST = 20_000

# The default since OpenSSH 6.2; before, the single number 10.
DEFAULT = MaxStartups()


def parse(text: str) -> MaxStartups:
    """Return the setting as sshd_config writes it; raises ValueError with a sentence."""
    match = re.fullmatch(r"([0-9]{1,6})(?::([0-9]{1,3}):([0-9]{1,6}))?", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a valid MaxStartups setting, as in 10:30:100 or 12")
    start = int(match[1])
    setting = MaxStartups(start, int(match[2] or 100), int(match[3] or start))
    if not 1 <= setting.start <= setting.full <= MOST or not 1 <= setting.rate <= 100:
        limits = f"start must not exceed full, full at most {MOST}, rate 1 to 100"
        raise ValueError(f"{text!r} is not a possible MaxStartups setting: {limits}")
    return setting


def drop_percent(startups: int, setting: MaxStartups = DEFAULT) -> int:
    """Return the chance in percent that a connection is dropped with `startups` in progress before it."""
    if startups < setting.start:
        return 0
    if startups >= setting.full or setting.rate == 100:
        return 100
    return (100 - setting.rate) * (startups - setting.start) // (setting.full - setting.start) + setting.rate


class Estimate(NamedTuple):
    """How many unauthenticated connections others hold: the likeliest number and its 95 % interval."""

    likeliest: int
    low: int
    high: int


def estimate(tries: Iterable[tuple[int, bool]], setting: MaxStartups = DEFAULT) -> Estimate | None:
    """Return what the server holds of others, from our tries.

    Each try is (our own connections in progress before it, whether it was dropped). None when nothing was dropped, or
    when no number of connections explains what was seen. At `full` and above all is dropped, so an interval that
    reaches `full` has no upper end that could be known; it is given as `full`.
    """
    groups = _grouped(tries, max(1, (setting.full - setting.start) // (2 * _PERCENTS)))
    if not any(group.dropped for group in groups):
        return None
    possible = _possible(groups, setting)
    if not possible:
        return None
    groups = _open(groups, possible, setting)
    # Where several numbers explain the drops equally well, the smallest claims least.
    likeliest = _likeliest(groups, possible, setting)
    # Few tries: an interval by the likelihood's fall would hold the true number in 86 to 90 of 100 runs only.
    below, above = range(possible.start, likeliest), range(likeliest, possible.stop)
    low = bisect_right(below, _TAIL_95, key=lambda held: 1 - _at_most(held, groups, setting, -1))
    high = bisect_left(above, -_TAIL_95, key=lambda held: -_at_most(held, groups, setting))
    return Estimate(likeliest, possible.start + low, max(likeliest, likeliest + high - 1))


def likelihood(tries: Iterable[tuple[int, bool]], setting: MaxStartups = DEFAULT) -> float:
    """Return the chance of just these tries where others hold any number up to full, each as likely; 0 to 1."""
    groups = _grouped(tries, 1)
    possible = range(setting.full + 1)
    return sum(math.exp(_likelihood(held, groups, setting)) for held in possible) / len(possible)


class _Group(NamedTuple):
    """The tries with the same number of our own connections in progress: the chance of a drop is one for all."""

    own: int
    tries: int
    dropped: int


def _grouped(tries: Iterable[tuple[int, bool]], width: int) -> list[_Group]:
    # Within a width of a quarter percent of the chance they count as one, so that thousands of tries are few groups.
    counts: dict[int, list[int]] = {}
    for own, dropped in tries:
        count = counts.setdefault(own // width * width, [0, 0])
        count[0] += 1
        count[1] += dropped
    return [_Group(own, made, dropped) for own, (made, dropped) in sorted(counts.items())]


def _possible(groups: list[_Group], setting: MaxStartups) -> range:
    """Return the numbers of connections with which none of our tries is impossible; empty for none."""
    # A connection is dropped from start on only, and served below `never` only.
    never = setting.start if setting.rate == _PERCENTS else setting.full
    low = setting.start - min(group.own for group in groups if group.dropped)
    high = never - 1 - max((group.own for group in groups if group.dropped < group.tries), default=-setting.full)
    return range(max(0, low), min(setting.full, high) + 1)


def _open(groups: list[_Group], possible: range, setting: MaxStartups) -> list[_Group]:
    """Return the groups whose tries could end both ways: the others say nothing about which number it is."""
    never = setting.start if setting.rate == _PERCENTS else setting.full
    return [group for group in groups if setting.start - possible[-1] <= group.own < never - possible[0]]


def _likeliest(groups: list[_Group], possible: range, setting: MaxStartups) -> int:
    """Return the number of connections that explains the tries best, the smallest of equals."""
    # Drop chances are whole percents, so the likelihood is flat over about full / 100 neighbours: a first look at that
    # distance misses nothing, a second one around the best finds where it begins.
    step = max(1, (setting.full - setting.start) // (2 * _PERCENTS))
    best = max(possible[::step], key=lambda held: _likelihood(held, groups, setting))
    near = range(max(possible[0], best - 2 * step), min(possible[-1], best + 2 * step) + 1)
    return max(near, key=lambda held: _likelihood(held, groups, setting))


def _at_most(held: int, groups: list[_Group], setting: MaxStartups, more: int = 0) -> float:
    """Return how likely at most as many drops as were seen, and `more`, are with `held` connections of others."""
    seen = sum(group.dropped for group in groups) + more
    chances = [(group.tries, drop_percent(held + group.own, setting) / 100) for group in groups]
    open_tries = sum(tries for tries, chance in chances if 0 < chance < 1)
    certain = sum(tries for tries, chance in chances if chance == 1)
    if open_tries > MOST_EXACT:
        middle = sum(tries * chance for tries, chance in chances)
        spread = math.sqrt(sum(tries * chance * (1 - chance) for tries, chance in chances))
        return 0.5 * math.erfc((middle - seen - 0.5) / spread / math.sqrt(2))
    exact = [1.0]
    for tries, chance in chances:
        for _ in range(tries if 0 < chance < 1 else 0):
            exact = [
                kept * (1 - chance) + dropped * chance
                for kept, dropped in zip([*exact, 0.0], [0.0, *exact], strict=True)
            ]
    return sum(exact[: max(0, seen - certain + 1)])


def _likelihood(held: int, groups: list[_Group], setting: MaxStartups) -> float:
    """Return the logarithm of how likely these tries are with `held` connections of others."""
    total = 0.0
    for own, tries, dropped in groups:
        percent = drop_percent(held + own, setting)
        if (percent == 0 and dropped) or (percent == 100 and dropped < tries):
            return -math.inf
        if 0 < percent < 100:
            total += dropped * _LOG[percent] + (tries - dropped) * _LOG[100 - percent]
    return total


_LOG = [-math.inf, *(math.log(percent / 100) for percent in range(1, 101))]


def wilson(count: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a share, 95 % by default; (0, 1) when there is nothing to count."""
    if total == 0:
        return 0.0, 1.0
    share = count / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)
