"""The first half: read the host into a snapshot, while the listeners' titles are sampled for a second."""

import os
import time
from collections.abc import Callable, Iterator, Mapping

from .. import __version__
from .about import DEFAULT_SINCE
from .door import Door
from .snapshot import SCHEMA, Snapshot
from .sources import SOURCES
from .sshd import daemons, startups_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SAMPLED = 1.0  # seconds; a scanner's burst comes and goes within one
INTERVAL = 0.02  # between two looks at the titles

Source = Callable[[Door, Snapshot], Iterator[None]]


def collect(
    since: float = DEFAULT_SINCE,
    monitors: tuple[str, ...] = (),
    position: "Mapping[str, Any] | None" = None,
    login_user: str | None = None,
    ports: tuple[int, ...] = (),
) -> Snapshot:
    """Return a snapshot of this host.

    `position` is where the logs were read to, `since` how far back without one. With `ports`, the sshds there are asked
    for their configuration; a host with many has too many to ask all.
    """
    begun = time.monotonic()
    door = Door()
    system = os.uname()
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "program": "check_sshd_local",
        "version": __version__,
        "at": time.time(),
        "uid": os.geteuid(),
        "sudo_uid": os.environ.get("SUDO_UID"),
        "host": {"name": system.nodename, "system": system.sysname, "kernel": system.release},
        "zone": time.localtime().tm_gmtoff,
        "since": since,
        "monitors": list(monitors),
        "ports": list(ports),
        "login_user": login_user,
        "position": dict(position or {}),
        "samples": [],
        **door.document,
    }
    seen = Snapshot(document)
    sampler = Sampler(door, seen)
    running = [source(door, seen) for source in SOURCES]
    while running:
        running = [one for one in running if _goes_on(one, seen)]
        door.run(sampler.look)
    sampler.finish()
    seen.forget()
    document["took"] = round(time.monotonic() - begun, 3)
    return seen


def _goes_on(source: Iterator[None], seen: Snapshot) -> bool:
    seen.forget()  # the source before this one has read more
    return next(source, StopIteration) is not StopIteration


class Sampler:
    """Looks at the titles of the listeners again and again, until a second has been seen."""

    def __init__(self, door: Door, seen: Snapshot) -> None:
        self._door = door
        self._seen = seen
        self._begun = 0.0
        self._pids: list[int] = []

    def look(self) -> float | None:
        """Take one sample; return the seconds until the next, None where there is nothing to sample."""
        now = time.monotonic()
        if not self._begun:
            self._begun = now
            self._seen.forget()
            self._pids = [daemon.pid for daemon in daemons(self._seen) if daemon.startups is not None]
        if not self._pids or now - self._begun > SAMPLED:
            return None
        titles = {}
        for pid in self._pids:
            kept = self._seen.document["files"].get(f"/proc/{pid}/cmdline")
            title = startups_of(self._door.read(f"/proc/{pid}/cmdline", 4096) or "")
            titles[str(pid)] = list(title) if title else None
            if kept:
                self._seen.document["files"][f"/proc/{pid}/cmdline"] = kept
        samples = self._seen.document["samples"]
        if not samples or samples[-1][1] != titles:
            samples.append([round(now - self._begun, 3), titles])
        return INTERVAL

    def finish(self) -> None:
        """Sample on until the second is over."""
        while (pause := self.look()) is not None:
            time.sleep(pause)
