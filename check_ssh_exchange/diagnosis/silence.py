"""Rules for connections that were accepted, and closed or left without a word."""

from ..ending import Ending
from .cause import Cause
from .facts import AT_ONCE, Facts
from .rule import LIKELY, POSSIBLE, Predicate, Rule, all_are, breaks_on_own_concurrency, is_witnessed_per_source

_SUPER_SERVER = "xinetd's only_from or no_access, or a limit of a super-server that others have used up"
_DROPBEAR_FULL = "dropbear with all places taken, of our address (5) or of all (30)"
_OVER_ALL = "a limit over all addresses: xinetd's instances, systemd's MaxConnections; a second -S would tell"
_OLD_OPENSSH = "MaxStartups of OpenSSH before 8.2, which closes without a word"
_SPEECHLESS = frozenset({Ending.BANNER_TIMEOUT, Ending.KEXINIT_TIMEOUT})
_NO_BACKEND = "a load balancer without a live backend"


def _is_libwrap(facts: Facts) -> bool:
    # libwrap's refusal in sshd sleeps five seconds before it exits: 5.011 to 5.014 s measured on four idle versions.
    # A load balancer closes then as well when it tries a dead backend six times (5.013 s, HAProxy). The fastest close
    # decides: a loaded server is late with the others.
    times = facts.times_to_close
    return facts.all_are(Ending.CLOSED, Ending.BANNER_TIMEOUT) and bool(times) and 5.004 <= times[0] < 5.5


def _is_broken_by_concurrency(facts: Facts) -> bool:
    return bool(facts.early) and breaks_on_own_concurrency(facts) and facts.closed_within(0, 0.5)


def _is_asked_and(*endings: Ending) -> Predicate:
    return lambda facts: facts.asked is not None and facts.asked.ending in endings


def _is_slow_beyond_the_deadline(facts: Facts) -> bool:
    # Alone it answered; the others were given less time than a little more than that answer took. The kernel answers
    # a SYN: where that went unanswered, the daemon's pace is not the reason.
    baseline = facts.baseline
    if baseline is None or baseline.banner is None or baseline.ending is not Ending.COMPLETED:
        return False
    times = [h.ended for h in facts.failed]
    return bool(times) and facts.endings <= _SPEECHLESS and min(times) < 1.5 * baseline.ended


def _is_dropbear(facts: Facts) -> bool:
    return facts.software is not None and facts.software.name == "dropbear"


CLOSED_WITHOUT_WORDS: tuple[Rule, ...] = (
    Rule(Cause.ACCESS_DENIED, LIKELY, _is_libwrap, ("a load balancer that gives up after five seconds",)),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        LIKELY,
        lambda facts: bool(facts.early) and is_witnessed_per_source(facts),
        ("a limit over all addresses that lets the second source pass by chance",),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.is_openssh(below=(8, 2)) and facts.endings <= {Ending.CLOSED, Ending.RESET},
        ("a limit of connections for each source address before sshd", "fork() fails on the server"),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        POSSIBLE,
        # The first few of ours fill all places, and the second source finds none either.
        lambda facts: _is_broken_by_concurrency(facts) and facts.witness_served is False,
        ("a limit of a super-server: xinetd's instances, systemd's MaxConnections", "fork() fails on the server"),
    ),
    Rule(Cause.PER_SOURCE_LIMIT, LIKELY, _is_broken_by_concurrency, (_OVER_ALL, _OLD_OPENSSH)),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        POSSIBLE,
        lambda facts: _is_dropbear(facts) and facts.endings <= {Ending.CLOSED, Ending.RESET},
        ("dropbear's limit over all addresses (30)",),
    ),
    Rule(
        Cause.ACCESS_DENIED,
        LIKELY,
        # The server lives, for another address of ours.
        lambda facts: facts.all_are(Ending.CLOSED, Ending.RESET) and facts.witness_served is True,
        ("a limit of connections for each source address, used up by others at ours",),
    ),
    Rule(
        Cause.PROXY,
        LIKELY,
        # Nothing of ours is unread when we are silent, so a RST is a decision: a load balancer's reject.
        all_are(Ending.RESET),
        ("a firewall that resets established connections",),
    ),
    Rule(
        Cause.PROXY,
        LIKELY,
        # No sshd takes a second to close without a word: it serves, or its child is dead in milliseconds.
        lambda facts: facts.endings == {Ending.CLOSED} and facts.closed_within(0.9, float("inf")),
        ("a server that takes that long to fail",),
    ),
    Rule(
        Cause.SERVER_FAULT,
        POSSIBLE,
        # Load makes a close later, never earlier: the fastest tells who it was.
        lambda facts: facts.all_are(Ending.CLOSED) and facts.times_to_close[0] < AT_ONCE,
        (f"{_NO_BACKEND} closes as fast", _SUPER_SERVER, _DROPBEAR_FULL),
    ),
    Rule(
        Cause.SERVER_FAULT,
        LIKELY,
        all_are(Ending.CLOSED),
        (_NO_BACKEND, _SUPER_SERVER, _DROPBEAR_FULL, "MaxStartups of OpenSSH before 8.2"),
    ),
    Rule(
        Cause.SERVER_FAULT,
        LIKELY,
        all_are(Ending.CLOSED, Ending.CLOSED_AFTER_BANNER),
    ),
    Rule(
        Cause.SERVER_FAULT,
        POSSIBLE,
        lambda facts: facts.is_openssh((8, 2)) and facts.endings <= {Ending.CLOSED, Ending.CLOSED_AFTER_BANNER},
        ("a limit of the super-server or load balancer before sshd",),
    ),
)

SILENT: tuple[Rule, ...] = (
    Rule(
        Cause.SLOW,
        LIKELY,
        _is_slow_beyond_the_deadline,
        ("the server stalled during this run; a longer --timeout would tell",),
    ),
    Rule(
        Cause.PROXY,
        LIKELY,
        _is_asked_and(Ending.RESET, Ending.NOT_SSH, Ending.CLOSED),
        ("a service that waits for its client and does not know SSH",),
    ),
    Rule(Cause.NOT_SSH, LIKELY, _is_asked_and(Ending.TURNED_AWAY)),
    Rule(
        Cause.STALLED,
        LIKELY,
        all_are(Ending.BANNER_TIMEOUT, Ending.KEXINIT_TIMEOUT),
        (
            "a firewall that lets the connection through and drops what follows",
            "a tarpit that is slower than our timeout",
        ),
    ),
    Rule(
        Cause.STALLED,
        POSSIBLE,
        lambda facts: bool(facts.endings) and facts.endings <= _SPEECHLESS,
        ("a limit of connections that queues instead of closing, as a load balancer's maxconn",),
    ),
    Rule(Cause.NOT_SSH, LIKELY, all_are(Ending.NOT_SSH)),
    Rule(Cause.INCOMPATIBLE, LIKELY, all_are(Ending.PROTOCOL_ERROR)),
)
