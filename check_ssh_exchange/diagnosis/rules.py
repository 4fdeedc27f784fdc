"""The rules: what must hold for a cause, how sure it then is, and what else it could be. The first that holds decides.

Order is part of the knowledge: what the wire says in so many words comes first, then marks that one cause alone leaves,
then what only the comparison of handshakes tells.
"""

import re
from collections.abc import Callable

from ..ending import NOT_ACCEPTED, Ending
from ..report import Report
from ..values import NamedTuple
from .cause import Cause, Confidence
from .diagnosis import Diagnosis
from .evidence import evidence
from .facts import AT_ONCE, Facts
from .maxstartups import MaxStartups
from .remedies import remedies_for

CERTAIN, LIKELY, POSSIBLE = Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE

# sshd.c, drop_connection: the text of MaxStartups and PerSourceMaxStartups from OpenSSH 8.2 to 9.7, and the one text
# that 9.8 and later use for both and for PerSourcePenalties.
EXCEEDED = "Exceeded MaxStartups"
NOT_ALLOWED = "Not allowed at this time"
# kex.c: sshd's answer to a first line that is no identification. Ours is one, so somebody else's came before it.
FOREIGN_LINE = "Invalid SSH identification string"
HOST_KEY = "the host key is not in"

# How other services greet, or answer a client that says nothing they understand.
_OTHER_SERVICE = r"(?i)HTTP/\d|220[ -]|\+OK|\* OK|<\?xml|<!DOCTYPE|<html|-ERR|RFB \d|@RSYNCD|\* BYE|421[ -]|554[ -]"
# A TLS record of type alert (21) or handshake (22), version 3.x, as `printable` writes it.
_TLS = r"\\x1[56]\\x03"

Predicate = Callable[[Facts], bool]


class Rule(NamedTuple):
    """A cause, what must hold for it, how sure it then is, and what else it could be."""

    cause: Cause
    confidence: Confidence
    holds: Predicate
    alternatives: tuple[str, ...] = ()


def _matches(pattern: str) -> Predicate:
    return lambda facts: any(re.match(pattern, text) for text in facts.texts)


def _all(*endings: Ending) -> Predicate:
    return lambda facts: facts.all_are(*endings)


def _is_half_dead(facts: Facts) -> bool:
    return len(facts.families) > 1 and len(set(facts.families.values())) > 1


def _is_tarpit(facts: Facts) -> bool:
    # Lines that keep coming without an identification: endlessh sends one each ten seconds, until the client gives up.
    endless = [h for h in facts.failed if h.ending is Ending.BANNER_TIMEOUT and h.text]
    too_many = any("lines before an identification" in (h.detail or "") for h in facts.failed)
    return too_many or (bool(endless) and facts.nothing_served)


def _is_libwrap(facts: Facts) -> bool:
    # libwrap's refusal in sshd sleeps five seconds before it exits: 5.011 to 5.014 s measured on four versions.
    # A load balancer's queue timeout of five seconds closes at 5.001.
    return facts.all_are(Ending.CLOSED, Ending.BANNER_TIMEOUT) and facts.closed_within(5.004, 5.3)


def _breaks_on_own_concurrency(facts: Facts) -> bool:
    """Whether we were served alone and then, at once, the first few were and the others not."""
    return facts.served_alone and facts.served_first is not None and bool(facts.burst) and facts.again is not None


def _is_witnessed_per_source(facts: Facts) -> bool:
    return facts.witness_served is True and not facts.nothing_served and bool(facts.failed)


def _is_count_per_time(facts: Facts) -> bool:
    # The first k were served, then nothing was, and one more alone a moment later was not either.
    again = facts.again
    served = facts.served_first
    return bool(served) and bool(facts.failed) and again is not None and again.ending in (*NOT_ACCEPTED, Ending.CLOSED)


def _is_asked_and(*endings: Ending) -> Predicate:
    return lambda facts: facts.asked is not None and facts.asked.ending in endings


def _is_fault_turned_penalty(facts: Facts) -> bool:
    # Each child that dies is booked against the client on 9.8 and later: after 16 a broken server looks like a penalty.
    first = facts.ours[0].ending if facts.ours else None
    return first in (Ending.CLOSED, Ending.CLOSED_AFTER_BANNER) and facts.nothing_served and facts.says(NOT_ALLOWED)


