"""What the binary of each listener says of itself, what it has mapped, and what is on disk now."""

from collections.abc import Iterator

from ..configuration_files import hidden_file, named
from ..door import Door
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons
from ..trusted import is_trusted, parents, prefix

MAX_MAPS = 1 << 18


def inside(daemon: Daemon, *words: str) -> tuple[str, ...]:
    """Return a command that runs in the root of a listener; raises ValueError for one in a container.

    A container's programs are whoever's: they must never run with the rights that read the host. Neither may the binary
    of anybody who calls himself sshd: see `trusted`.
    """
    if daemon.is_foreign:
        raise ValueError("the sshd of a container")
    return words if daemon.root == "/" else ("chroot", daemon.root, *words)


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record versions, maps, and the files on disk."""
    for daemon in daemons(seen):
        door.read(f"/proc/{daemon.pid}/maps", MAX_MAPS)
        if daemon.is_foreign:  # below a container's root a path leads wherever its links say
            continue
        for path in (daemon.path, *parents(daemon.path)):
            door.stat(prefix(daemon) + path)
        if daemon.process.root is None and (file := named(seen, daemon)):
            door.stat(file)
        if is_trusted(seen, daemon) and not hidden_file(seen, daemon):
            # Only 9.3 and later have an option for this; every one prints its version with its usage.
            door.want(*inside(daemon, daemon.path, "-?"), key=f"version of {daemon.pid}")
    yield
