"""The item descriptors: how many more files the listener and the host may open."""

import re
from collections.abc import Iterable, Iterator

from ...diagnosis.cause import Cause
from ...plugin.nagios import Critical
from ..about import About
from ..cgroups import digits
from ..finding import ROOT, Finding, Lack, Problem
from ..host import has_systemd, service
from ..share import Share, finding_of
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons

NEEDED = 5  # descriptors that a listener opens for a client: its connection, two pairs of sockets (sshd.c)


def find(seen: Snapshot, about: About) -> Finding:
    """Return the fullest of the tables. At its limit sshd takes no connection, or closes each (signs: `accept:`)."""
    found = daemons(seen, about.ports)
    shares = [share for daemon in found for share in _listener(seen, daemon)]
    finding = finding_of("descriptors", "descriptors", [*shares, *_host(seen)], "no number of descriptors was seen")
    short = [problem for daemon in found if (problem := _shortage(seen, daemon)) is not None]
    finding = finding._replace(remedies=tuple(_remedies(seen, found)), problems=tuple(short))
    if any(seen.is_denied(f"/proc/{daemon.pid}/fd") for daemon in found):
        return finding._replace(lacks=(Lack(ROOT, "how many descriptors sshd has open"),))
    return finding


def _shortage(seen: Snapshot, daemon: Daemon) -> Problem | None:
    """Return the problem of a listener that has too few descriptors left to take a client, whatever share that is."""
    left = next((share.total - share.used for share in _listener(seen, daemon)), NEEDED)
    if left >= NEEDED:
        return None
    words = f"sshd {daemon.pid} has {left} descriptors left: it cannot take a client"
    return Problem(Critical, words, Cause.SERVER_FAULT)


def _listener(seen: Snapshot, daemon: Daemon) -> Iterator[Share]:
    limits = seen.text(f"/proc/{daemon.pid}/limits") or ""
    soft = re.search(r"^Max open files\s+(\d{1,19})\s", limits, re.MULTILINE)
    now = len(seen.names(f"/proc/{daemon.pid}/fd"))
    if soft and now:
        yield Share(f"descriptors of sshd {daemon.pid}", now, max(1, int(soft[1])))


def _remedies(seen: Snapshot, found: Iterable[Daemon]) -> Iterator[str]:
    yield from (f"ls -l /proc/{daemon.pid}/fd   # what it has open" for daemon in found)
    if has_systemd(seen):
        yield f"systemctl show -p LimitNOFILE {service(seen)}   # the limit; systemctl edit {service(seen)} changes it"


def _host(seen: Snapshot) -> Iterator[Share]:
    """Yield fs.file-nr: allocated, free of these (always 0 since Linux 2.6), the most."""
    fields = [digits(field) for field in (seen.text("/proc/sys/fs/file-nr") or "").split()]
    if len(fields) == 3 and fields[0] is not None and fields[2]:
        yield Share("open files of the host", fields[0], fields[2])
