"""What DenyHosts has put into hosts.deny. Pure."""

from ..snapshot import Snapshot
from ..sshd import daemons
from ..wrapped import is_wrapped
from .ban import Ban

DENY = "/etc/hosts.deny"
MARKS = ("/etc/denyhosts.conf", "/usr/share/denyhosts/denyhosts.cfg", "/var/lib/denyhosts")


def bans(seen: Snapshot) -> list[Ban]:
    """Return the addresses that it bans; none where it is not installed, or no sshd asks libwrap."""
    if not any(seen.stat(path) is not None for path in MARKS):
        return []
    answers = [is_wrapped(seen, daemon) for daemon in daemons(seen)]
    if answers and not any(answer is not False for answer in answers):
        return []
    found = []
    for line in seen.lines(DENY):
        service, _, address = line.partition("#")[0].partition(":")
        address = address.strip().strip("[]")
        # It writes one address a line; rules by hand are for the item tcp_wrappers.
        if service.strip() in ("sshd", "ALL") and address and address.replace(".", "").replace(":", "").isalnum():
            found.append(Ban("DenyHosts", address, DENY, is_certain=True in answers))
    return list(dict.fromkeys(found))
