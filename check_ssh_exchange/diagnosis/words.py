"""Rules for what a server says before it closes, or instead of an identification."""

import re

from ..ending import Ending
from .cause import Cause
from .facts import Facts
from .rule import CERTAIN, LIKELY, POSSIBLE, Predicate, Rule, is_witnessed_per_source

# sshd.c, drop_connection: the text of MaxStartups and PerSourceMaxStartups from OpenSSH 8.2 to 9.7, and the one text
# that 9.8 and later use for both and for PerSourcePenalties.
EXCEEDED = "Exceeded MaxStartups"
NOT_ALLOWED = "Not allowed at this time"
# kex.c: sshd's answer to a first line that is no identification. Ours is one, so somebody else's came before it.
FOREIGN_LINE = "Invalid SSH identification string"
HOST_KEY = "the host key is not in"

# How other services greet, or answer a client that says nothing they understand.
_OTHER_SERVICE = (
    r"(?i)HTTP/\d|220[ -]|\+OK|\* OK|\\x3c(?:\?xml|!DOCTYPE|html)"
    r"|-ERR|RFB \d|@RSYNCD|\* BYE|421[ -]|554[ -]"
)
# A TLS record of type alert (21) or handshake (22), version 3.x, as `printable` writes it.
_TLS = r"\\x1[56]\\x03"

_BY_CHANCE = "MaxStartups, when the second source was served by chance"
_SHARED_BLOCK = "PerSourceMaxStartups, when PerSourceNetBlockSize takes both our addresses for one source"


def _matches(pattern: str) -> Predicate:
    return lambda facts: any(re.match(pattern, text) for text in facts.texts)


def _is_tarpit(facts: Facts) -> bool:
    # Lines that keep coming without an identification: endlessh sends one each ten seconds, until the client gives up.
    endless = facts.all_are(Ending.BANNER_TIMEOUT) and any(h.text for h in facts.failed)
    too_many = any("lines before an identification" in (h.detail or "") for h in facts.failed)
    return too_many or endless


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
    Rule(Cause.NOT_SSH, CERTAIN, lambda facts: facts.nothing_served and _matches(_OTHER_SERVICE)(facts)),
    Rule(
        Cause.PROXY,
        LIKELY,
        # One port, an SSH server for some connections and another service for others: somebody hands them out.
        lambda facts: _matches(_OTHER_SERVICE)(facts) or (_matches(_TLS)(facts) and not facts.nothing_served),
        ("a service that replaced another during this run",),
    ),
    Rule(Cause.PROXY, LIKELY, _matches(_TLS), ("a service of its own that speaks TLS",)),
    Rule(Cause.PROXY, CERTAIN, lambda facts: facts.says(FOREIGN_LINE)),
    Rule(Cause.SERVER_FAULT, LIKELY, _is_fault_turned_penalty, ("an OpenSSH penalty against our address",)),
    Rule(Cause.TARPIT, LIKELY, _is_tarpit, ("a server that sends a long text before its identification",)),
)


def _is_penalty_begun(facts: Facts) -> bool:
    # The account was full after the first few: none is served after them, alone neither. Random early drop can look so
    # after two or three, hardly ever after five; and it does not serve the second source while it drops all of ours.
    again = facts.again
    turned = again is not None and again.ending is Ending.TURNED_AWAY
    served = facts.served_first or 0
    is_no_chance = facts.witness_served is True or (served >= 5 and facts.witness_served is None)
    return facts.says(NOT_ALLOWED) and turned and served > 0 and is_no_chance


SSHD_TEXTS: tuple[Rule, ...] = (
    Rule(
        Cause.PENALTY,
        LIKELY,
        _is_penalty_begun,
        ("MaxStartups, filled by the connections of others meanwhile",),
    ),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        LIKELY,
        lambda facts: (facts.says(EXCEEDED) or facts.says(NOT_ALLOWED)) and is_witnessed_per_source(facts),
        (_BY_CHANCE,),
    ),
    # PerSourceMaxStartups, the only other sender of this text, came with 8.5.
    Rule(Cause.MAXSTARTUPS, CERTAIN, lambda facts: facts.says(EXCEEDED) and facts.is_openssh(below=(8, 5))),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.says(EXCEEDED) and facts.witness_served is False,
        (_SHARED_BLOCK,),
    ),
    Rule(
        Cause.PER_SOURCE_LIMIT,
        POSSIBLE,
        lambda facts: facts.says(EXCEEDED) and facts.nothing_served and facts.witness_served is True,
        (_BY_CHANCE,),
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
        ("PerSourceMaxStartups, with all places of our address taken by others", _BY_CHANCE),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.says(NOT_ALLOWED) and facts.nothing_served and facts.witness_served is False,
        ("penalties against both our addresses", _SHARED_BLOCK),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        # A penalty refuses every connection of its source, so one that was served after a refusal rules it out.
        lambda facts: facts.says(NOT_ALLOWED) and not facts.nothing_served and facts.witness_served is False,
        (_SHARED_BLOCK,),
    ),
    Rule(
        Cause.MAXSTARTUPS,
        LIKELY,
        lambda facts: facts.says(NOT_ALLOWED) and not facts.nothing_served,
        ("PerSourceMaxStartups and a penalty that began meanwhile send the same text; a second -S would tell",),
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