WORDS: tuple[Rule, ...] = (
    Rule(
        Cause.UNEXPLAINED,
        CERTAIN,
        lambda facts: any((h.detail or "").startswith(HOST_KEY) for h in facts.failed),
        ("the server was installed anew, or its keys were", "somebody is between us and the server"),
    ),
    Rule(Cause.NOT_SSH, CERTAIN, _matches(_OTHER_SERVICE)),
    Rule(Cause.PROXY, LIKELY, _matches(_TLS), ("a service of its own that speaks TLS",)),
    Rule(Cause.PROXY, CERTAIN, lambda facts: facts.says(FOREIGN_LINE)),
    Rule(Cause.SERVER_FAULT, LIKELY, _is_fault_turned_penalty, ("an OpenSSH penalty against our address",)),
    Rule(
        Cause.TARPIT,
        LIKELY,
        _is_tarpit,
        ("a server that sends a long text before its identification",),
    ),
)

SSHD_TEXTS: tuple[Rule, ...] = (
    Rule(
        Cause.PER_SOURCE_LIMIT,
        LIKELY,
        lambda facts: (facts.says(EXCEEDED) or facts.says(NOT_ALLOWED)) and _is_witnessed_per_source(facts),
        ("MaxStartups, when the second source was served by chance",),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        CERTAIN,
        # PerSourceMaxStartups, the only other sender of this text, came with 8.5.
        lambda facts: facts.says(EXCEEDED) and (facts.is_openssh(below=(8, 5)) or facts.witness_served is False),
    ),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        POSSIBLE,
        lambda facts: facts.says(EXCEEDED) and facts.nothing_served and facts.witness_served is True,
        ("MaxStartups, when the second source was served by chance",),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.says(EXCEEDED),
        ("PerSourceMaxStartups (OpenSSH 8.5 and later) sends the same text; a second -S would tell",),
    ),
    Rule(
        Cause.PENALTY,
        LIKELY,
        lambda facts: facts.says(NOT_ALLOWED) and facts.nothing_served and facts.witness_served is True,
        ("PerSourceMaxStartups, with all places of our address taken by others",),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.says(NOT_ALLOWED) and facts.witness_served is False,
        ("penalties against both our addresses",),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        # A penalty refuses every connection of its source, so one that was served rules it out.
        lambda facts: facts.says(NOT_ALLOWED) and not facts.nothing_served,
        ("PerSourceMaxStartups sends the same text; a second -S would tell",),
    ),
    Rule(
        Cause.PENALTY,
        POSSIBLE,
        lambda facts: facts.says(NOT_ALLOWED),
        (
            "MaxStartups, full with the connections of others, sends the same text; a second -S would tell",
            "PerSourceMaxStartups, with all places of our address taken by others",
        ),
    ),
)

NOT_CONNECTED: tuple[Rule, ...] = (
    Rule(Cause.ADDRESS_FAMILY, LIKELY, _is_half_dead),
    Rule(
        Cause.RATE_LIMIT,
        LIKELY,
        _is_count_per_time,
        ("a ban that began during this run",),
    ),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        LIKELY,
        lambda facts: bool(facts.endings) and facts.endings <= NOT_ACCEPTED and _breaks_on_own_concurrency(facts),
        ("a limit of connections per time with a window that has passed",),
    ),
    Rule(
        Cause.STALLED,
        LIKELY,
        lambda facts: {Ending.BANNER_TIMEOUT, Ending.CONNECT_TIMEOUT} <= facts.endings and facts.nothing_served,
        ("a firewall that lets some connections through",),
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
        _all(Ending.REFUSED),
        ("a firewall that rejects with a TCP reset", "a ban that does so"),
    ),
    Rule(
        Cause.BANNED,
        LIKELY,
        lambda facts: facts.all_are(Ending.CONNECT_TIMEOUT) and facts.report.control == "answered",
        ("the listen backlog is full", "a firewall that drops everybody on that port"),
    ),
    Rule(
        Cause.FILTERED,
        POSSIBLE,
        _all(Ending.CONNECT_TIMEOUT),
        ("the host is down", "our address is banned and dropped", "the listen backlog is full"),
    ),
)

