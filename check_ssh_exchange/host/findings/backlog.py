"""The item backlog: do connections wait for sshd to accept them?

The kernel accepts on sshd's behalf and keeps what waits in a queue; when it is full, new connections are not answered
at all (listen(2), tcp(7)). /proc/net/tcp has its length; its bound is only told by sock_diag(7), which ss(8) asks.
"""

import re

from ...plugin.perfdata import Figure
from ...text import printable
from ..about import About
from ..finding import Finding, skipped
from ..host import restart
from ..snapshot import Snapshot
from ..sshd import LISTEN, Daemon, Socket, daemons, place, sockets

ITEM = "backlog"
BOUND = 128  # SSH_LISTEN_BACKLOG (sshd.h, servconf.c); net.core.somaxconn may be lower and is not since Linux 5.4
_ROW = re.compile(r"^LISTEN\s+(\d{1,10})\s+(\d{1,10})\s+\S*:(\d{1,5})\s", re.MULTILINE)


def find(seen: Snapshot, about: About) -> Finding:
    """Return what a snapshot says of it. The figure's thresholds make the problem."""
    found = daemons(seen, about.ports)
    if not any(one.listening for one in found):
        return skipped(ITEM, "no listener")
    queues = [
        (_still_waiting(seen, one, socket), _bound(seen, one, socket), one, socket)
        for one in found
        for socket in one.listening
    ]
    waiting, bound, daemon, socket = max(queues, key=lambda row: row[0] / row[1])
    where = place(socket.address, socket.port)
    counted, line = _overflows(seen, about, daemon)
    return Finding(
        ITEM,
        summary=f"{waiting} of {bound} connections wait on {where}" if waiting else "no connection waits",
        evidence=(
            *([f"{waiting} of {bound} connections wait on {where} to be accepted by pid {daemon.pid}"] * bool(waiting)),
            *([line] if line else ()),
        ),
        remedies=(
            f"grep State /proc/{daemon.pid}/status; cat /proc/{daemon.pid}/wchan   # what the listener waits for",
            f"{restart(seen)}   # sessions go on, what waits is lost",
        ),
        figures=(Figure("backlog", min(100.0, round(100 * waiting / bound, 1))),),
        sentences=(("backlog", f"{waiting} of {bound} connections wait on {where} for sshd to accept them"),),
        remember=counted,
    )


def _still_waiting(seen: Snapshot, daemon: Daemon, socket: Socket) -> int:
    """Return the length of a queue, the shorter of two looks: a burst is gone half a second later."""
    again = sockets(seen, f"{daemon.pid}/task/{daemon.pid}")
    later = [one.received for one in again if one.state == LISTEN and one.inode == socket.inode]
    return min([socket.received, *later])


def _bound(seen: Snapshot, daemon: Daemon, socket: Socket) -> int:
    """Return how many connections may wait, as ss says where the listener is in our network."""
    ours = seen.link(f"/proc/{daemon.pid}/ns/net") == seen.link("/proc/self/ns/net")
    told = [int(row[2]) for row in _ROW.finditer(seen.command("ss", "-Hltn").out) if int(row[3]) == socket.port]
    return max(1, min(told)) if told and ours else BOUND


def _overflows(seen: Snapshot, about: About, daemon: Daemon) -> tuple[dict[str, int] | None, str]:
    """Return what to remember, and a sentence where the kernel has turned connections away since the last run."""
    now = _counters(seen.text(f"/proc/{daemon.pid}/net/netstat") or "")
    if not now:
        return None, ""
    before = about.memory.get(ITEM)
    if not isinstance(before, dict):
        return now, ""
    more = {
        name: number - old for name, number in now.items() if isinstance(old := before.get(name), int) and number > old
    }
    if not more:
        return now, ""
    counts = ", ".join(f"{name} {number}" for name, number in more.items())
    return now, printable(f"since the last run the kernel counted for all programs of this host: {counts}")


def _counters(netstat: str) -> dict[str, int]:
    rows = [line.split() for line in netstat.splitlines() if line.startswith("TcpExt:")][:2]
    pairs = dict(zip(*rows, strict=False)) if len(rows) == 2 else {}
    names = ("ListenOverflows", "ListenDrops")
    return {name: int(pairs[name]) for name in names if pairs.get(name, "").isdecimal() and len(pairs[name]) < 21}
