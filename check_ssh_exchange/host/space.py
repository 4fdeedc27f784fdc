"""Which file systems count for sshd, and which of them must not be asked. Pure."""

from .snapshot import Snapshot

PLACES = ("/", "/var/log", "/run")
# Asked for its space, one of these waits for a server, or for a program of a user's, as long as that takes.
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "afs", "glusterfs", "lustre", "gpfs", "autofs", "ncpfs")


def is_remote(seen: Snapshot, table: str, place: str) -> bool:
    """Return whether a place is on a file system that may not answer, by /proc/mounts or a process's mountinfo."""
    best, kind = "", ""
    for line in seen.lines(table):
        mounted, found = _mount(line)
        below = mounted.rstrip("/") + "/"
        if f"{place.rstrip('/')}/".startswith(below) and len(mounted) >= len(best):
            best, kind = mounted, found
    return kind.startswith(_REMOTE)


def _mount(line: str) -> tuple[str, str]:
    """Return where a line says that something is mounted, and its type; proc(5)."""
    before, separator, behind = line.partition(" - ")
    fields = before.split(" ")
    if separator:
        return (fields[4], behind.split(" ")[0]) if len(fields) > 4 else ("", "")
    return (fields[1], fields[2]) if len(fields) > 2 else ("", "")
