"""Who holds the startups of an sshd: its children that have not logged in, their peers, their age. Pure.

sshd.c counts a connection from accept() until its child says that it has logged in, or has been reaped. Titles of
children, 8.2 to 10.6: `[accepted]` with `[net]` or (10.0 and later) `[session-auth]` below it, `USER [priv]` with the
same below it while USER tries, `USER@pts/0` or `USER@notty` below it, or itself where USER is root, afterwards; `USER`
alone without a session (`ssh -N`).
"""

import re
from collections import Counter
from collections.abc import Iterable

from ..values import NamedTuple
from .snapshot import Snapshot
from .sshd import LISTEN, Daemon, Process, Socket, inodes, sockets

# Of no process any more, or not yet one's: TIME_WAIT, SYN_RECV, NEW_SYN_RECV (include/net/tcp_states.h).
_NOBODYS = ("06", "03", "0C")
_LOGGED_IN = re.compile(r"^\S+: (\S+@|[^\[\s]\S*$)|\[postauth\]")
_TRYING = ("[net]", "[session-auth]", "[pam]", "[accepted]")
CUT = 2000  # processes of sshd from which on a snapshot may lack some
_WITH_LEAK = ((9, 8), (10, 0))  # releases that lose slots (upstream eddd1d2da, in 10.1)


class Slot(NamedTuple):
    """One startup: the child that holds it, its peer ("" where it cannot be told), its age in seconds."""

    pid: int
    peer: str
    age: float


class Held(NamedTuple):
    """The startups of a listener. `unexplained` connections are of no child that we saw."""

    slots: tuple[Slot, ...]
    peers: tuple[str, ...]  # of every connection to the listener's ports, logged in or not
    unexplained: int
    shows_peers: bool  # whether we may see which connection a child has


def held(seen: Snapshot, daemon: Daemon) -> Held:
    """Return who holds the startups of a listener."""
    rows = {row.inode: row for row in connections(seen, daemon)}
    families = [(child, _family(child, daemon.children)) for child in daemon.children if child.parent == daemon.pid]
    own = [(child, {one for member in family for one in inodes(seen, member.pid)}) for child, family in families]
    trying = {child.pid for child, family in families if not _is_logged_in(child, family)}
    slots = []
    for child, sockets_of_it in own:
        if child.pid in trying:
            peer = next((rows[one].peer for one in sockets_of_it if one in rows), "")
            slots.append(Slot(child.pid, peer, max(0.0, seen.at - child.started) if child.started else 0.0))
    known = {one for _, sockets_of_it in own for one in sockets_of_it}
    shows_peers = bool(inodes(seen, daemon.pid))
    unexplained = len(rows.keys() - known) if shows_peers else max(0, len(rows) - len(families))
    return Held(tuple(slots), tuple(row.peer for row in rows.values()), unexplained, shows_peers)


def connections(seen: Snapshot, daemon: Daemon) -> list[Socket]:
    """Return the connections to a listener that some process has; one that waits to be accepted is nobody's yet."""
    ports = set(daemon.ports)
    return [
        row
        for row in sockets(seen, daemon.pid)
        if row.port in ports and row.state not in (LISTEN, *_NOBODYS) and row.inode != "0"
    ]


def leaked(seen: Snapshot, daemon: Daemon, held_now: Held) -> int:
    """Return how many startups are counted that no child and no connection has, all through the second."""
    first, last = _WITH_LEAK
    may_leak = daemon.release is None or first <= daemon.release <= last
    titles = [titles.get(str(daemon.pid)) for _, titles in seen.samples]
    counts = [title[0] for title in titles if title]
    cut = len(seen.names("/proc")) >= CUT
    if not may_leak or not counts or daemon.startups is None or not daemon.listening or cut or held_now.unexplained:
        return 0
    return max(0, min(*counts, daemon.startups.now) - len(held_now.slots))


def sources_of(slots: Iterable[Slot]) -> list[tuple[str, int, float]]:
    """Return the peers that hold most: address, startups, age of the oldest in seconds; the most first."""
    known = [slot for slot in slots if slot.peer]
    counts = Counter(slot.peer for slot in known)
    oldest = {peer: max(slot.age for slot in known if slot.peer == peer) for peer, _ in counts.most_common(8)}
    return [(peer, count, oldest[peer]) for peer, count in counts.most_common(8)]


def _family(child: Process, every: Iterable[Process]) -> list[Process]:
    found = [child]
    for one in found:
        found += [other for other in every if other.parent == one.pid and other not in found]
    return found


def _is_logged_in(child: Process, family: Iterable[Process]) -> bool:
    if any(_LOGGED_IN.search(one.title) for one in family):
        return True
    # Between the two PAM opens a session, for seconds where it hangs: the startup is over already.
    trying = any(mark in one.title for one in family for mark in _TRYING)
    return "[priv]" in child.title and not trying
