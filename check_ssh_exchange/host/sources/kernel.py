"""What the kernel counts and limits for the whole host, and whom it killed for lack of memory."""

from collections.abc import Iterator

from ..cgroups import named_number
from ..door import Door
from ..snapshot import Snapshot

FILES = (
    "/proc/meminfo",
    "/proc/vmstat",
    "/proc/loadavg",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/proc/pressure/memory",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/kernel/threads-max",
    "/proc/sys/fs/file-nr",
    "/proc/sys/net/netfilter/nf_conntrack_count",
    "/proc/sys/net/netfilter/nf_conntrack_max",
    "/proc/net/stat/nf_conntrack",
)
MOST = 65536  # bytes of a file; /proc/net/stat/nf_conntrack has 200 for each processor
MOST_LOG = 4 << 20  # bytes of the kernel's log


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record the counters, and the kernel's log where it has killed anything since it started."""
    for path in FILES:
        door.read(path, MOST)
    if named_number(seen, "/proc/vmstat", "oom_kill"):
        door.want("dmesg", limit=MOST_LOG)
    yield