CLOSED_WITHOUT_WORDS: tuple[Rule, ...] = (
    Rule(Cause.ACCESS_DENIED, CERTAIN, _is_libwrap),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        LIKELY,
        lambda facts: (
            bool(facts.early)
            and (_is_witnessed_per_source(facts) or (_breaks_on_own_concurrency(facts) and facts.closed_within(0, 0.5)))
        ),
        ("MaxStartups of OpenSSH before 8.2, which closes without a word",),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.is_openssh(below=(8, 2)) and facts.endings <= {Ending.CLOSED, Ending.RESET},
        ("fork() fails on the server",),
    ),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        POSSIBLE,
        lambda facts: (
            facts.software is not None
            and facts.software.name == "dropbear"
            and facts.endings <= {Ending.CLOSED, Ending.RESET}
        ),
        ("dropbear's limit over all addresses (30)",),
    ),
    Rule(
        Cause.PROXY,
        LIKELY,
        # Nothing of ours is unread when we are silent, so a RST is a decision: a load balancer's reject.
        _all(Ending.RESET),
        ("a firewall that resets established connections",),
    ),
    Rule(
        Cause.PROXY,
        LIKELY,
        lambda facts: facts.all_are(Ending.CLOSED) and facts.closed_within(0.9, 4.9),
        ("a server that takes that long to fail",),
    ),
    Rule(
        Cause.SERVER_FAULT,
        POSSIBLE,
        lambda facts: facts.all_are(Ending.CLOSED) and facts.closed_within(0, AT_ONCE),
        (
            "a load balancer without a live backend closes as fast",
            "xinetd's only_from, no_access or a limit that others have used up",
            "dropbear with all places taken",
        ),
    ),
    Rule(
        Cause.SERVER_FAULT,
        LIKELY,
        _all(Ending.CLOSED, Ending.CLOSED_AFTER_BANNER),
        ("a load balancer without a live backend", "MaxStartups of OpenSSH before 8.2"),
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
        Cause.PROXY,
        LIKELY,
        _is_asked_and(Ending.RESET, Ending.NOT_SSH, Ending.CLOSED),
        ("a service that waits for its client and does not know SSH",),
    ),
    Rule(
        Cause.NOT_SSH,
        LIKELY,
        _is_asked_and(Ending.TURNED_AWAY),
    ),
    Rule(
        Cause.STALLED,
        LIKELY,
        lambda facts: facts.all_are(Ending.BANNER_TIMEOUT, Ending.KEXINIT_TIMEOUT),
        (
            "a firewall that lets the connection through and drops what follows",
            "a tarpit that is slower than our timeout",
        ),
    ),
    Rule(
        Cause.STALLED,
        POSSIBLE,
        lambda facts: bool(facts.endings) and facts.endings <= {Ending.BANNER_TIMEOUT, Ending.KEXINIT_TIMEOUT},
        ("a limit of connections that queues instead of closing, as a load balancer's maxconn",),
    ),
    Rule(Cause.NOT_SSH, LIKELY, _all(Ending.NOT_SSH)),
    Rule(Cause.INCOMPATIBLE, LIKELY, _all(Ending.PROTOCOL_ERROR)),
)

RULES: tuple[Rule, ...] = (*WORDS, *SSHD_TEXTS, *NOT_CONNECTED, *CLOSED_WITHOUT_WORDS, *SILENT)


def explain(report: Report, setting: MaxStartups | None = None) -> Diagnosis:
    """Return why handshakes of a report failed."""
    facts = Facts(report, setting)
    rule = next((rule for rule in RULES if rule.holds(facts)), Rule(Cause.UNEXPLAINED, POSSIBLE, lambda _: True))
    return Diagnosis(
        cause=rule.cause,
        confidence=rule.confidence,
        evidence=evidence(facts, rule.cause),
        alternatives=rule.alternatives,
        remedies=remedies_for(
            rule.cause, port=report.port, source=report.source or "OUR-ADDRESS", address=report.address or report.host
        ),
        self_inflicted=facts.is_self_inflicted,
        startups=facts.estimate if rule.cause is Cause.MAXSTARTUPS else None,
    )
