"""What systemd says of sshd's units, where it is the init; one `systemctl show` for all of them."""

from collections.abc import Iterator

from ..door import Door
from ..host import has_systemd
from ..snapshot import Snapshot
from ..sshd import daemons
from ..units import KEY, PATTERNS, PROPERTIES, WOULD_BE, units

MAX_UNITS = 1 << 19  # bytes; with Accept=yes each connection has a unit of its own, of 1 kB


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record the state of services, sockets and the services of single connections.

    Where a socket waits and no sshd runs, nobody else asks what sshd would listen on: `-G` (from 9.3 on) tells without
    host keys or rights, `-T` is what earlier releases have.
    """
    if not has_systemd(seen):
        return
    properties = ",".join(PROPERTIES)
    door.want("systemctl", "show", "--no-pager", f"--property={properties}", *PATTERNS, key=KEY, limit=MAX_UNITS)
    yield
    waits = any(one.is_socket and one.is_active for one in units(seen))
    if waits and not any(not one.is_foreign for one in daemons(seen)):
        for option in ("-G", "-T"):
            door.want("/usr/sbin/sshd", option, key=f"{WOULD_BE} {option}")
            yield
            if seen.command(f"{WOULD_BE} {option}").is_good:
                return
