"""Whether the binary of a listener may be run from here: anybody can name a process sshd. Pure."""

import shlex

from ..text import printable
from .snapshot import Snapshot
from .sshd import Daemon

ROOTS_OWN = ["0", "0", "0", "0"]  # real, effective, saved and file-system uid in /proc/PID/status
_WRITABLE = 0o022  # by the group, by others
_SET_ID = 0o6000  # a set-uid program is run by others with words of theirs


def is_trusted(seen: Snapshot, daemon: Daemon) -> bool:
    """Return whether a listener is root's process, and its binary root's file, in no container.

    All is needed: a user's own program, called sshd, would be run with the rights that read the host; root's own
    program of another kind would be run with words that a title makes up.
    """
    if daemon.is_foreign:
        return False
    uids = next((line.split()[1:5] for line in seen.lines(f"/proc/{daemon.pid}/status") if line.startswith("Uid:")), [])
    if uids != ROOTS_OWN or not daemon.path.endswith("/sshd"):
        return False
    file = seen.stat(f"{prefix(daemon)}{daemon.path}")
    if file is None or file["mode"] & _SET_ID:
        return False
    directories = [seen.stat(f"{prefix(daemon)}{path}") for path in parents(daemon.path)]
    return all(one is not None and one["uid"] == 0 and not one["mode"] & _WRITABLE for one in (file, *directories))


def parents(path: str) -> list[str]:
    """Return the directories above a file, without the root: /usr/sbin and /usr for /usr/sbin/sshd."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: number + 1]) for number in range(len(parts))]


def prefix(daemon: Daemon) -> str:
    """Return what leads from our root to that of a listener."""
    return "" if daemon.root == "/" else f"/proc/{daemon.pid}/root"


def from_here(daemon: Daemon, path: str) -> str:
    """Return a path in the root of a listener as a person at this host writes it in a shell."""
    return shlex.quote(printable(daemon.root.rstrip("/") + path, 400))
