"""The host keys of each listener: what there is of their files, and whether ssh-keygen can load them.

A private key never comes in here: `ssh-keygen -y` reads it as sshd does, with the same rules for modes and owners
(authfile.c), and prints the public half.
"""

from collections.abc import Iterator

from ..door import Door
from ..keys import CERTIFICATE, KEY, PUBLIC, certificates, key_files
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons
from ..trusted import is_trusted, prefix
from .binaries import inside
from .configuration import answered

KEYGEN = "/usr/bin/ssh-keygen"


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record files, public halves and certificates."""
    yield from answered()
    for daemon in daemons(seen):
        if is_trusted(seen, daemon):
            _keys(door, seen, daemon)
    yield


def _keys(door: Door, seen: Snapshot, daemon: Daemon) -> None:
    root = prefix(daemon)
    # A chroot for sshd alone has none: ours reads its files from outside.
    has_own = not root or door.stat(root + KEYGEN) is not None
    for path in key_files(seen, daemon):
        door.stat(root + path)
        if seen.is_root:
            _run(door, daemon, KEY, path, "-y", "-P", "", has_own=has_own)
        if not seen.is_root or seen.stat(root + path) is None:
            door.stat(f"{root}{path}.pub")
            _run(door, daemon, PUBLIC, path, "-l", has_own=has_own, ending=".pub")
    for path in certificates(seen, daemon):
        door.stat(root + path)
        _run(door, daemon, CERTIFICATE, path, "-L", has_own=has_own)


def _run(door: Door, daemon: Daemon, kind: str, path: str, *words: str, has_own: bool, ending: str = "") -> None:
    file = ("" if has_own else prefix(daemon)) + path + ending
    command = ("ssh-keygen", *words, "-f", file)
    door.want(*(inside(daemon, *command) if has_own else command), key=f"{kind} of {daemon.pid}: {path}", limit=1 << 16)
