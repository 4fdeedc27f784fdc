"""The item conntrack: how full the table of tracked connections is. A full one drops each new connection's packets."""

from ..about import About
from ..cgroups import number
from ..finding import Finding
from ..share import Share, finding_of
from ..snapshot import Snapshot

SETTINGS = "/proc/sys/net/netfilter/nf_conntrack"


def find(seen: Snapshot, about: About) -> Finding:
    """Return how full the connection tracking table of our network namespace is; the table needs the module."""
    del about
    now, most = number(seen, f"{SETTINGS}_count"), number(seen, f"{SETTINGS}_max")
    shares = [Share("tracked connections", now, most)] if now is not None and most else []
    finding = finding_of("conntrack", "conntrack", shares, "connections are not tracked here")
    dropped = _dropped(seen)
    if not shares:
        return finding
    raised = f"sysctl -w net.netfilter.nf_conntrack_max={2 * (most or 0)}   # each takes 320 bytes of memory"
    return finding._replace(
        evidence=(*finding.evidence, *([f"packets dropped by tracking since the start: {dropped}"] if dropped else [])),
        remedies=("conntrack -S   # drop and early_drop grow while the table is full", raised),
    )


def _dropped(seen: Snapshot) -> int:
    """Return the sum of `drop` over the processors; /proc/net/stat/nf_conntrack is in hexadecimal."""
    lines = [line.split() for line in seen.lines("/proc/net/stat/nf_conntrack")]
    if not lines or "drop" not in lines[0]:
        return 0
    column = lines[0].index("drop")
    values = [line[column] for line in lines[1:] if len(line) > column and len(line[column]) <= 16]
    try:
        return sum(int(value, 16) for value in values)
    except ValueError:
        return 0
