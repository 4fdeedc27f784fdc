"""What kind of host this is: its release, its init, whether it is a container, what we may see."""

from collections.abc import Iterator

from ..door import Door
from ..snapshot import Snapshot

FILES = (
    "/etc/os-release",
    "/usr/lib/os-release",
    "/proc/1/comm",
    "/proc/1/cgroup",
    "/proc/self/cgroup",
    "/proc/version",
)
# What containers leave where everybody sees it.
MARKS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container", "/run/systemd/system")


def read(door: Door, _seen: Snapshot) -> Iterator[None]:
    """Record what the host says of itself."""
    for path in FILES:
        door.read(path, 16384)
    for path in MARKS:
        door.stat(path)
    yield
