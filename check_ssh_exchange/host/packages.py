"""Commands that put back what a package of this host had installed, and where a listener's files are. Pure."""

import re

from .host import release
from .snapshot import Snapshot
from .sshd import Daemon
from .trusted import from_here

# By ID and ID_LIKE of os-release(5): apt-get(8), dnf(8), zypper(8), apk(8), pacman(8).
_SERVER = {
    "debian": "apt-get install --reinstall openssh-server",
    "ubuntu": "apt-get install --reinstall openssh-server",
    "fedora": "dnf reinstall openssh-server",
    "rhel": "dnf reinstall openssh-server",
    "suse": "zypper install --force openssh-server",
    "alpine": "apk fix openssh-server",
    "arch": "pacman -S openssh",
}
_LIBRARY = {
    "debian": "found=$(dpkg -S '*/{name}') && apt-get install --reinstall ${{found%%:*}}",
    "ubuntu": "found=$(dpkg -S '*/{name}') && apt-get install --reinstall ${{found%%:*}}",
    "fedora": "dnf reinstall $(rpm -qf {path})",
    "rhel": "dnf reinstall $(rpm -qf {path})",
}
_SAFE = re.compile(r"/[A-Za-z0-9._+/-]+")  # needs no quotes in a shell
_OF_NO_PACKAGE = ("/usr/local/", "/opt/", "/home/", "/srv/")


def reinstall(seen: Snapshot, path: str) -> str:
    """Return the command that installs the SSH server's package again, "" for none that would bring a path back."""
    return "" if path.startswith(_OF_NO_PACKAGE) else _known(seen, _SERVER)


def reinstall_library(seen: Snapshot, path: str) -> str:
    """Return the command that installs the package of a library again, "" where it is not known."""
    if path.startswith(_OF_NO_PACKAGE) or not _SAFE.fullmatch(path):
        return ""
    return _known(seen, _LIBRARY).format(name=path.rpartition("/")[2], path=path)


def in_root(daemon: Daemon, command: str, path: str) -> str:
    """Return a command about a path that a listener's root has, as it is said on this host."""
    if daemon.is_foreign:
        return f"in the container of pid {daemon.pid}: {command} {path}"
    return f"{command} {from_here(daemon, path)}"


def _known(seen: Snapshot, commands: dict[str, str]) -> str:
    fields = release(seen)
    kin = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split()
    return next((commands[name] for name in kin if name in commands), "")
