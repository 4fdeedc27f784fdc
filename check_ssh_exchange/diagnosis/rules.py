"""Causes that the wire states in so many words, as a table of rules; the first that fits names the cause."""

import re
from collections.abc import Callable

from ..ending import Ending
from ..report import Report, quantile
from ..values import NamedTuple
from .cause import Cause, Confidence
from .diagnosis import Diagnosis
from .facts import Facts

# sshd.c, drop_connection: the text of MaxStartups and PerSourceMaxStartups from OpenSSH 8.2 to 9.7, and the one text
# that 9.8 and later use for both and for PerSourcePenalties.
EXCEEDED = "Exceeded MaxStartups"
NOT_ALLOWED = "Not allowed at this time"

# How other services greet or answer a client that says nothing they understand.
_OTHER_SERVICES = r"(?i)HTTP/\d|220[ -]|\+OK|\* OK|<\?xml|<!DOCTYPE|<html|-ERR|RFB \d|@RSYNCD"


class Rule(NamedTuple):
    """A cause, what must hold for it, how sure it then is, and what to tell the operator."""

    cause: Cause
    confidence: Confidence
    holds: Callable[[Facts], bool]
    alternatives: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


def _says(text: str) -> Callable[[Facts], bool]:
    return lambda facts: any(text in words for words in facts.texts)


def _is_other_service(facts: Facts) -> bool:
    return any(re.match(_OTHER_SERVICES, words) for words in facts.texts)


def _all(*endings: Ending) -> Callable[[Facts], bool]:
    return lambda facts: facts.all_failed_as(*endings)


_LISTENER = "ss -ltnp 'sport = :22'   # is sshd listening, and on which addresses?"
_LOG = "journalctl -u ssh -u sshd --since -1h   # or /var/log/auth.log, /var/log/secure"

RULES: tuple[Rule, ...] = (
    Rule(
        Cause.MAXSTARTUPS,
        Confidence.LIKELY,
        _says(EXCEEDED),
        alternatives=("PerSourceMaxStartups (OpenSSH 8.5 and later) sends the same text",),
        remedies=(
            "sshd -T | grep -i -e maxstartups -e logingracetime -e persource",
            "ps -C sshd -o args   # the listener's title says 'N of 10-100 startups'",
            "raise MaxStartups, lower LoginGraceTime, and find out who holds the unauthenticated connections",
        ),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        Confidence.POSSIBLE,
        _says(NOT_ALLOWED),
        alternatives=("PerSourceMaxStartups sends the same text", "PerSourcePenalties sends the same text"),
        remedies=(
            "journalctl -u ssh -u sshd | grep -e 'drop connection' -e penalty   # the reason stands at the line's end",
            "sshd -T | grep -i -e maxstartups -e persource",
        ),
    ),
    Rule(Cause.NOT_SSH, Confidence.CERTAIN, _is_other_service, remedies=(_LISTENER,)),
    Rule(
        Cause.NOT_LISTENING,
        Confidence.LIKELY,
        _all(Ending.REFUSED),
        alternatives=("a firewall that rejects with a TCP reset",),
        remedies=(_LISTENER, "systemctl status ssh sshd ssh.socket", _LOG),
    ),
    Rule(
        Cause.BANNED,
        Confidence.LIKELY,
        lambda facts: facts.all_failed_as(Ending.REJECTED) and facts.is_rejected_by_target,
        alternatives=("a firewall rule that rejects everybody",),
        remedies=("fail2ban-client status sshd", "nft list ruleset; iptables -S"),
    ),
    Rule(
        Cause.UNREACHABLE,
        Confidence.LIKELY,
        _all(Ending.REJECTED, Ending.UNREACHABLE),
        remedies=("ip route get ADDRESS", "traceroute ADDRESS"),
    ),
    Rule(
        Cause.FILTERED,
        Confidence.POSSIBLE,
        _all(Ending.CONNECT_TIMEOUT),
        alternatives=("the host is down", "its listen backlog is full"),
        remedies=("nft list ruleset; iptables -S", _LISTENER),
    ),
    Rule(
        Cause.STALLED,
        Confidence.LIKELY,
        lambda facts: facts.all_failed_as(Ending.BANNER_TIMEOUT) and not facts.texts,
        alternatives=("a service that waits for its client to speak first (HTTP, TLS)",),
        remedies=("ps -C sshd -o pid,stat,wchan,args", _LOG),
    ),
    Rule(Cause.NOT_SSH, Confidence.CERTAIN, _all(Ending.NOT_SSH), remedies=(_LISTENER,)),
    Rule(
        Cause.UNEXPLAINED,
        Confidence.CERTAIN,
        lambda facts: any((h.detail or "").startswith("the host key is not in") for h in facts.failed),
        alternatives=("the server was installed anew", "somebody is between us and the server"),
        remedies=("ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub   # compare with the known_hosts file",),
    ),
    Rule(
        Cause.INCOMPATIBLE,
        Confidence.CERTAIN,
        _all(Ending.PROTOCOL_ERROR),
        remedies=("replace or upgrade the SSH server",),
    ),
)


def explain(report: Report) -> Diagnosis:
    """Return why handshakes of a report failed."""
    facts = Facts(report)
    for rule in RULES:
        if rule.holds(facts):
            return Diagnosis(rule.cause, rule.confidence, evidence(facts), rule.alternatives, rule.remedies)
    return Diagnosis(Cause.UNEXPLAINED, Confidence.POSSIBLE, evidence(facts), remedies=(_LOG,))


def evidence(facts: Facts) -> tuple[str, ...]:
    """Return the findings of a run in sentences, with their numbers."""
    found = [facts.count]
    found += [f'the server said "{text}" {times} times' for text, times in facts.texts.most_common(3)]
    details = {h.detail: None for h in facts.failed if h.detail}
    found += list(details)[:3]
    ended = sorted(h.ended for h in facts.early)
    if ended:
        low, middle, high = ended[0], quantile(ended, 0.5), ended[-1]
        found.append(f"early closes came {low:.4f} to {high:.4f} s after the SYN, half of them before {middle:.4f} s")
    return tuple(found)
