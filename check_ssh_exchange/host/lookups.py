"""Why an sshd would look its client's address up before it talks to it, and how that is recorded. Pure."""

import re
from collections.abc import Iterator

from .host import service
from .settings import settings_of
from .snapshot import Snapshot
from .sshd import Daemon

RULES = ("/etc/hosts.allow", "/etc/hosts.deny")
# hosts_access(5): these ask for the client's name.
_NEED_A_NAME = ("LOCAL", "KNOWN", "UNKNOWN", "PARANOID")
_NO_NAMES = ("ALL", "EXCEPT")


def key_of(daemon: Daemon, monitor: str) -> str:
    """Return what the lookup of a monitor is recorded as."""
    return f"reverse lookup of {monitor} in {daemon.root}"


def reason(seen: Snapshot, daemon: Daemon) -> str:
    """Return why this sshd looks addresses up, "" where it does not (UseDNS is `no` since OpenSSH 6.8)."""
    settings = settings_of(seen, daemon)
    if settings is not None and settings.yes("UseDNS"):
        return "UseDNS yes"
    prefix = "" if daemon.root == "/" else f"/proc/{daemon.pid}/root"
    for path in RULES:
        if has_names(seen.text(prefix + path) or "") and _has_libwrap(seen, daemon):
            return f"a host name in {path}"
    return ""


def has_names(text: str) -> bool:
    """Return whether a rule for sshd in hosts.allow or hosts.deny needs the client's name."""
    for line in text.replace("\\\n", " ").splitlines():
        fields = re.split(r":(?![^\[]*\])", line)
        if line.startswith("#") or len(fields) < 2 or not {"sshd", "ALL"} & set(re.split(r"[\s,@]+", fields[0])):
            continue
        if any(_is_name(pattern) for pattern in _patterns(fields[1])):
            return True
    return False


def _patterns(text: str) -> Iterator[str]:
    for word in re.split(r"[\s,]+", text.strip()):
        yield word.rpartition("@")[2] if not word.startswith("@") else word


def _is_name(pattern: str) -> bool:
    if pattern.startswith("@") or pattern.upper() in _NEED_A_NAME:  # a netgroup has names of hosts
        return True
    is_address = pattern.startswith(("[", "/")) or ":" in pattern
    return not is_address and pattern.upper() not in _NO_NAMES and re.search(r"[A-Za-z]", pattern) is not None


def _has_libwrap(seen: Snapshot, daemon: Daemon) -> bool:
    """Return whether libwrap judges this sshd's clients: the listener has it mapped, or Debian's sshd-session would."""
    maps = seen.text(f"/proc/{daemon.pid}/maps")
    if maps and "/libwrap.so" in maps:
        return True
    is_split = daemon.release is None or daemon.release >= (9, 8)
    return (maps is None or is_split) and service(seen) == "ssh"
