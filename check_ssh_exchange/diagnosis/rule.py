"""A rule: a cause and what must hold for it; and the questions that several rules ask."""

from collections.abc import Callable

from ..ending import Ending
from ..values import NamedTuple
from .cause import Cause, Confidence
from .facts import Facts

CERTAIN, LIKELY, POSSIBLE = Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE

Predicate = Callable[[Facts], bool]


class Rule(NamedTuple):
    """A cause, what must hold for it, how sure it then is, and what else it could be."""

    cause: Cause
    confidence: Confidence
    holds: Predicate
    alternatives: tuple[str, ...] = ()


def all_are(*endings: Ending) -> Predicate:
    """Return whether nothing was served and every handshake ended in one of these ways."""
    return lambda facts: facts.all_are(*endings)


def breaks_on_own_concurrency(facts: Facts) -> bool:
    """Return whether we were served alone and then, at once, the first few were and the others not."""
    return facts.served_alone and facts.is_cut_sharp and facts.again is not None


def is_witnessed_per_source(facts: Facts) -> bool:
    """Return whether the second source was served while ours were refused, after the first few.

    A limit for each source serves the first few and none after them. Random early drop serves some in any order, and
    by chance the second source too.
    """
    return facts.witness_served is True and facts.is_cut_sharp and facts.served_at_once > 0
