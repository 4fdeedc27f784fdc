"""The questions that rules ask of the facts, each a pure predicate."""

import re
from collections.abc import Callable

from ..ending import NOT_ACCEPTED, Ending, Reason
from .facts import Facts
from .sayings import NOT_ALLOWED

Predicate = Callable[[Facts], bool]

SPEECHLESS = frozenset({Ending.BANNER_TIMEOUT, Ending.KEXINIT_TIMEOUT})


def all_are(*endings: Ending) -> Predicate:
    """Return whether nothing was served and every handshake ended in one of these ways."""
    return lambda facts: facts.all_are(*endings)


def breaks_on_own_concurrency(facts: Facts) -> bool:
    """Return whether we were served alone and then, at once, the first few were and the others not."""
    return facts.served_alone and facts.is_cut_sharp and facts.recheck is not None


def is_per_source(facts: Facts) -> bool:
    """Return whether the second source was served while ours were refused, after the first few.

    A limit for each source serves the first few and none after them. Random early drop serves some in any order, and
    by chance the second source too.
    """
    return facts.second_source_served is True and facts.is_cut_sharp and facts.served_at_once > 0


def has(reason: Reason) -> Predicate:
    """Return whether one of our handshakes failed for this reason."""
    return lambda facts: any(h.reason is reason for h in facts.failed)


def disconnects_with(*reasons: int) -> Predicate:
    """Return whether the server has sent SSH_MSG_DISCONNECT with one of these reasons (RFC 4253 11.1)."""
    return lambda facts: any(h.disconnect in reasons for h in facts.failed)


def matches(pattern: str) -> Predicate:
    """Return whether one of the server's texts begins like this."""
    return lambda facts: any(re.match(pattern, text) for text in facts.texts)


def answers_a_client_with(*endings: Ending) -> Predicate:
    """Return whether the handshake in which we spoke first ended in one of these ways."""
    return lambda facts: facts.speaking_first is not None and facts.speaking_first.ending in endings


def is_tarpit(facts: Facts) -> bool:
    """Return whether lines keep coming without an identification."""
    # endlessh sends one each ten seconds, until the client gives up.
    endless = facts.all_are(Ending.BANNER_TIMEOUT) and any(h.text for h in facts.failed)
    return endless or has(Reason.TOO_MANY_LINES)(facts)


def is_fault_turned_penalty(facts: Facts) -> bool:
    """Return whether the first handshakes met a fault and later ones a penalty."""
    # OpenSSH 9.8 and later count each child that dies against the client: after 16 a fault looks like a penalty.
    first = facts.ours[0].ending if facts.ours else None
    return first in (Ending.CLOSED, Ending.CLOSED_AFTER_BANNER) and facts.nothing_served and facts.says(NOT_ALLOWED)


def is_penalty_begun(facts: Facts) -> bool:
    """Return whether a penalty began during the run: the first few were served, none after them, alone neither."""
    # Random early drop can look so after two or three, hardly ever after five; and it does not serve the second source
    # while it drops all from the first.
    recheck = facts.recheck
    turned = recheck is not None and recheck.ending is Ending.TURNED_AWAY
    served = facts.served_first or 0
    is_unlikely_by_chance = facts.second_source_served is True or (served >= 5 and facts.second_source_served is None)
    return facts.says(NOT_ALLOWED) and turned and served > 0 and is_unlikely_by_chance


def is_count_per_time(facts: Facts) -> bool:
    """Return whether the first few were served, then none, and one more alone a moment later was not either."""
    recheck = facts.recheck
    # Whether a refusal is a FIN or a RST says nothing: both are what a process that gives up leaves.
    is_still_refused = recheck is not None and recheck.ending in (*NOT_ACCEPTED, Ending.CLOSED, Ending.RESET)
    return bool(facts.served_first) and bool(facts.failed) and is_still_refused


def is_libwrap(facts: Facts) -> bool:
    """Return whether the closes come five seconds after the accept, as libwrap's refusal does."""
    # In sshd it sleeps five seconds before it exits: 5.011 to 5.014 s measured on four idle versions. A load balancer
    # closes then as well when it tries a dead backend six times (5.013 s, HAProxy). The fastest close decides: a loaded
    # server is late with the others.
    times = facts.times_to_close
    return facts.all_are(Ending.CLOSED, Ending.BANNER_TIMEOUT) and bool(times) and 5.004 <= times[0] < 5.5


def is_broken_by_concurrency(facts: Facts) -> bool:
    """Return whether handshakes at once were closed early and at once where one alone was served."""
    return bool(facts.early) and breaks_on_own_concurrency(facts) and facts.closed_within(0, 0.5)


def is_slow_beyond_the_deadline(facts: Facts) -> bool:
    """Return whether the server answered one alone, and gave the others less time than that answer took."""
    # The kernel answers a SYN: where that went unanswered, the daemon's pace is not the reason.
    baseline = facts.baseline
    if baseline is None or baseline.banner is None or baseline.ending is not Ending.COMPLETED:
        return False
    times = [h.ended for h in facts.failed]
    return bool(times) and facts.endings <= SPEECHLESS and min(times) < 1.5 * baseline.ended


def is_dropbear(facts: Facts) -> bool:
    """Return whether the server is dropbear."""
    return facts.software is not None and facts.software.name == "dropbear"
