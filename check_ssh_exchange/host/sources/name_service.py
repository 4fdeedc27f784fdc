"""How long the monitors' addresses take to be looked up, where sshd would look them up."""

from collections.abc import Iterator

from ..door import Door
from ..lookups import RULES, key_of, reason
from ..snapshot import Snapshot
from ..sshd import daemons
from ..trusted import is_trusted
from .binaries import inside
from .configuration import answered

SECONDS = 2.2  # for a lookup; more than the default of the warning threshold
MOST = 4  # monitors


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record the lookups, once the configuration of every listener is known."""
    monitors = seen.monitors[:MOST]
    found = [daemon for daemon in daemons(seen) if is_trusted(seen, daemon)] if monitors else []
    for daemon in found:
        for path in RULES:
            door.read(path if daemon.root == "/" else f"/proc/{daemon.pid}/root{path}")
    yield from answered()
    for daemon in found:
        if reason(seen, daemon):
            for monitor in monitors:
                words = inside(daemon, "getent", "hosts", monitor)
                door.want(*words, seconds=SECONDS, limit=65536, key=key_of(daemon, monitor))
    yield
