"""What the control groups of each listener allow and what is used of it."""

from collections.abc import Iterator

from ..cgroups import groups
from ..door import Door
from ..snapshot import Snapshot
from ..sshd import daemons

# By controller: the files of v2, and those of v1.
FILES = {
    "memory": (
        ("memory.max", "memory.current", "memory.stat", "memory.events", "memory.pressure"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "memory.oom_control"),
    ),
    "pids": (("pids.max", "pids.current", "pids.events"), ("pids.max", "pids.current", "pids.events")),
}
MOST = 16384  # bytes of one; memory.stat has 2000


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record the files of every group once."""
    directories = {
        (controller, group.directory): group.is_unified
        for daemon in daemons(seen)
        for controller in FILES
        for group in groups(seen, daemon.pid, controller)
    }
    for (controller, directory), is_unified in directories.items():
        for name in FILES[controller][0 if is_unified else 1]:
            door.read(f"{directory}/{name}", MOST)
    yield
