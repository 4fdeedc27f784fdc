"""How full the file systems are that sshd and its log need."""

from collections.abc import Iterator

from ..door import Door
from ..snapshot import Snapshot
from ..space import PLACES, is_remote
from ..sshd import daemons


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record blocks and inodes of the host's places, and of the roots of those sshds that have another one."""
    for place in PLACES:
        if not is_remote(seen, "/proc/mounts", place):
            door.space(place)
    for daemon in daemons(seen):
        if daemon.root == "/" and not daemon.is_foreign:
            continue
        prefix = f"/proc/{daemon.pid}/root"
        door.read(f"/proc/{daemon.pid}/mountinfo")
        # In a container only the root itself: below it a link of the container's could lead anywhere.
        for place in ("/",) if daemon.is_foreign else PLACES:
            if not is_remote(seen, f"/proc/{daemon.pid}/mountinfo", place):
                door.space(f"{prefix}{place}")
    yield
