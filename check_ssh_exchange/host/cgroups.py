"""The control groups whose limits hold for an sshd: its own and all that this is in, the innermost first. Pure.

cgroups(7): v2 has one hierarchy and `max` for no limit; v1 has a hierarchy for each controller. Seen from within a
container its own group looks like the root, so the limits of a container are found by the same walk.
"""

from ..text import printable
from ..values import NamedTuple
from .host import container_of
from .snapshot import Snapshot

MOUNTS = "/sys/fs/cgroup"
MOST = 16  # groups above each other; Kubernetes has six
_MOST_DIGITS = 19  # of a number of 64 bits


class Group(NamedTuple):
    """A control group: what a sentence calls it, where its files are, whether they are those of v2."""

    name: str
    directory: str
    is_unified: bool


def groups(seen: Snapshot, pid: int, controller: str) -> tuple[Group, ...]:
    """Return the groups of a process for `memory` or `pids`; none where nothing is mounted or known."""
    paths = {}
    for line in seen.lines(f"/proc/{pid}/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths.update(dict.fromkeys(controllers.split(","), path))
    root = "this container" if container_of(seen) else "this host"
    divided = _mount(seen, controller)
    if divided and controller in paths:
        return tuple(_upwards(divided, paths[controller], root, is_unified=False))
    unified = _mount(seen, "")
    return tuple(_upwards(unified, paths[""], root, is_unified=True)) if unified and "" in paths else ()


def number(seen: Snapshot, path: str) -> int | None:
    """Return the number in a file, None for `max`, for nonsense and where it was not read."""
    return digits((seen.text(path) or "").strip())


def digits(text: str) -> int | None:
    """Return a number that is not negative and no longer than the kernel's, None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


def named_number(seen: Snapshot, path: str, name: str) -> int:
    """Return the number behind a name in a file of `name number` lines; 0 where there is none."""
    for line in seen.lines(path):
        key, _, value = line.partition(" ")
        if key == name:
            return digits(value.strip()) or 0
    return 0


def _mount(seen: Snapshot, controller: str) -> str | None:
    """Return where a controller of v1 is mounted, or v2 for ""."""
    for line in seen.lines("/proc/mounts"):
        fields = line.split(" ")
        if len(fields) > 3 and fields[1].startswith(MOUNTS) and "/.." not in fields[1]:
            if not controller and fields[2] == "cgroup2":
                return fields[1]
            if controller and fields[2] == "cgroup" and controller in fields[3].split(","):
                return fields[1]
    return None


def _upwards(mount: str, path: str, root: str, *, is_unified: bool) -> list[Group]:
    parts = [part for part in path.split("/") if part]
    if ".." in parts:  # outside of the control group namespace that we are in: only what we see as the root holds
        parts = []
    found = []
    for depth in range(len(parts), max(-1, len(parts) - MOST), -1):
        name = printable(parts[depth - 1], 40) if depth else root
        found.append(Group(name, "/".join([mount, *parts[:depth]]), is_unified))
    return found
