"""What servers say before they close, by meaning: each saying with its speaker, its cause and how sure that is.

Most texts are messages of the programs named; those of devices follow public reports. sshd's own errors reach a client
where sshd runs on a super-server's socket (`sshd -i`), whose standard error is the connection. Unknown words are quoted
in the evidence, and never guessed.
"""

import re
from collections.abc import Iterable

from ..values import NamedTuple
from .cause import Cause, Confidence

CERTAIN, LIKELY = Confidence.CERTAIN, Confidence.LIKELY
_THINGS = r"(?:connections?|sessions?|users?|clients?|logins?)"
_PER_SOURCE = "a limit on connections per source address"


# sshd.c, drop_connection: the text of MaxStartups and PerSourceMaxStartups from OpenSSH 8.2 to 9.7, and the one text
# that 9.8 and later use for both and for PerSourcePenalties.
EXCEEDED = "Exceeded MaxStartups"
NOT_ALLOWED = "Not allowed at this time"
# kex.c: sshd's answer to a first line that is not an identification. Ours is one, so something else sent a line first.
FOREIGN_LINE = "Invalid SSH identification string"

# How other services greet, or answer a client that says nothing they understand.
OTHER_SERVICE = (
    r"(?i)HTTP/\d|220[ -]|\+OK|\* OK|\\x3c(?:\?xml|!DOCTYPE|html)|-ERR|RFB \d|@RSYNCD|\* BYE|421[ -]|554[ -]"
)
# A TLS record of type alert (21) or handshake (22), version 3.x, as `printable` writes it.
TLS = r"\\x1[56]\\x03"


class Saying(NamedTuple):
    """A saying: who says it, as a regular expression, what it means, what else it could mean."""

    speaker: str
    pattern: str
    cause: Cause
    confidence: Confidence
    alternatives: tuple[str, ...] = ()


# The first that matches counts.
SAYINGS: tuple[Saying, ...] = (
    # OpenSSH's messages at its start (sshd.c, servconf.c, authfile.c, entropy.c)
    Saying("sshd at its start", r"Missing privilege separation directory", Cause.SERVER_FAULT, CERTAIN),
    Saying("sshd at its start", r"Privilege separation user \S+ does not exist", Cause.SERVER_FAULT, CERTAIN),
    Saying("sshd at its start", r"must be owned by root and not group or world-writable", Cause.SERVER_FAULT, CERTAIN),
    Saying("sshd at its start", r"no hostkeys available -- exiting", Cause.SERVER_FAULT, CERTAIN),
    Saying("a server at its start", r"(?:could not|unable to|cannot) load host.?key", Cause.SERVER_FAULT, CERTAIN),
    Saying("sshd at its start", r"Permissions 0\d+ for .{1,200} are too open", Cause.SERVER_FAULT, CERTAIN),
    Saying("sshd at its start", r"bad configuration option", Cause.SERVER_FAULT, CERTAIN),
    Saying("sshd at its start", r"sshd_config\S*: (?:No such file|Permission denied)", Cause.SERVER_FAULT, CERTAIN),
    Saying("sshd at its start", r"OpenSSL version mismatch|PRNG is not seeded", Cause.SERVER_FAULT, CERTAIN),
    Saying("sshd", r"\bexec of \S+ failed|\bfork(?: of \S+ child failed|: \w)", Cause.SERVER_FAULT, CERTAIN),
    # glibc: elf/rtld.c, elf/dl-lookup.c, elf/dl-version.c
    Saying(
        "the dynamic linker",
        r"error while loading shared libraries|symbol lookup error|version `[^']{1,80}' not found",
        Cause.SERVER_FAULT,
        CERTAIN,
    ),
    # strerror(3), in whatever a server or its wrapper prints
    Saying(
        "the operating system",
        r"cannot allocate memory|out of memory|no space left on device|too many open files|"
        r"resource temporarily unavailable|cannot fork",
        Cause.SERVER_FAULT,
        LIKELY,
    ),
    Saying(
        "a shell or super-server", r"command not found|cannot execute|exec format error", Cause.SERVER_FAULT, LIKELY
    ),
    # TCP wrappers: a banner as sites write it, and the example of `twist` that the handbooks have
    Saying("TCP wrappers", r"access to service \S+ from \S+ has been denied", Cause.ACCESS_DENIED, CERTAIN),
    Saying("TCP wrappers", r"you are not welcome to use \S+ from", Cause.ACCESS_DENIED, CERTAIN),
    Saying(
        "a ban",
        r"\b(?:ip|address|host|you)\b.{0,80}\b(?:banned|blacklisted|blocklisted|blocked)\b",
        Cause.BANNED,
        LIKELY,
        ("an access rule that is not a ban",),
    ),
    Saying(
        "an access rule",
        r"\b(?:access|connection|permission) (?:is |has been |was )?"
        r"(?:denied|forbidden|prohibited|not (?:allowed|permitted))|"
        r"\bnot (?:allowed|permitted|authori[sz]ed) to (?:connect|access|use|log)|administratively prohibited",
        Cause.ACCESS_DENIED,
        CERTAIN,
    ),
    # devices: the sentences differ by vendor and release, their nouns do not
    Saying(
        "a limit for each address",
        rf"(?:too many|max\w*) (?:\w+ ){{0,3}}{_THINGS} (?:from|for|per) (?:your|this|one|an?|each|the same)?\b",
        Cause.PER_SOURCE_LIMIT,
        LIKELY,
        ("a limit on connections over all addresses",),
    ),
    Saying(
        "a limit of connections",
        r"\bno (?:\w+ )?(?:connections?|sessions?|lines?|vtys?|resources?) (?:is |are )?(?:available|free|left)|"
        rf"\btoo many (?:\w+ ){{0,3}}{_THINGS}|"
        rf"\bmax(?:imum)?\b(?:\s(?:number|count|limit))?(?:\s(?:of|allowed|permitted|active|concurrent|ssh|cli))*\s{_THINGS}|"
        rf"\b{_THINGS} (?:limit|count|number)\b.{{0,40}}\b(?:reached|exceed)|"
        r"\b(?:connection|session|user|client)s? limit\b|"
        r"\ball (?:\w+ ){0,3}(?:are |is )?(?:busy|in use|occupied|used)\b|\bserver (?:is )?(?:too )?busy\b",
        Cause.MAXSTARTUPS,
        LIKELY,
        (_PER_SOURCE,),
    ),
    Saying(
        "a limit of a licence",
        r"\blicen[cs]e\b.{0,80}\b(?:expired|exceeded|invalid|missing|limit)",
        Cause.SERVER_FAULT,
        LIKELY,
    ),
    Saying(
        "a rate limit",
        r"\brate limit|\btoo (?:fast|often|frequent)|\btry again (?:later|in \d)|\bplease wait\b",
        Cause.RATE_LIMIT,
        LIKELY,
        (_PER_SOURCE, "a limit on connections over all addresses"),
    ),
    Saying(
        "a server that stops",
        r"\b(?:shutting|going) down\b|\bshutdown in progress\b|\bunder maintenance\b|\bsystem is booting up\b",
        Cause.SERVER_FAULT,
        LIKELY,
    ),
)


def saying_in(texts: Iterable[str]) -> Saying | None:
    """Return the first saying that one of a server's texts holds, None for none."""
    texts = list(texts)
    for saying in SAYINGS:
        if any(re.search(saying.pattern, text, re.IGNORECASE) for text in texts):
            return saying
    return None
