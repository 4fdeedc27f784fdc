"""Which release a listener's binary, its helpers and the files on disk are of, read from their bytes.

A deleted binary has no path to be asked at, and what a container holds must not be run: both can be read.
"""

from collections.abc import Iterator

from ..configuration_files import hidden_file
from ..door import Door
from ..release import (
    HELPERS,
    ON_DISK,
    PATTERN,
    STRINGS,
    deleted,
    helper_paths,
    is_replaced,
    key,
    names_of,
    next_helper_paths,
)
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons
from ..trusted import prefix
from .configuration import answered

# Where we may not see what is mapped, their times are compared with the listener's. Debian's directories by
# architecture, and where Fedora, SUSE, Arch and Alpine keep libraries.
LIBRARIES = ("libcrypto.so.3", "libcrypto.so.1.1", "libwrap.so.0")
DIRECTORIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib/arm-linux-gnueabihf",
               "/usr/lib/riscv64-linux-gnu", "/usr/lib64", "/usr/lib")  # fmt: skip


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record what the binary is of, then its helpers; where it was replaced, what is on disk now."""
    found = daemons(seen)
    for daemon in found:
        _binary(door, seen, daemon)
    yield from answered()  # SshdSessionPath
    for daemon in found:
        _helpers(door, seen, daemon)
    yield


def _binary(door: Door, seen: Snapshot, daemon: Daemon) -> None:
    path, mapped = prefix(daemon) + daemon.path, f"/proc/{daemon.pid}/exe"
    if daemon.is_foreign:  # below a container's root a path leads wherever its links say
        if door.stat(mapped) is not None:
            door.search(key(daemon, STRINGS), PATTERN, mapped)
        return
    is_there = _is_file(door, path)
    is_seen = door.stat(mapped) is not None
    if is_seen:
        door.search(key(daemon, STRINGS), PATTERN, mapped)
        for gone in deleted(seen, daemon):
            for name in names_of(gone):
                door.stat(prefix(daemon) + name)
    else:
        for directory in DIRECTORIES:
            for name in LIBRARIES:
                door.stat(f"{directory}/{name}")
    if is_there and (is_replaced(seen, daemon) if is_seen else not hidden_file(seen, daemon)):
        door.search(key(daemon, ON_DISK), PATTERN, path)


def _helpers(door: Door, seen: Snapshot, daemon: Daemon) -> None:
    if daemon.is_foreign:
        return
    for path in next_helper_paths(seen, daemon):
        _is_file(door, prefix(daemon) + path)
    paths = [prefix(daemon) + path for path in helper_paths(seen, daemon)]
    if there := [path for path in paths if _is_file(door, path)]:
        door.search(key(daemon, HELPERS), PATTERN, *there)


def _is_file(door: Door, path: str) -> bool:
    told = door.stat(path)
    return told is not None and told["mode"] & 0o170000 == 0o100000
