"""The rules in their order: the first that holds decides.

Order is part of the knowledge: what the wire says literally comes first, then marks that one cause alone leaves,
then what only the comparison of handshakes tells.
"""

from ..ending import NOT_ACCEPTED, Ending, Reason
from ..values import NamedTuple
from .cause import Cause, Confidence
from .facts import AT_ONCE
from .predicates import (
    SPEECHLESS,
    Predicate,
    all_are,
    answers_a_client_with,
    breaks_on_own_concurrency,
    disconnects_with,
    has,
    is_broken_by_concurrency,
    is_count_per_time,
    is_dropbear,
    is_fault_turned_penalty,
    is_libwrap,
    is_penalty_begun,
    is_per_source,
    is_slow_beyond_the_deadline,
    is_tarpit,
    matches,
)
from .sayings import EXCEEDED, FOREIGN_LINE, NOT_ALLOWED, OTHER_SERVICE, SAYINGS, TLS, Saying

CERTAIN, LIKELY, POSSIBLE = Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE


class Rule(NamedTuple):
    """A cause, what must hold for it, how sure it then is, and what else it could be."""

    cause: Cause
    confidence: Confidence
    holds: Predicate
    alternatives: tuple[str, ...] = ()
    phrase: str = ""  # where the cause's own does not fit


_BACKLOG = "the listen backlog is full"
_SUPER_SERVER = "xinetd's only_from or no_access, or a limit of a super-server that others have used up"
_DROPBEAR_FULL = "dropbear with all places taken, of our address (5) or of all (30)"
_OVER_ALL = "a limit over all addresses: xinetd's instances, systemd's MaxConnections; a second -S address would tell"
_OLD_OPENSSH = "MaxStartups of OpenSSH before 8.2, which closes without a word"
_NO_BACKEND = "a load balancer or a port forwarder (docker-proxy, slirp, socat) with nothing alive behind it"
_BY_CHANCE = "MaxStartups, when the second source was served by chance"
_SHARED_BLOCK = "PerSourceMaxStartups, when PerSourceNetBlockSize takes both our addresses for one source"


def _says(saying: Saying) -> Predicate:
    return lambda facts: facts.saying is saying


# RFC 4253 11.1; the words of a DISCONNECT come first.
_BY_REASON: tuple[Rule, ...] = (
    Rule(Cause.ACCESS_DENIED, CERTAIN, disconnects_with(1)),
    Rule(Cause.INCOMPATIBLE, LIKELY, disconnects_with(3, 8), ("a server that dislikes what this check offers",)),
    Rule(Cause.SERVER_FAULT, LIKELY, disconnects_with(7)),
    Rule(Cause.MAXSTARTUPS, LIKELY, disconnects_with(12), ("a limit on connections per source address",)),
    Rule(Cause.INCOMPATIBLE, POSSIBLE, disconnects_with(2), ("a fault of the server",)),
    Rule(Cause.UNEXPLAINED, POSSIBLE, has(Reason.DISCONNECT)),
)

WORDS: tuple[Rule, ...] = (
    Rule(
        Cause.HOST_KEY,
        CERTAIN,
        has(Reason.HOST_KEY),
        ("the server was reinstalled or its host keys were regenerated", "a man in the middle"),
    ),
    Rule(Cause.NOT_SSH, CERTAIN, lambda facts: facts.nothing_served and matches(OTHER_SERVICE)(facts)),
    Rule(
        Cause.PROXY,
        LIKELY,
        # One port, an SSH server for some connections and another service for others: somebody hands them out.
        lambda facts: matches(OTHER_SERVICE)(facts) or (matches(TLS)(facts) and not facts.nothing_served),
        ("a service that replaced another during this run",),
    ),
    Rule(Cause.PROXY, LIKELY, matches(TLS), ("a service of its own that speaks TLS",)),
    Rule(Cause.PROXY, CERTAIN, lambda facts: facts.says(FOREIGN_LINE)),
    Rule(
        Cause.PROXY,
        LIKELY,
        # ssh(1) reads on for a line that begins with SSH-, and the server thinks that it has sent one.
        matches(r".*[^/ ].*SSH-(?:2\.0|1\.99)-"),
        ("a server that sends something before its identification on the same line",),
    ),
    Rule(Cause.SERVER_FAULT, LIKELY, is_fault_turned_penalty, ("an OpenSSH penalty against our address",)),
    *(Rule(saying.cause, saying.confidence, _says(saying), saying.alternatives) for saying in SAYINGS),
    *_BY_REASON,
)

