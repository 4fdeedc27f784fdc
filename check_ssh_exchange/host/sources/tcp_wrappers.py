"""Whether a listener, or what it starts for each connection, is linked with libwrap, and libwrap's two files."""

from collections.abc import Iterator

from ..door import Door
from ..hosts_access import ALLOW, DENY
from ..snapshot import Snapshot
from ..sshd import daemons
from ..trusted import prefix
from ..wrapped import LIBRARY, programs
from .configuration import answered

MOST = 1 << 19  # bytes of one file; a deny list that a program writes has thousands of lines


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record the programs that name the library, and the files in each root where one does."""
    yield from answered()
    for daemon in daemons(seen):
        if daemon.is_foreign:  # a link in its files could lead to ours
            continue
        root = prefix(daemon)
        if any(door.contains(root + path, LIBRARY) for path in programs(seen, daemon)):
            for path in (ALLOW, DENY):
                door.read(root + path, MOST)
    yield
