"""How many handshakes a server tolerates before it turns against the one who makes them.

OpenSSH 9.8 and later book every handshake that ends without an authentication as a penalty of 1 s against the source
and shut it out once more than 15 s are on the account; one second is forgiven each second (srclimit.c,
PerSourcePenalties noauth:1 min:15; measured on 10.0 and 10.6: after 15 at once the next one is served, after 16 not).
Dropbear serves five unauthenticated connections of one address and closes the sixth (MAX_UNAUTH_PER_IP).
"""

from ..ending import Depth
from ..report import Server
from .software import Software, software_of

PENALTY_FREE = 15
DROPBEAR_AT_ONCE = 5

# Servers that are known to hold nothing against an address for handshakes alone.
_WITHOUT_PENALTIES = frozenset({"dropbear", "tinyssh", "asyncssh"})


def _has_penalties(software: Software | None) -> bool:
    if software is None:
        return True
    if software.name == "openssh":
        return software.version >= (9, 8)
    return software.name not in _WITHOUT_PENALTIES


def limit(server: Server | None, depth: Depth, *, is_exempt: bool) -> int | None:
    """Return the most handshakes a run may make against this server, None when there is no limit.

    A login leaves no penalty (a child that exits after success books none), so depth login has no limit either.
    """
    if is_exempt or depth is Depth.LOGIN or not _has_penalties(software_of(server)):
        return None
    return PENALTY_FREE


def refusal(server: Server | None, depth: Depth, handshakes: int, at_once: int, *, is_exempt: bool) -> str | None:
    """Return why a run of this size must not go on against this server, None when it may."""
    most = limit(server, depth, is_exempt=is_exempt)
    name = server.software if server else "a server that has not said what it is"
    if most is not None and handshakes > most:
        return (
            f"{handshakes} handshakes were asked for; {name} may shut this address out after {most}: "
            f"use --handshakes {most}, or --exempt when the server exempts this address"
        )
    software = software_of(server)
    is_dropbear = software is not None and software.name == "dropbear"
    if is_dropbear and not is_exempt and min(at_once, handshakes - 1) > DROPBEAR_AT_ONCE:
        return (
            f"{min(at_once, handshakes - 1)} handshakes at once were asked for; {name} serves {DROPBEAR_AT_ONCE} "
            f"of one address: use --concurrency {DROPBEAR_AT_ONCE}, or --exempt when its limit is higher"
        )
    return None
