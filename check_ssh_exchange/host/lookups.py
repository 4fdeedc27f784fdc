"""Why an sshd would look its client's address up before it talks to it, and how that is recorded. Pure."""

from ..values import NamedTuple
from .hosts_access import Client, needs_name
from .settings import settings_of
from .snapshot import Snapshot
from .sshd import Daemon
from .wrapped import is_wrapped, tables

_ANYBODY = "192.0.2.0"  # RFC 5737: nobody's address


class Reason(NamedTuple):
    """Why names are looked up; `is_setting`: by sshd_config, else by a rule of libwrap."""

    words: str
    is_setting: bool = False


def key_of(daemon: Daemon, monitor: str) -> str:
    """Return what the lookup of a monitor is recorded as."""
    return f"reverse lookup of {monitor} in {daemon.root}"


def reason(seen: Snapshot, daemon: Daemon) -> Reason | None:
    """Return why this sshd looks addresses up, None where it does not (UseDNS is `no` since OpenSSH 6.8)."""
    settings = settings_of(seen, daemon)
    if settings is not None and settings.yes("UseDNS"):
        return Reason("UseDNS yes", is_setting=True)
    if not is_wrapped(seen, daemon):
        return None
    import ipaddress

    anybody = ipaddress.ip_address(_ANYBODY)
    clients = [Client(anybody, port) for port in daemon.ports or (22,)]
    for table in tables(seen, daemon):
        for rule in table:
            if any(needs_name(rule, client) for client in clients):
                return Reason(f"a host name in {rule.file}")
    return None
