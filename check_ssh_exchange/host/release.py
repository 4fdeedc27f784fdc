"""Which releases of OpenSSH a listener is made of: what runs, what is on disk, its helpers, its deleted files. Pure.

Until 9.7 the listener runs /usr/sbin/sshd again for each connection, with what is on disk then; from 9.8 on it runs
sshd-session, and that from 10.0 on sshd-auth (sshd.c, sshd-session.c). The paths of both are compiled in.
"""

import re

from .settings import settings_of
from .snapshot import Snapshot
from .sshd import Daemon
from .trusted import prefix

# The version as version.h has it (patterns of compat.c end without `p`), and the helpers' paths.
PATTERN = r"OpenSSH_[0-9][0-9.]*p[0-9]+|/[A-Za-z0-9._+/-]+/sshd-(session|auth)"
MOST_DELETED = 100  # files; sshd maps 20 to 40
_VERSION = re.compile(r"OpenSSH_(\d{1,3})\.(\d{1,3})(?:\.\d{1,3})?p\d{1,3}")
_HELPER = re.compile(r"^/(?!.*/\.\./)[A-Za-z0-9._+/-]+/sshd-(?:session|auth)$")
# Not files that a package replaces: shared memory, memfd, asynchronous I/O.
_NO_FILES = ("/dev/", "/memfd:", "/SYSV", "/[aio]", "/anon_hugepage")
_DELETED = " (deleted)"


def key(daemon: Daemon, what: str = "strings") -> str:
    """Return what the strings of a listener's binary are recorded as; `what` is one of the three words below."""
    return f"{what} of {daemon.pid}"


STRINGS, ON_DISK, HELPERS = "strings", "strings on disk", "strings of helpers"


def is_visible(seen: Snapshot, daemon: Daemon) -> bool:
    """Return whether we had the right to see what the listener has mapped."""
    return seen.stat(f"/proc/{daemon.pid}/exe") is not None


def is_replaced(seen: Snapshot, daemon: Daemon) -> bool:
    """Return whether another file is at the path of the binary that runs."""
    mapped, there = seen.stat(f"/proc/{daemon.pid}/exe"), seen.stat(prefix(daemon) + daemon.path)
    names = ("device", "inode")
    return bool(mapped and there) and [(mapped or {}).get(name) for name in names] != [
        (there or {}).get(name) for name in names
    ]


def running(seen: Snapshot, daemon: Daemon) -> str:
    """Return the release that runs, "" where we may not see it."""
    return _newest(seen.command(key(daemon)).out)


def on_disk(seen: Snapshot, daemon: Daemon) -> str:
    """Return the release of the file at the binary's path, "" for no file and for one that cannot be read."""
    if seen.stat(prefix(daemon) + daemon.path) is None:
        return ""
    found = _newest(seen.command(key(daemon, ON_DISK)).out)
    return found if found or is_replaced(seen, daemon) else running(seen, daemon)


def helper_paths(seen: Snapshot, daemon: Daemon) -> tuple[str, ...]:
    """Return the programs that the listener's children are, none before 9.8 and where its binary cannot be read."""
    return _helpers(seen, daemon, seen.command(key(daemon)).out or seen.command(key(daemon, ON_DISK)).out)


def next_helper_paths(seen: Snapshot, daemon: Daemon) -> tuple[str, ...]:
    """Return the programs that a listener needs which is started now, with the binary on disk."""
    if not is_replaced(seen, daemon):
        return helper_paths(seen, daemon)
    return _helpers(seen, daemon, seen.command(key(daemon, ON_DISK)).out)


def _helpers(seen: Snapshot, daemon: Daemon, strings: str) -> tuple[str, ...]:
    compiled = [path for path in _rows(strings) if _HELPER.match(path)]
    if not compiled:
        return ()
    # SshdSessionPath and SshdAuthPath are in sshd_config(5) since 9.9 and 10.0, undocumented.
    settings = settings_of(seen, daemon)
    set_there = [settings.get(name) for name in ("SshdSessionPath", "SshdAuthPath")] if settings else []
    paths = {path.rpartition("/")[2]: path for path in [*compiled, *set_there] if _HELPER.match(path)}
    return tuple(sorted(paths.values(), reverse=True))


def helper_releases(seen: Snapshot, daemon: Daemon) -> dict[str, str]:
    """Return the release of each helper that is there, by its path; "" where it cannot be read."""
    found = {path: "" for path in helper_paths(seen, daemon) if seen.stat(prefix(daemon) + path) is not None}
    for row in seen.command(key(daemon, HELPERS)).out.splitlines():
        path, _, text = row.rpartition(":")
        path = path.removeprefix(prefix(daemon))
        if path in found and _VERSION.fullmatch(text):
            found[path] = max(found[path], text, key=numbers)
    return found


def deleted(seen: Snapshot, daemon: Daemon) -> list[str]:
    """Return the paths, as the listener's root has them, of files that it has mapped and that were deleted."""
    found: dict[str, None] = {}
    for line in seen.lines(f"/proc/{daemon.pid}/maps"):
        path = line.split(None, 5)[5] if line.count(" ") > 4 and line.endswith(_DELETED) else ""
        if path.startswith("/") and not path.startswith(_NO_FILES):
            path = path.removesuffix(_DELETED)
            found[path.removeprefix(daemon.root) if daemon.root != "/" else path] = None
    return list(found)[:MOST_DELETED]


def names_of(path: str) -> list[str]:
    """Return the names that what replaced a library may have: libz.so.1.2.13, libz.so.1.2, libz.so.1."""
    names = [path]
    while re.search(r"\.so\.[\w.]+\.\w+$", names[-1]):
        names.append(names[-1].rpartition(".")[0])
    if found := re.match(r"(.*\.so\.\d+(?:\.\d+)*)[a-z]+$", path):  # OpenSSL 1: libcrypto.so.1.1.1k
        names.append(found[1])
    return names


def numbers(version: str) -> tuple[int, int]:
    """Return a release as numbers, (0, 0) for none."""
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _rows(output: str) -> list[str]:
    return [row.rpartition(":")[2] for row in output.splitlines()]


def _newest(output: str) -> str:
    found = [row for row in _rows(output) if _VERSION.fullmatch(row)]
    return max(found, key=numbers, default="")
