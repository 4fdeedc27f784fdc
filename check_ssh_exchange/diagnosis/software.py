"""Which server software and which kind of machine an identification names, as far as limits and advice depend on it."""

from enum import StrEnum
from functools import lru_cache

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


class System(StrEnum):
    """What kind of machine a server runs on, as far as advice depends on it."""

    UNIX = "unix"
    WINDOWS = "windows"
    DEVICE = "device"  # an appliance: no shell of its users', no sshd_config


# Identifications of appliances, from recog's ssh_banners.xml and nmap's service probes.
_DEVICES = (
    "ARRIS_", "Cisco-", "Comware-", "Data ONTAP SSH", "DraySSH_", "FortiSSH", "HUAWEI", "IPSSH",
    "NetScreen", "RGOS_", "ROSSSH", "RomCliSecure_", "RomSShell_", "ZTE_SSH", "lancom", "mpSSH_",
)  # fmt: skip


def system_of(server: Server | None) -> System:
    """Return the kind of machine that an identification speaks of; UNIX where it does not say."""
    software = server.version if server is not None else ""
    if software.startswith("OpenSSH_for_Windows"):
        return System.WINDOWS
    return System.DEVICE if software.startswith(_DEVICES) else System.UNIX


@lru_cache(256)  # an exporter asks for the same again and again
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
