"""A ban: which program holds it, in which of its lists, and how an address is let go."""

import ipaddress
from collections.abc import Iterable

from ...text import printable
from ...values import NamedTuple


class Ban(NamedTuple):
    """An address or a network that a program turns away. `place` is its list: a jail, a scenario, a file.

    `is_certain`: it is in force for sshd's port; else that is likely.
    """

    program: str
    address: str
    place: str = ""
    is_certain: bool = True


def holds(banned: str, monitor: str) -> bool:
    """Return whether a ban of an address or a network includes this address; False for what is neither."""
    if banned == monitor:
        return True
    if "/" not in banned and ":" not in monitor:
        return False
    try:
        address = ipaddress.ip_address(monitor)
        network = ipaddress.ip_network(banned, strict=False)
    except ValueError:
        return False
    return address.version == network.version and address in network


def of_monitors(bans: Iterable[Ban], monitors: Iterable[str]) -> list[tuple[str, Ban]]:
    """Return each monitor that is banned, with its ban."""
    every = tuple(bans)
    return [(monitor, ban) for monitor in monitors for ban in every if holds(ban.address, monitor)]


def word(text: str) -> str:
    """Return a name as one word of a shell."""
    kept = "".join(one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in text[:64])
    return printable(kept)
