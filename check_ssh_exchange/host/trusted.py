"""Whether the binary of a listener may be run from here: anybody can name a process sshd. Pure."""

from .snapshot import Snapshot
from .sshd import Daemon

ROOTS_OWN = ["0", "0", "0", "0"]  # real, effective, saved and file-system uid in /proc/PID/status
_WRITABLE = 0o022  # by the group, by others


def is_trusted(seen: Snapshot, daemon: Daemon) -> bool:
    """Return whether a listener is root's process, and its binary root's file, in no container.

    Both are needed: a user's own program, called sshd, would be run with the rights that read the host; and with a
    set-uid program under that name its words would be the user's.
    """
    if daemon.is_foreign:
        return False
    uids = next((line.split()[1:5] for line in seen.lines(f"/proc/{daemon.pid}/status") if line.startswith("Uid:")), [])
    file = seen.stat(f"{prefix(daemon)}{daemon.path}")
    return uids == ROOTS_OWN and file is not None and file["uid"] == 0 and not file["mode"] & _WRITABLE


def prefix(daemon: Daemon) -> str:
    """Return what leads from our root to that of a listener."""
    return "" if daemon.root == "/" else f"/proc/{daemon.pid}/root"
