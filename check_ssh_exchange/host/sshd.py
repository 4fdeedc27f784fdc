"""Which sshds a snapshot shows: their listeners, versions, sockets, children and titles. Pure."""

import re
from collections.abc import Iterable
from functools import lru_cache

from ..diagnosis.maxstartups import MaxStartups
from ..values import NamedTuple
from .answers import answer_of
from .snapshot import Snapshot

LISTEN, ESTABLISHED = "0A", "01"
MOST_PROCESSES = 2000  # that are looked at; a full MaxStartups has 100 to 300
MOST_DAEMONS = 50
TICKS = 100  # a second, in /proc/PID/stat, on every architecture that Debian has
# sshd.c, since 8.2: the listener's title says how many connections are in progress.
_TITLE = re.compile(r"\[listener\] (\d{1,9}) of (\d{1,9})-(\d{1,9}) startups")
_VERSION = re.compile(r"OpenSSH_[0-9]+\.[0-9]+[\w.~+-]*")
_STATES = {"T": "stopped", "t": "stopped", "Z": "zombie", "D": "waiting for a disk"}
# Which port its words, or its settings, name.
_PORT_IN_WORDS = re.compile(r"-p ?(\d{1,5})\b|-o ?(?:Port|ListenAddress)[= ]\S*?(\d{1,5})(?= |$)", re.IGNORECASE)
_PORT_IN_SETTINGS = re.compile(r"^port (\d{1,5})$", re.IGNORECASE | re.MULTILINE)


class Socket(NamedTuple):
    """A row of /proc/net/tcp: addresses as text, ports, the state's number, queues, the inode."""

    address: str
    port: int
    peer: str
    peer_port: int
    state: str
    sent: int  # bytes not acknowledged; 0 for a listener
    received: int  # bytes not read; of a listener the connections that wait to be accepted
    inode: str


class Startups(NamedTuple):
    """What a listener's title says: connections in progress, where drops begin, where everything is dropped."""

    now: int
    begin: int
    full: int


class Process(NamedTuple):
    """A process of sshd. `started` is in seconds since the epoch, 0 where it is not known."""

    pid: int
    parent: int
    name: str
    title: str
    state: str  # the letter of /proc/PID/stat
    started: float
    exe: str | None  # None without the right to see it
    root: str | None
    uid: int | None = None  # the real one; None where it is not known

    @property
    def trouble(self) -> str:
        """Why it cannot serve: stopped, zombie; "" for nothing."""
        return _STATES.get(self.state, "")


class Daemon(NamedTuple):
    """A listening sshd.

    `path` is its binary as its own root sees it, `root` where that is ("/" for this host's own), `version` what the
    binary says of itself, "" where it was not asked. `is_foreign`: it runs in a container, whose programs must not be
    run from here.
    """

    process: Process
    path: str
    root: str
    version: str
    startups: Startups | None
    listening: tuple[Socket, ...]
    children: tuple[Process, ...]
    is_foreign: bool

    @property
    def pid(self) -> int:
        """The listener's process id."""
        return self.process.pid

    @property
    def is_roots(self) -> bool:
        """Whether root runs it; taken for granted where it is not known."""
        return self.process.uid in (0, None)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports it listens on, each once."""
        return tuple(dict.fromkeys(socket.port for socket in self.listening))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens: 0.0.0.0:22 [::]:22."""
        return tuple(place(socket.address, socket.port) for socket in self.listening)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words it was started with, as its title has them; those that choose its configuration can be read."""
        words = self.process.title.partition(" [listener]")[0].removeprefix("sshd: ").split()
        return tuple(words[1:])

    @property
    def release(self) -> tuple[int, int] | None:
        """The release as numbers, None where it is not known."""
        found = re.match(r"OpenSSH_(\d+)\.(\d+)", self.version)
        return (int(found[1]), int(found[2])) if found else None

    @property
    def name(self) -> str:
        """How a sentence speaks of it: its version and where it listens."""
        return f"{self.version or 'sshd'} on {' '.join(self.addresses) or 'no address'}"


def place(address: str, port: int) -> str:
    """Return an address with its port as ss writes it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def daemons(seen: Snapshot, ports: Iterable[int] = ()) -> tuple[Daemon, ...]:
    """Return the listeners of a snapshot, those of this host first; with `ports` only those that listen on one.

    Without `ports` only root's: a user may run an sshd of his own, and anybody may call a process so.
    """
    every: tuple[Daemon, ...] = seen.remembered("daemons", lambda: _daemons(seen))
    wanted = set(ports)
    return tuple(one for one in every if (wanted & set(one.ports) if wanted else one.is_roots))