TARPITS: tuple[Rule, ...] = (
    Rule(Cause.TARPIT, LIKELY, is_tarpit, ("a server that sends a long text before its identification",)),
)

SSHD_TEXTS: tuple[Rule, ...] = (
    Rule(
        Cause.PENALTY,
        LIKELY,
        is_penalty_begun,
        ("MaxStartups, filled by the connections of others meanwhile",),
    ),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        LIKELY,
        lambda facts: (facts.says(EXCEEDED) or facts.says(NOT_ALLOWED)) and is_per_source(facts),
        (_BY_CHANCE,),
    ),
    # PerSourceMaxStartups, the only other sender of this text, came with 8.5.
    Rule(Cause.MAXSTARTUPS, CERTAIN, lambda facts: facts.says(EXCEEDED) and facts.is_openssh(below=(8, 5))),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.says(EXCEEDED) and facts.second_source_served is False,
        (_SHARED_BLOCK,),
    ),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        POSSIBLE,
        lambda facts: facts.says(EXCEEDED) and facts.nothing_served and facts.second_source_served is True,
        (_BY_CHANCE,),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.says(EXCEEDED),
        ("PerSourceMaxStartups (OpenSSH 8.5 and later) sends the same text; a second -S address would tell",),
    ),
    Rule(
        Cause.PENALTY,
        LIKELY,
        lambda facts: facts.says(NOT_ALLOWED) and facts.nothing_served and facts.second_source_served is True,
        ("PerSourceMaxStartups, with all places of our address taken by others", _BY_CHANCE),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.says(NOT_ALLOWED) and facts.nothing_served and facts.second_source_served is False,
        ("penalties against both our addresses", _SHARED_BLOCK),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        # A penalty refuses every connection of its source, so one that was served after a refusal rules it out.
        lambda facts: facts.says(NOT_ALLOWED) and not facts.nothing_served and facts.second_source_served is False,
        (_SHARED_BLOCK,),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.says(NOT_ALLOWED) and not facts.nothing_served,
        ("PerSourceMaxStartups and a penalty that began meanwhile send the same text; a second -S address would tell",),
    ),
    Rule(
        Cause.PENALTY,
        POSSIBLE,
        lambda facts: facts.says(NOT_ALLOWED),
        (
            "MaxStartups, full with the connections of others, sends the same text; a second -S address would tell",
            "PerSourceMaxStartups, with all places of our address taken by others",
        ),
    ),
)

NOT_CONNECTED: tuple[Rule, ...] = (
    Rule(
        Cause.RATE_LIMIT,
        LIKELY,
        is_count_per_time,
        ("a ban that began during this run",),
    ),
    Rule(
        Cause.RATE_LIMIT,
        POSSIBLE,
        # The time was up before one more alone could tell a count from a limit at once.
        lambda facts: bool(facts.served_first) and facts.endings == {Ending.CONNECT_TIMEOUT} and facts.recheck is None,
        ("a limit on simultaneous connections per source address", "a ban that began during this run"),
    ),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        LIKELY,
        lambda facts: bool(facts.endings) and facts.endings <= NOT_ACCEPTED and breaks_on_own_concurrency(facts),
        ("a rate limit on new connections whose window has passed", "a limit on connections over all addresses"),
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
        lambda facts: facts.all_are(*NOT_ACCEPTED) and facts.second_source_served is True,
    ),
    Rule(
        Cause.BANNED,
        LIKELY,
        lambda facts: facts.all_are(Ending.REJECTED) and not facts.is_rejected_by_router,
        ("a firewall rule that rejects every address",),
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
        ("a firewall that rejects with a TCP reset", "a ban (fail2ban, sshguard) that answers with a TCP reset"),
    ),
    Rule(
        Cause.BANNED,
        LIKELY,
        # A ban is of one address: where the second source meets the same silence, it is not a ban.
        lambda facts: (
            facts.all_are(Ending.CONNECT_TIMEOUT)
            and facts.report.control is True
            and facts.second_source_served is not False
        ),
        (_BACKLOG, "a firewall that drops every address on that port"),
    ),
    Rule(
        Cause.FILTERED,
        LIKELY,
        lambda facts: facts.all_are(Ending.CONNECT_TIMEOUT) and facts.report.control is True,
        (_BACKLOG, "both our addresses are banned and dropped"),
    ),
    Rule(
        Cause.FILTERED,
        POSSIBLE,
        lambda facts: facts.endings == {Ending.CONNECT_TIMEOUT} and not facts.nothing_served,
        (
            "the connection tracking table of the host or of a firewall before it is full",
            "the listen backlog overflows under load",
            "the path loses packets",
            "a rate limit on new connections",
        ),
        phrase="packets lost",
    ),
    Rule(
        Cause.FILTERED,
        POSSIBLE,
        all_are(Ending.CONNECT_TIMEOUT),
        ("the host is down", "our address is banned and dropped", _BACKLOG),
    ),
)

