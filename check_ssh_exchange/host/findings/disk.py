"""The item disk: blocks and inodes of the file systems that sshd and its log need."""

from collections.abc import Iterator

from ..about import About
from ..finding import Finding
from ..host import has_systemd
from ..share import Share, finding_of
from ..snapshot import Snapshot
from ..space import PLACES
from ..sshd import daemons

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def find(seen: Snapshot, about: About) -> Finding:
    """Return how full the fullest file system is; one that can only be read is as full as it was made."""
    told: dict[tuple[object, ...], tuple[str, Mapping[str, Any]]] = {}
    for name, path in _places(seen, about):
        space = seen.stat(f"space:{path}")
        if space and not space.get("is_read_only"):
            # A file system that is mounted twice is reported once, under its first path.
            told.setdefault(tuple(space.get(key) for key in ("blocks", "free", "files", "files_free")), (name, space))
    shares = [share for name, space in told.values() for share in _shares(name, space)]
    finding = finding_of("disk", "disk_used", shares, "no file system that can be written was seen")
    journal = ("journalctl --vacuum-size=200M   # where the journal fills it",) if has_systemd(seen) else ()
    largest = "du -xh --max-depth=2 /var/log   # what is large there"
    return finding._replace(remedies=("df -h / /var/log /run", "df -i / /var/log /run", largest, *journal))


def _places(seen: Snapshot, about: About) -> Iterator[tuple[str, str]]:
    for place in PLACES:
        yield place, place
    for daemon in daemons(seen, about.ports):
        for place in PLACES:
            where = "the root" if place == "/" else place
            yield f"{where} of sshd {daemon.pid}", f"/proc/{daemon.pid}/root{place}"


def _shares(name: str, space: "Mapping[str, Any]") -> Iterator[Share]:
    used = int(space["blocks"]) - int(space["free"])
    # As df counts: what is kept for root is neither used nor available.
    total = used + int(space["available"])
    if total > 0:
        yield Share(name, used * int(space["size"]), total * int(space["size"]), is_bytes=True)
    files = int(space["files"])
    if files > 0:  # btrfs has no number of them
        yield Share(f"inodes of {name}", files - int(space["files_free"]), files)