def looked_at(seen: Snapshot) -> tuple[Daemon, ...]:
    """Return the listeners that are asked for everything: those on the ports that this is about, else all."""
    return daemons(seen, seen.document.get("ports", ())) or daemons(seen)


def _daemons(seen: Snapshot) -> tuple[Daemon, ...]:
    every = processes(seen)
    by_pid = {one.pid: one for one in every}
    children: dict[int, list[Process]] = {}
    for one in every:
        children.setdefault(one.parent, []).append(one)
    # A zombie has no descriptors any more, and must not be taken for one whose descriptors we may not see; nor may
    # many of them, in a container whose first process does not wait for its children, take the place of a listener.
    alive = [one for one in every if one.state != "Z" or "[listener]" in one.title]
    parents = [one for one in alive if one.name == "sshd" and one.parent not in by_pid]
    parents.sort(key=lambda one: (one.uid not in (0, None), one.pid))
    found = [_daemon(seen, one, children) for one in parents[:MOST_DAEMONS]]
    listening = [one for one in found if one.listening or _says_so(one.process)]
    return tuple(sorted(listening, key=lambda one: (one.is_foreign, one.root != "/", one.pid)))


def _says_so(process: Process) -> bool:
    """Return whether a title says that this listens. Anybody can write one, so a binary that is seen must be sshd's."""
    is_sshd = process.exe is None or process.exe.removesuffix(" (deleted)").endswith("/sshd")
    return "[listener]" in process.title and is_sshd


def processes(seen: Snapshot) -> tuple[Process, ...]:
    """Return every process of sshd in a snapshot, without those that had ended when it was taken."""
    found: tuple[Process, ...] = seen.remembered("processes", lambda: _processes(seen))
    return found


def _processes(seen: Snapshot) -> tuple[Process, ...]:
    boot = _boot(seen)
    found = (_process(seen, pid, boot) for pid in seen.names("/proc")[:MOST_PROCESSES])
    return tuple(one for one in found if one is not None)


def _process(seen: Snapshot, pid: str, boot: float) -> Process | None:
    stat = seen.text(f"/proc/{pid}/stat")
    try:
        fields = (stat or "").rpartition(")")[2].split()
        state, parent, ticks = fields[0][:1], int(fields[1]), int(fields[19])
        number = int(pid)
    except (ValueError, IndexError):
        return None
    return Process(
        pid=number,
        parent=parent,
        name=(seen.text(f"/proc/{pid}/comm") or "").strip(),
        title=(seen.text(f"/proc/{pid}/cmdline") or "").replace("\0", " ").strip(),
        state=state,
        started=boot + ticks / TICKS if boot else 0.0,
        exe=seen.link(f"/proc/{pid}/exe"),
        root=seen.link(f"/proc/{pid}/root"),
        uid=_uid(seen, pid),
    )


def _uid(seen: Snapshot, pid: str) -> int | None:
    found = re.search(r"^Uid:\s+(\d{1,10})\s", seen.text(f"/proc/{pid}/status") or "", re.MULTILINE)
    return int(found[1]) if found else None


def startups_of(title: str) -> Startups | None:
    """Return what a listener's title says of connections in progress, None where it says nothing."""
    found = _TITLE.search(title)
    return Startups(*map(int, found.groups())) if found else None


def setting_of(startups: Startups, rate: int = 30) -> MaxStartups:
    """Return MaxStartups as a title and the configured rate have it."""
    return MaxStartups(startups.begin, rate, startups.full)


def _boot(seen: Snapshot) -> float:
    """Return when the host was started (seconds since the epoch), 0 where it is not known."""
    found = re.search(r"^btime (\d{1,12})$", seen.text("/proc/stat") or "", re.MULTILINE)
    return float(found[1]) if found else 0.0


def _daemon(seen: Snapshot, process: Process, children: dict[int, list[Process]]) -> Daemon:
    root = process.root or "/"
    path = (process.exe or "").removesuffix(" (deleted)")
    path = path.removeprefix(root) if root != "/" else path
    path = path or (process.title.removeprefix("sshd: ").split() or ["/usr/sbin/sshd"])[0]
    return Daemon(
        process=process,
        path=path if path.startswith("/") else "/usr/sbin/sshd",
        root=root,
        version=version_of(seen, process.pid),
        startups=startups_of(process.title),
        listening=_listening(seen, process.pid),
        children=tuple(_descendants(process.pid, children)),
        is_foreign=_is_foreign(seen, process.pid),
    )


