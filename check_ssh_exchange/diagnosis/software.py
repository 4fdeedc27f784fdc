"""Which server software an identification names, as far as limits depend on it."""

import re
from typing import NamedTuple

from ..report import Server

# OpenSSH_9.2p1, OpenSSH_for_Windows_9.5: the first pair of numbers is the release.
_OPENSSH = re.compile(r"OpenSSH_(?:[A-Za-z_]*_)?(\d+)\.(\d+)")


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
    if match := _OPENSSH.match(server.software):
        return Software("openssh", (int(match[1]), int(match[2])))
    for prefix, name in _PREFIXES.items():
        if server.software.startswith(prefix):
            return Software(name)
    return Software("other")
