"""What speaks for a cause, in sentences with their numbers."""

from ..ending import Ending
from ..report import quantile
from .cause import Cause
from .facts import VERBS, Facts
from .maxstartups import wilson


def evidence(facts: Facts, cause: Cause) -> tuple[str, ...]:
    """Return the findings of a run, the ones that decide first."""
    found = [facts.count, *_alone(facts), *_words(facts), *_times(facts)]
    found += _witnesses(facts)
    if facts.is_self_inflicted(cause):
        found.append(f"our own burst alone explains it: more than {facts.served_at_once} of ours at once hit the limit")
    elif cause is Cause.MAXSTARTUPS:
        found += _startups(facts)
    return tuple(found)


def _alone(facts: Facts) -> list[str]:
    found = []
    if facts.baseline is not None and facts.burst:
        found.append(f"alone, before the others: {VERBS[facts.baseline.ending]}")
    if facts.again is not None:
        found.append(f"alone, after all had closed: {VERBS[facts.again.ending]}")
    served = facts.served_first
    if served and facts.failed:
        after = " until they had closed" if facts.again is not None and facts.again.ending is Ending.COMPLETED else ""
        found.append(f"the first {served} were served, none after them{after}")
    return found


def _words(facts: Facts) -> list[str]:
    found = [
        f'the server said "{text}"' + (f" {times} times" if times > 1 else "")
        for text, times in facts.texts.most_common(3)
    ]
    return found + list(dict.fromkeys(h.detail for h in facts.failed if h.detail))[:3]


def _times(facts: Facts) -> list[str]:
    found = []
    times = facts.times_to_close
    if times:
        found.append(
            f"it closed without a word {1000 * times[0]:.2f} to {1000 * times[-1]:.2f} ms after it had accepted"
        )
    if facts.early:
        low, high = wilson(len(facts.early), sum(h.is_accepted for h in facts.ours))
        found.append(f"early closes: 95 % interval {100 * low:.0f} to {100 * high:.0f} % of connections")
    slow = facts.report.durations("banner")
    if slow and facts.endings & {Ending.BANNER_TIMEOUT, Ending.KEXINIT_TIMEOUT}:
        found.append(f"where a banner came, it took {quantile(slow, 0.5):.3f} s in the median")
    return found


def _witnesses(facts: Facts) -> list[str]:
    found = []
    if facts.witness is not None:
        found.append(f"from the second source {facts.witness.source}, meanwhile: {VERBS[facts.witness.ending]}")
    if facts.asked is not None:
        found.append(f"when we spoke first: {VERBS[facts.asked.ending]}")
    if facts.report.control is not None:
        found.append(f"the control port of the host {facts.report.control}")
    return found


def _startups(facts: Facts) -> list[str]:
    estimate = facts.estimate
    if estimate is None:
        return []
    about = f"others hold about {estimate.likeliest} unauthenticated connections"
    of = (
        f"{facts.setting}"
        if facts.is_setting_known
        else f"{facts.setting} (the default; --max-startups if it is another)"
    )
    return [f"with MaxStartups {of} {about}, 95 % interval {estimate.low} to {estimate.high}"]