CLOSED_WITHOUT_WORDS: tuple[Rule, ...] = (
    Rule(
        Cause.SERVER_FAULT,
        LIKELY,
        # Dropbear before 2024 offers every kind, the ones too that it has no key of, and its child then dies.
        lambda facts: bool(facts.refused_host_keys),
    ),
    Rule(Cause.ACCESS_DENIED, LIKELY, is_libwrap, ("a load balancer that gives up after five seconds",)),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        LIKELY,
        lambda facts: bool(facts.early) and is_per_source(facts),
        ("a limit over all addresses that lets the second source pass by chance",),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.is_openssh(below=(8, 2)) and facts.endings <= {Ending.CLOSED, Ending.RESET},
        ("a limit on connections per source address before sshd", "fork() fails on the server"),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        POSSIBLE,
        # Our first few connections fill all places, and the second source finds none either.
        lambda facts: is_broken_by_concurrency(facts) and facts.second_source_served is False,
        ("a limit of a super-server: xinetd's instances, systemd's MaxConnections", "fork() fails on the server"),
    ),
    Rule(Cause.PER_SOURCE_LIMIT, LIKELY, is_broken_by_concurrency, (_OVER_ALL, _OLD_OPENSSH)),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        POSSIBLE,
        lambda facts: is_dropbear(facts) and facts.endings <= {Ending.CLOSED, Ending.RESET},
        ("dropbear's limit over all addresses (30)",),
    ),
    Rule(
        Cause.ACCESS_DENIED,
        LIKELY,
        # The server lives: it serves our second address.
        lambda facts: facts.all_are(Ending.CLOSED, Ending.RESET) and facts.second_source_served is True,
        ("a limit on connections per source address, used up by others at ours",),
    ),
    Rule(
        Cause.PROXY,
        LIKELY,
        lambda facts: facts.all_are(Ending.CLOSED, Ending.RESET) and facts.is_answered_too_near,
        ("a control port that is another machine's: a forwarded one",),
    ),
    Rule(
        Cause.PROXY,
        LIKELY,
        # A silent client leaves nothing unread, so a RST is a decision: a load balancer's reject.
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
        (_NO_BACKEND, _SUPER_SERVER, _DROPBEAR_FULL),
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
        is_slow_beyond_the_deadline,
        ("the server stalled during this run; a longer --timeout would tell",),
    ),
    Rule(
        Cause.PROXY,
        LIKELY,
        answers_a_client_with(Ending.RESET, Ending.NOT_SSH, Ending.CLOSED),
        ("a service that waits for its client and does not know SSH",),
    ),
    Rule(Cause.NOT_SSH, LIKELY, answers_a_client_with(Ending.TURNED_AWAY)),
    Rule(
        Cause.STALLED,
        LIKELY,
        # The identification is small and came; what is large did not, in one direction or the other.
        all_are(Ending.KEXINIT_TIMEOUT),
        ("the path loses large packets without an ICMP answer (MTU of a VPN or tunnel)", "the server hangs"),
    ),
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
        lambda facts: bool(facts.endings) and facts.endings <= SPEECHLESS,
        ("a connection limit that queues instead of closing, such as a load balancer's maxconn",),
    ),
    Rule(Cause.NOT_SSH, LIKELY, all_are(Ending.NOT_SSH)),
    Rule(Cause.INCOMPATIBLE, LIKELY, all_are(Ending.PROTOCOL_ERROR)),
)

RULES: tuple[Rule, ...] = (*WORDS, *SSHD_TEXTS, *TARPITS, *NOT_CONNECTED, *CLOSED_WITHOUT_WORDS, *SILENT)
NO_RULE = Rule(Cause.UNEXPLAINED, POSSIBLE, lambda _: True)
