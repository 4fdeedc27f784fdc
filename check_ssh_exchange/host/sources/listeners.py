"""What is still to be known of each listener: when it read its configuration, its network's addresses, its backlog."""

from collections.abc import Iterator

from ..configuration_files import DROP_INS, USUAL, named, pid_file
from ..door import Door
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons
from ..trusted import is_trusted, prefix
from .configuration import answered

MOST_DROP_INS = 200
MOST_LISTENERS = 50
MAX_ROUTES = 1 << 18  # bytes; a router's table is longer, and no place to learn its own addresses from
SUPER_SERVERS = "/etc/xinetd.d"
PAUSE = "0.5"  # seconds between two looks at a queue; a burst is accepted within that time


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record it. Where connections wait to be accepted, look again a moment later: a burst is no backlog."""
    found = daemons(seen)
    for daemon in found[:MOST_LISTENERS]:
        _network(door, daemon)
        if not daemon.is_foreign:  # a container's links could lead out of it
            _configuration(door, seen, daemon)
    if not any(not daemon.is_foreign for daemon in found):
        _elsewhere(door)
    waiting = [daemon for daemon in found if any(socket.received for socket in daemon.listening)]
    if waiting:
        door.want("ss", "-Hltn")
        door.want("sleep", PAUSE)
    yield from answered()
    for daemon in found[:MOST_LISTENERS]:
        path = pid_file(seen, daemon)
        if path and is_trusted(seen, daemon):
            door.read(prefix(daemon) + path, 32)
            door.stat(prefix(daemon) + path)
    for daemon in waiting:
        for name in ("tcp", "tcp6"):
            door.read(f"/proc/{daemon.pid}/task/{daemon.pid}/net/{name}", 1 << 22)


def _configuration(door: Door, seen: Snapshot, daemon: Daemon) -> None:
    root = prefix(daemon)
    chosen = named(seen, daemon)
    for path in USUAL if chosen is None else filter(None, (chosen,)):
        door.stat(root + path)
    if chosen is None:
        for name in door.list(root + DROP_INS)[:MOST_DROP_INS]:
            if name.endswith(".conf"):
                door.stat(f"{root}{DROP_INS}/{name}")


def _network(door: Door, daemon: Daemon) -> None:
    for name, limit in (("fib_trie", MAX_ROUTES), ("if_inet6", 65536), ("netstat", 65536)):
        door.read(f"/proc/{daemon.pid}/net/{name}", limit)


def _elsewhere(door: Door) -> None:
    """Look for what may stand in for a listener of this host, or ought to be one."""
    door.stat("/usr/sbin/sshd")
    door.read("/etc/inetd.conf", 65536)
    for name in door.list(SUPER_SERVERS)[:100]:
        if "ssh" in name:
            door.read(f"{SUPER_SERVERS}/{name}", 16384)
