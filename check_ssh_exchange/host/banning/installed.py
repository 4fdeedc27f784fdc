"""Which of the programs are installed, and whether we may ask them. Pure."""

import re

from ..host import has_systemd
from ..snapshot import Snapshot

CLIENTS = ("/usr/bin/fail2ban-client", "/usr/local/bin/fail2ban-client")
SOCKETS = ("/run/fail2ban/fail2ban.sock", "/var/run/fail2ban/fail2ban.sock")
CSCLI = "/usr/bin/cscli"
# Where an init has it that fail2ban is to run: systemd, Debian's rc, Alpine's OpenRC.
ENABLED = ("/etc/systemd/system/multi-user.target.wants", "/etc/rc2.d", "/etc/runlevels/default")


def is_enabled(seen: Snapshot) -> bool:
    """Return whether fail2ban is meant to run; True where no init says anything of its services."""
    names = [name for path in ENABLED for name in seen.names(path)]
    if not names and not has_systemd(seen):
        return True
    return any(re.fullmatch(r"(S\d\d)?fail2ban(\.service)?", name) for name in names)


def may_write(seen: Snapshot, sockets: tuple[str, ...]) -> bool:
    """Return whether we may talk to a socket: root may, as its group or others if its mode says so."""
    if seen.is_root:
        return True
    for path in sockets:
        found = seen.stat(path)
        if found is not None:
            is_in_group = found["gid"] in _groups(seen) and found["mode"] & 0o020
            return bool(found["mode"] & 0o002 or is_in_group or (found["uid"] == seen.uid and found["mode"] & 0o200))
    return False


def _groups(seen: Snapshot) -> set[int]:
    fields = [line.split()[1:] for line in seen.lines("/proc/self/status") if line.startswith(("Gid:", "Groups:"))]
    return {int(one) for field in fields for one in field if one.isdecimal()}
