"""Which server software an identification names, as far as limits depend on it."""

import re

from ..report import Server
from ..values import NamedTuple

# OpenSSH_9.2p1, OpenSSH_for_Windows_9.5: the first pair of numbers is the release.
_OPENSSH = r"OpenSSH_(?:[A-Za-z_]*_)?([0-9]+)\.([0-9]+)"


class Software(NamedTuple):
    """`name` is one of openssh, dropbear, tinyssh, asyncssh, go, other; `version` is () where it is not told."""

    name: str
    version: tuple[int, ...] = ()


_PREFIXES = {
    "dropbear": "dropbear",
    "tinyssh": "tinyssh",
    "AsyncSSH_": "asyncssh",
    "Go": "go",
}


def software_of(server: Server | None) -> Software | None:
    """Return the software behind an identification, None when there is no identification."""
    if server is None:
        return None
    if match := re.match(_OPENSSH, server.software):
        return Software("openssh", (int(match[1]), int(match[2])))
    for prefix, name in _PREFIXES.items():
        if server.software.startswith(prefix):
            return Software(name)
    return Software("other")
