"""What speaks for a cause, in sentences with their numbers."""

from ..ending import Ending
from ..report import quantile
from ..text import milliseconds
from .cause import Cause
from .facts import Facts
from .maxstartups import wilson


def evidence(facts: Facts, cause: Cause) -> tuple[str, ...]:
    """Return the findings of a run, the ones that decide first."""
    if names := sorted(facts.refused_host_keys):
        closed = f"the server offers {' and '.join(names)} and closes when asked for such a host key"
        return facts.count, closed, "those who asked for another were served"
    found = [facts.count, *_alone(facts), *_words(facts), *_times(facts)]
    found += _further_tests(facts)
    if facts.is_self_inflicted(cause):
        found.append(f"our own burst alone explains it: more than {facts.served_at_once} at once hit the limit")
    elif cause is Cause.MAXSTARTUPS:
        found += _startups(facts)
        if facts.is_cut_sharp and facts.served_alone and facts.recheck is not None and not facts.is_setting_known:
            found.append(f"a limit of {facts.served_at_once} at once would explain it too, with our own burst alone")
    return tuple(found)


def _alone(facts: Facts) -> list[str]:
    found = []
    if facts.baseline is not None and facts.burst:
        found.append(f"one handshake alone, before the burst: {facts.baseline.ending.phrase}")
    if facts.recheck is not None:
        found.append(f"one handshake alone, after the burst had closed: {facts.recheck.ending.phrase}")
    if facts.second_burst:
        again = sum(h.ending is Ending.COMPLETED for h in facts.second_burst)
        found.append(f"the burst once more: {again} of {len(facts.second_burst)} served")
    served = facts.served_first
    if served and facts.failed:
        after = (
            " until they had closed" if facts.recheck is not None and facts.recheck.ending is Ending.COMPLETED else ""
        )
        at_once = len(facts.burst)
        alone = facts.baseline is not None and facts.baseline.ending is Ending.COMPLETED
        if alone and at_once > 1 and served <= at_once and len({h.wave for h in facts.burst}) == 1:
            first = (
                "none was"
                if served == 1
                else "only the first was"
                if served == 2
                else f"only the first {served - 1} were"
            )
            found.append(f"of the {at_once} opened at once {first} served")
        else:
            found.append(f"the first {served} were served, none after them{after}")
    return found


def _words(facts: Facts) -> list[str]:
    found = [
        f'the server said "{text}"' + (f" {times} times" if times > 1 else "")
        for text, times in facts.texts.most_common(3)
    ]
    if facts.saying is not None:
        found.append(f"these are the words of {facts.saying.speaker}")
    return found + list(dict.fromkeys(h.detail for h in facts.failed if h.detail))[:3]


def _times(facts: Facts) -> list[str]:
    found = []
    times = facts.times_to_close
    if times:
        found.append(
            f"it closed without a word {1000 * times[0]:.2f} to {1000 * times[-1]:.2f} ms after it had accepted"
        )
    if facts.early:
        accepted = sum(h.is_accepted for h in facts.ours)
        low, high = wilson(len(facts.early), accepted)
        share = f"{100 * len(facts.early) / accepted:.0f} %"
        interval = f"95 % confidence interval {100 * low:.0f} to {100 * high:.0f} %"
        found.append(f"early closes: {share} of connections ({interval})")
    slow = facts.report.durations("banner")
    if slow and facts.endings & {Ending.BANNER_TIMEOUT, Ending.KEXINIT_TIMEOUT}:
        found.append(f"where a banner came, it took {quantile(slow, 0.5):.3f} s in the median")
    return found


def _further_tests(facts: Facts) -> list[str]:
    found = []
    if facts.second_source is not None:
        found.append(
            f"from the second source {facts.second_source.source}, meanwhile: {facts.second_source.ending.phrase}"
        )
    if facts.speaking_first is not None:
        found.append(f"when we spoke first: {facts.speaking_first.ending.phrase}")
    if facts.report.control is not None:
        took = facts.report.control_took
        after = f" after {milliseconds(took)}" if took is not None else ""
        found.append(f"the control port of the host {f'answered{after}' if facts.report.control else 'did not answer'}")
    if facts.is_answered_too_near:
        near = milliseconds(facts.report.nearest or 0.0)
        found.append(f"this port answered after {near}: something nearer than the host accepts for it")
    return found


def _startups(facts: Facts) -> list[str]:
    estimate = facts.estimate
    if estimate is None:
        return []
    plural = "" if estimate.likeliest == 1 else "s"
    about = f"others hold about {estimate.likeliest} unauthenticated connection{plural}"
    of = (
        f"{facts.setting}"
        if facts.is_setting_known
        else f"{facts.setting} (the default; --max-startups if it is another)"
    )
    return [f"with MaxStartups {of} {about}, 95 % interval {estimate.low} to {estimate.high}"]