def _is_foreign(seen: Snapshot, pid: int) -> bool:
    """Return whether a process lives in a container.

    A chroot alone is none, and neither is a mount namespace over the same disks, as systemd's PrivateTmp and
    `ip netns exec` make. Only root may see its namespaces; that it has a pid in several, everybody (NSpid, proc(5)).
    """

    def differs(name: str) -> bool:
        theirs, ours = seen.link(f"/proc/{pid}/ns/{name}"), seen.link(f"/proc/self/ns/{name}")
        return theirs is not None and theirs != ours

    theirs, ours = seen.stat(f"/proc/{pid}/root/"), seen.stat("/")
    is_elsewhere = theirs is not None and ours is not None and theirs["device"] != ours["device"]
    has_pids = re.search(r"^NSpid:\t\d+\t\d", seen.text(f"/proc/{pid}/status") or "", re.MULTILINE)
    return bool(has_pids) or differs("pid") or differs("user") or (differs("mnt") and is_elsewhere)


def version_of(seen: Snapshot, pid: int) -> str:
    """Return the version of a listener: of the binary that runs, else of the one on disk, "" where neither was read."""
    output = seen.command(f"version of {pid}")
    for text in (seen.command(f"strings of {pid}").out, output.err + output.out):
        if found := _VERSION.search(text):
            return found[0].rstrip(",")
    return ""


def _descendants(pid: int, children: dict[int, list[Process]]) -> list[Process]:
    found: list[Process] = []
    waiting, seen = [pid], {pid}
    while waiting:
        for one in children.get(waiting.pop(), ()):
            if one.pid not in seen:  # a snapshot may hold a circle
                seen.add(one.pid)
                found.append(one)
                waiting.append(one.pid)
    return found


def _listening(seen: Snapshot, pid: int) -> tuple[Socket, ...]:
    own = inodes(seen, pid)
    rows = [one for one in sockets(seen, pid) if one.state == LISTEN]
    if own or _are_descriptors_visible(seen, pid):
        return tuple(one for one in rows if one.inode in own)
    # Without the right to see descriptors: what listens on the ports that its words or its settings name, or on 22.
    words = (seen.text(f"/proc/{pid}/cmdline") or "").replace("\0", " ")
    settings = answer_of(seen, pid) or ""
    found = [port for pair in _PORT_IN_WORDS.findall(words) for port in pair if port]
    named = {int(port) for port in [*found, *_PORT_IN_SETTINGS.findall(settings)]}
    return tuple(one for one in rows if one.port in (named or {22}))


def _are_descriptors_visible(seen: Snapshot, pid: int) -> bool:
    path = f"/proc/{pid}/fd"
    names = seen.document["lists"].get(path, {}).get("names")
    return names is not None and (not names or any(seen.link(f"{path}/{name}") for name in names))


def inodes(seen: Snapshot, pid: int) -> set[str]:
    """Return the inodes of the sockets that a process has open; none without the right to see them."""
    links = (seen.link(f"/proc/{pid}/fd/{name}") or "" for name in seen.names(f"/proc/{pid}/fd"))
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def sockets(seen: Snapshot, pid: "int | str") -> list[Socket]:
    """Return the TCP sockets of the network namespace that a process is in."""
    network = seen.link(f"/proc/{pid}/ns/net")
    pids = [pid, *(one for one in seen.names("/proc") if seen.link(f"/proc/{one}/ns/net") == network), "self"]
    for one in pids:
        if seen.text(f"/proc/{one}/net/tcp") is not None:
            return [
                socket for table in ("tcp", "tcp6") for socket in _rows(seen.text(f"/proc/{one}/net/{table}") or "")
            ]
    return []


@lru_cache(16)
def _rows(table: str) -> list[Socket]:
    found = []
    for line in table.splitlines()[1:]:
        try:
            _, local, remote, state, queues, _, _, _, _, inode, *_ = line.split()
            (address, port), (peer, peer_port) = _address(local), _address(remote)
            sent, _, received = queues.partition(":")
            found.append(Socket(address, port, peer, peer_port, state, int(sent, 16), int(received, 16), inode))
        except ValueError:  # not a row of this table
            continue
    return found


def _address(text: str) -> tuple[str, int]:
    digits, _, port = text.partition(":")
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    import ipaddress

    address = ipaddress.ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address), int(port, 16)
