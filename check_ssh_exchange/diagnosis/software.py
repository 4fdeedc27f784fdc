"""Which server software an identification names, as far as limits depend on it."""

from ..report import Server
from ..values import NamedTuple

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"


class Software(NamedTuple):
    """`name` is one of openssh, dropbear, tinyssh, asyncssh, other; `version` is () where it is not told."""

    name: str
    version: tuple[int, ...] = ()


_PREFIXES = {
    "dropbear": "dropbear",
    "tinyssh": "tinyssh",
    "AsyncSSH_": "asyncssh",
}


def software_of(server: Server | None) -> Software | None:
    """Return the software behind an identification, None when there is no identification."""
    if server is None:
        return None
    if version := _openssh(server.software):
        return Software("openssh", version)
    for prefix, name in _PREFIXES.items():
        if server.software.startswith(prefix):
            return Software(name)
    return Software("other")


def _openssh(software: str) -> tuple[int, int] | None:
    """Return the release in OpenSSH_9.2p1 or OpenSSH_for_Windows_9.5, None for another software."""
    if not software.startswith("OpenSSH_"):
        return None
    # Not by a regular expression: compiling one costs a start of the plugin more than all its diagnosis.
    major, _, rest = software.removeprefix("OpenSSH_").lstrip(_LETTERS).partition(".")
    minor = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    if not (major.isascii() and major.isdigit() and minor and len(major + minor) < 10):
        return None
    return int(major), int(minor)
