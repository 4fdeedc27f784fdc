"""The item processes: how many more may start, on the host and in sshd's control group."""

from collections.abc import Iterable, Iterator

from ..about import About
from ..cgroups import digits, groups, named_number, number
from ..finding import Finding
from ..host import has_systemd
from ..share import Share, finding_of
from ..snapshot import Snapshot
from ..sshd import daemons


def find(seen: Snapshot, about: About) -> Finding:
    """Return the fullest of the limits; RLIMIT_NPROC is none for the listener, which is root's (setrlimit(2))."""
    told = dict(_groups(seen, about))
    finding = finding_of("processes", "processes", [*_host(seen), *told.values()], "no number of processes was seen")
    refused = [
        f"forks refused by the limit of {share.what.removeprefix('pids of ')} so far: {count}"
        for directory, share in told.items()
        if (count := named_number(seen, f"{directory}/pids.events", "max"))
    ]
    who = "ps -eo user,comm --sort=user   # who has them"
    return finding._replace(evidence=(*finding.evidence, *refused), remedies=(*_units(seen, told.values()), who))


def _units(seen: Snapshot, shares: Iterable[Share]) -> "list[str]":
    """Return how to look at the limited units of systemd."""
    named = [share for share in shares if share.what.endswith((".service", ".scope", ".slice")) and has_systemd(seen)]
    return [f"systemctl status {share.what.removeprefix('pids of ')}   # TasksMax is {share.total}" for share in named]


def _host(seen: Snapshot) -> Iterator[Share]:
    """Yield the host's threads: each takes a number of pid_max and counts for threads-max."""
    fields = (seen.text("/proc/loadavg") or "").split()
    threads = digits(fields[3].partition("/")[2]) if len(fields) > 3 else None
    limits = [number(seen, f"/proc/sys/kernel/{name}") for name in ("pid_max", "threads-max")]
    known = [limit for limit in limits if limit]
    if threads is not None and known:
        yield Share("threads of the host", threads, min(known))


def _groups(seen: Snapshot, about: About) -> Iterator[tuple[str, Share]]:
    for daemon in daemons(seen, about.ports):
        for group in groups(seen, daemon.pid, "pids"):
            now, most = (number(seen, f"{group.directory}/pids.{name}") for name in ("current", "max"))
            if now is not None and most is not None:
                yield group.directory, Share(f"pids of {group.name}", now, max(1, most))
