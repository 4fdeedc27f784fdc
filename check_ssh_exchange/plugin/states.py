"""States and their order, results and the verdict that they add up to; states are nagiosplugin's."""

from collections.abc import Iterable

from ..values import NamedTuple
from .nagios import Critical, Ok, State, Unknown, Warn

STATE_OF_WORD: dict[str, State] = {"ok": Ok, "warning": Warn, "critical": Critical, "unknown": Unknown}
WORDS = tuple(STATE_OF_WORD)

# nagiosplugin orders by exit code, so that UNKNOWN hides CRITICAL. Here CRITICAL outranks UNKNOWN: operators are paged
# for known failures.
_SEVERITY = {Ok: 0, Unknown: 1, Warn: 2, Critical: 3}


class Result(NamedTuple):
    """One judgement: a state, and why where a reason is worth a place in the status line ("" where not)."""

    state: State
    reason: str = ""


class Verdict(NamedTuple):
    """The worst state, and the reasons for it and for lesser states, worst first."""

    state: State
    reasons: tuple[str, ...] = ()


def verdict_of(results: Iterable[Result]) -> Verdict:
    """Return what results add up to; OK without any."""
    ordered = sorted(results, key=lambda result: -_SEVERITY[result.state])
    if not ordered:
        return Verdict(Ok)
    reasons = dict.fromkeys(result.reason for result in ordered if result.reason and result.state is not Ok)
    return Verdict(ordered[0].state, tuple(reasons))
