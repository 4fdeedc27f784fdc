"""Which processes are sshd's, and what /proc says of each; sockets of the network namespaces they are in."""

from collections.abc import Iterator

from ..door import Door
from ..snapshot import Snapshot

NAMES = ("sshd", "sshd-session", "sshd-auth")
OF_A_PROCESS = ("cmdline", "stat", "cgroup", "limits", "wchan")
OF_A_NETWORK = ("net/tcp", "net/tcp6")
MOST_PROCESSES = 2000  # sshd's that are looked at one by one; a full MaxStartups has 100 to 300
MOST_DESCRIPTORS = 4096  # of one of root's that are looked at; a listener has a dozen and two for each startup
# Anybody may call as many processes sshd as he likes, each with as many descriptors. So of other users' processes only
# a few are asked for their sockets: enough to find an sshd of one's own that `-p` names.
MOST_OF_OTHERS = 64
MOST_DESCRIPTORS_OF_OTHERS = 64
MOST_SOCKETS = 1 << 22  # bytes of a socket table; 28,000 connections
CHANGED = "ECHANGED"  # not one of errno.h: the process was another in the end
TIME_WAIT = b"06"  # include/net/tcp_states.h
NAMESPACES = ("mnt", "net", "pid", "user")


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record the processes of every sshd, and the sockets where they listen."""
    for name in NAMESPACES:
        door.link(f"/proc/self/ns/{name}")
    door.stat("/")
    for path in ("/proc/stat", "/proc/uptime", "/proc/self/status", "/proc/mounts"):
        door.read(path)
    found = _found(door, seen)
    strangers = [pid for pid in found if not _is_roots(seen, pid)]
    others, unasked = set(strangers), set(strangers[MOST_OF_OTHERS:])
    for pid in found:
        _process(door, pid)
        if pid not in unasked:
            _descriptors(door, pid, MOST_DESCRIPTORS_OF_OTHERS if pid in others else MOST_DESCRIPTORS)
        if pid not in others:
            _once_more(door, seen, pid)
    networks: dict[str, str] = {}
    for pid in found:
        networks.setdefault(seen.link(f"/proc/{pid}/ns/net") or "", pid)
    # A busy host's table is long, so that of our own network is read once, and in the place that does not go away.
    networks.pop(seen.link("/proc/self/ns/net") or "", None)
    for pid in (*networks.values(), "self"):
        for name in OF_A_NETWORK:
            door.read_lines(f"/proc/{pid}/{name}", _is_open, MOST_SOCKETS)
    yield


def _is_open(row: bytes) -> bool:
    # A busy host has a hundred thousand rows in TIME_WAIT, which are of no process any more.
    return row.split(None, 4)[3:4] != [TIME_WAIT]


def _found(door: Door, seen: Snapshot) -> list[str]:
    pids = [name for name in door.list("/proc") if name.isdecimal()]
    found = [pid for pid in pids if (door.read(f"/proc/{pid}/comm", 64) or "").strip() in NAMES]
    for pid in {*pids} - {*found}:  # only those of sshd are kept: a host has thousands of others
        del seen.document["files"][f"/proc/{pid}/comm"]
    for pid in found:
        door.read(f"/proc/{pid}/status", 16384)
    found.sort(
        key=lambda pid: (not _is_roots(seen, pid), int(pid))
    )  # anybody may call as many processes so as he likes
    seen.document["lists"]["/proc"] = {"names": found[:MOST_PROCESSES], "processes": len(pids)}
    return found[:MOST_PROCESSES]


def _is_roots(seen: Snapshot, pid: str) -> bool:
    return "\nUid:\t0\t" in (seen.text(f"/proc/{pid}/status") or "")


def _process(door: Door, pid: str) -> None:
    for name in OF_A_PROCESS:
        door.read(f"/proc/{pid}/{name}", 16384)
    for name in ("exe", "root", *(f"ns/{namespace}" for namespace in NAMESPACES)):
        door.link(f"/proc/{pid}/{name}")
    door.stat(f"/proc/{pid}/root/")


def _descriptors(door: Door, pid: str, most: int) -> None:
    for descriptor in door.list(f"/proc/{pid}/fd")[:most]:
        door.link(f"/proc/{pid}/fd/{descriptor}")


def _once_more(door: Door, seen: Snapshot, pid: str) -> None:
    """Read who root's process is behind all else; it is not taken for root's where it was not from first to last.

    A process may become another while it is read: a user's sshd that goes on as a set-uid program has his title and
    root's status, or the other way round.
    """
    program = seen.link(f"/proc/{pid}/exe")
    door.read(f"/proc/{pid}/status", 16384)
    if door.link(f"/proc/{pid}/exe") != program:
        door.document["files"][f"/proc/{pid}/status"] = {"error": CHANGED}
