"""Rules for connections that did not come about, all of them or some."""

from ..ending import NOT_ACCEPTED, Ending
from .cause import Cause
from .facts import Facts
from .rule import LIKELY, POSSIBLE, Rule, all_are, breaks_on_own_concurrency

_BACKLOG = "the listen backlog is full"


def _is_count_per_time(facts: Facts) -> bool:
    # The first k were served, then nothing was, and one more alone a moment later was not either.
    again = facts.again
    served = facts.served_first
    return bool(served) and bool(facts.failed) and again is not None and again.ending in (*NOT_ACCEPTED, Ending.CLOSED)


NOT_CONNECTED: tuple[Rule, ...] = (
    Rule(
        Cause.RATE_LIMIT,
        LIKELY,
        _is_count_per_time,
        ("a ban that began during this run",),
    ),
    Rule(
        Cause.RATE_LIMIT,
        POSSIBLE,
        # The time was up before one more alone could tell a count from a limit at once.
        lambda facts: bool(facts.served_first) and facts.endings == {Ending.CONNECT_TIMEOUT} and facts.again is None,
        ("a limit of connections at once for each address", "a ban that began during this run"),
    ),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        LIKELY,
        lambda facts: bool(facts.endings) and facts.endings <= NOT_ACCEPTED and breaks_on_own_concurrency(facts),
        ("a limit of connections per time with a window that has passed", "a limit of connections over all addresses"),
    ),
    Rule(
        Cause.STALLED,
        LIKELY,
        lambda facts: facts.nothing_served and facts.endings == {Ending.BANNER_TIMEOUT, Ending.CONNECT_TIMEOUT},
        ("a firewall that lets some connections through",),
    ),
    Rule(
        Cause.UNREACHABLE,
        LIKELY,
        # On the way out already: nothing left this machine, so nothing is said about the server.
        lambda facts: facts.all_are(Ending.REJECTED) and facts.is_rejected_by_ourselves,
        ("the ICMP answer comes from our own address: a firewall on this machine",),
    ),
    Rule(
        Cause.BANNED,
        LIKELY,
        lambda facts: facts.all_are(*NOT_ACCEPTED) and facts.witness_served is True,
    ),
    Rule(
        Cause.BANNED,
        LIKELY,
        lambda facts: facts.all_are(Ending.REJECTED) and not facts.is_rejected_by_router,
        ("a firewall rule that rejects everybody",),
    ),
    Rule(
        Cause.UNREACHABLE,
        LIKELY,
        # A router answers only some of several quick SYNs (its own rate limit): one explicit answer explains the run.
        lambda facts: (
            facts.all_are(Ending.REJECTED, Ending.UNREACHABLE, Ending.CONNECT_TIMEOUT)
            and bool(facts.endings & {Ending.REJECTED, Ending.UNREACHABLE})
        ),
    ),
    Rule(
        Cause.NOT_LISTENING,
        LIKELY,
        all_are(Ending.REFUSED),
        ("a firewall that rejects with a TCP reset", "a ban that does so"),
    ),
    Rule(
        Cause.BANNED,
        LIKELY,
        # A ban is of one address: where the second source meets the same silence, it is none.
        lambda facts: (
            facts.all_are(Ending.CONNECT_TIMEOUT)
            and facts.report.control == "answered"
            and facts.witness_served is not False
        ),
        (_BACKLOG, "a firewall that drops everybody on that port"),
    ),
    Rule(
        Cause.FILTERED,
        LIKELY,
        lambda facts: facts.all_are(Ending.CONNECT_TIMEOUT) and facts.report.control == "answered",
        (_BACKLOG, "both our addresses are banned and dropped"),
    ),
    Rule(
        Cause.FILTERED,
        POSSIBLE,
        all_are(Ending.CONNECT_TIMEOUT),
        ("the host is down", "our address is banned and dropped", _BACKLOG),
    ),
)
