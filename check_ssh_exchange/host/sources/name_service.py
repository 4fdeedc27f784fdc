"""How long the monitors' addresses take to be looked up, where sshd would look them up."""

from collections.abc import Iterator

from ..door import Door
from ..lookups import key_of, reason
from ..snapshot import Snapshot
from ..sshd import daemons
from ..trusted import is_trusted
from .binaries import inside
from .configuration import answered

SECONDS = 2.2  # for a lookup; more than the default of the warning threshold
MOST = 4  # monitors


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record the lookups, once the source tcp_wrappers, which goes on a moment earlier, has read libwrap's rules."""
    yield from answered()
    monitors = seen.monitors[:MOST]
    for daemon in daemons(seen) if monitors else ():
        if is_trusted(seen, daemon) and reason(seen, daemon):
            for monitor in monitors:
                words = inside(daemon, "getent", "hosts", monitor)
                door.want(*words, seconds=SECONDS, limit=65536, key=key_of(daemon, monitor))
    yield
