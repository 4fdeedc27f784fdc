"""MaxStartups arithmetic: OpenSSH's drop formula, and what drops say about the connections a server holds.

sshd.c, should_drop_connection, the same from 6.2 to 10.6: with n unauthenticated connections in progress before this
one a server of `start:rate:full` accepts below start, drops at full and above, and between them drops with
(100 - rate) * (n - start) / (full - start) + rate percent, in whole numbers.
"""

import math
import re
from bisect import bisect_left, bisect_right

from ..values import NamedTuple

# What a 95 % interval leaves out at each end.
_TAIL_95 = 0.025


class MaxStartups(NamedTuple):
    """The setting `start:rate:full`; the single number N of old configurations is N:100:N."""

    start: int = 10
    rate: int = 30
    full: int = 100

    def __str__(self) -> str:
        return f"{self.start}:{self.rate}:{self.full}"


# The estimate tries every number up to full; no server holds more unauthenticated connections than this.
MOST = 20_000

# The default since OpenSSH 6.2; before, the single number 10.
DEFAULT = MaxStartups()


def parse(text: str) -> MaxStartups:
    """Return the setting as sshd_config writes it; raises ValueError with a sentence."""
    match = re.fullmatch(r"([0-9]{1,6})(?::([0-9]{1,3}):([0-9]{1,6}))?", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is no MaxStartups setting, as in 10:30:100 or 12")
    start = int(match[1])
    setting = MaxStartups(start, int(match[2] or 100), int(match[3] or start))
    if not 1 <= setting.start <= setting.full <= MOST or not 1 <= setting.rate <= 100:
        raise ValueError(f"{text!r} is a MaxStartups setting that cannot be: start <= full <= {MOST}, rate 1 to 100")
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


def estimate(tries: list[tuple[int, bool]], setting: MaxStartups = DEFAULT) -> Estimate | None:
    """Return what the server holds of others, from tries of ours.

    Each try is (our own connections in progress before it, whether it was dropped). None when nothing was dropped, or
    when no number of connections explains what was seen. At `full` and above all is dropped, so an interval that
    reaches `full` has no upper end that could be known; it is given as `full`.
    """
    if not any(dropped for _, dropped in tries):
        return None
    scores = [_likelihood(held, tries, setting) for held in range(setting.full + 1)]
    best = max(scores)
    if best == -math.inf:
        return None
    # Where several numbers explain the drops equally well, the smallest claims least.
    likeliest = scores.index(best)
    # Few tries: an interval by the likelihood's fall would hold the true number in 86 to 90 of 100 runs only.
    low = bisect_right(range(likeliest), _TAIL_95, key=lambda held: 1 - _at_most(held, tries, setting, -1))
    high = (
        bisect_left(range(likeliest, setting.full + 1), -_TAIL_95, key=lambda held: -_at_most(held, tries, setting))
        + likeliest
    )
    while scores[low] == -math.inf:
        low += 1
    return Estimate(likeliest, low, max(likeliest, high - 1))


def _at_most(held: int, tries: list[tuple[int, bool]], setting: MaxStartups, more: int = 0) -> float:
    """Return how likely at most as many drops as were seen, and `more`, are with `held` connections of others."""
    chances = [1.0]
    for own, _ in tries:
        chance = drop_percent(held + own, setting) / 100
        chances = [
            kept * (1 - chance) + dropped * chance
            for kept, dropped in zip([*chances, 0.0], [0.0, *chances], strict=True)
        ]
    return sum(chances[: sum(dropped for _, dropped in tries) + 1 + more])


def _likelihood(held: int, tries: list[tuple[int, bool]], setting: MaxStartups) -> float:
    """Return the logarithm of how likely these tries are with `held` connections of others."""
    total = 0.0
    for own, dropped in tries:
        chance = drop_percent(held + own, setting) / 100
        seen = chance if dropped else 1 - chance
        if seen == 0:
            return -math.inf
        total += math.log(seen)
    return total


def wilson(count: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a share, 95 % by default; (0, 1) when there is nothing to count."""
    if total == 0:
        return 0.0, 1.0
    share = count / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)
