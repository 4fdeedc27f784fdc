"""Run real SSH servers, each in a throwaway copy of its chroot: `with zoo.server("openssh-9.2") as server`.

`python -m tests.lab.zoo` builds every chroot and prints one `name version` a line.
"""

import errno
import fcntl
import ipaddress
import os
import resource
import secrets
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self, TypedDict, Unpack

from tests.lab import processes
from tests.lab.chroots import PUBLIC_KEYS, RECIPES, USER, ZooError, build, cache, locked, missing, version

__all__ = ["RECIPES", "Chroot", "Server", "Settings", "ZooError", "build", "copy", "free_port", "missing", "server"]

START_SECONDS = 60.0  # sshd listens after 20 to 60 ms; the rest is for a busy machine
POLL_SECONDS = 0.005
PORTS = range(20000, 32000)  # below Linux's ephemeral ports, so that no client's own port is in a server's way
PORT_ATTEMPTS = 5
LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp
CONFIG = "/etc/zoo.conf"

SSHD_CONFIG = """HostKey /etc/ssh/ssh_host_rsa_key
HostKey /etc/ssh/ssh_host_ecdsa_key
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile none
UsePAM no
PermitRootLogin yes
"""


class Settings(TypedDict, total=False):
    """How to start a server; every key may be left out."""

    options: Mapping[str, str]  # sshd -o NAME=VALUE
    address: str | Sequence[str]  # one or several to listen on, IPv4 or IPv6; 127.0.0.1
    port: int  # a free one
    arguments: Sequence[str]  # more words for the command line
    config: str  # sshd: lines added to its configuration; haproxy, stunnel: the whole configuration
    prefix: Sequence[str]  # a command that runs the command after it by exec, such as `ip netns exec NAME`
    limits: Mapping[int, tuple[int, int]]  # resource.RLIMIT_... -> (soft, hard)
    cgroup: Path  # the directory of a control group to start in


class Server:
    """A server process and all it forked; a context manager."""

    user = USER

    def __init__(self, chroot: "Chroot", settings: Settings) -> None:
        address = settings.get("address", "127.0.0.1")
        self.addresses = (address,) if isinstance(address, str) else tuple(address)
        self.address = self.addresses[0]
        self.port = settings.get("port", 0)
        self.identity = cache() / "keys" / "client"
        self.known_hosts = chroot.home / "known_hosts"
        self._chroot = chroot
        self._settings = settings
        self._log = chroot.home / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The listener."""
        if self._process is None:
            raise ZooError(f"{self._chroot.name} is not running")
        return self._process

    @property
    def pid(self) -> int:
        """The process id of the listener."""
        return self.process.pid

    @property
    def host_keys(self) -> list[str]:
        """The public host keys, as `type base64`."""
        lines = (self._chroot.root / PUBLIC_KEYS).read_text().splitlines()
        return [" ".join(line.split()[:2]) for line in lines]

    def log(self) -> str:
        """Return what the server has written to standard error or output so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start, and return once every address listens. Make no connection, so that no limit has counted any."""
        fixed = self.port
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self.port = fixed or free_port(*self.addresses)
            logged = len(self.log())
            with self._log.open("ab") as log:
                self._process = self._spawn(log)
            try:
                self._await_listening()
                break
            except BaseException as error:
                self.stop()
                taken = isinstance(error, ZooError) and "in use" in self.log()[logged:]
                if fixed or not taken or attempt == PORT_ATTEMPTS:
                    raise
        names = [name if self.port == 22 else f"[{name}]:{self.port}" for name in self.addresses]
        self.known_hosts.write_text("".join(f"{','.join(names)} {key}\n" for key in self.host_keys))

    def stop(self) -> None:
        """Kill the listener and every process in its chroot, and wait for their end. A second call does nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(processes.STOP_SECONDS)
        self._chroot.evict()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _spawn(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        settings = self._settings

        def confine() -> None:
            if "cgroup" in settings:
                (settings["cgroup"] / "cgroup.procs").write_text("0")
            for which, limit in settings.get("limits", {}).items():
                resource.setrlimit(which, limit)

        return subprocess.Popen(
            [*settings.get("prefix", ()), *self._command(), *settings.get("arguments", ())],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=confine if "cgroup" in settings or "limits" in settings else None,
        )

    def _command(self) -> list[str]:
        """The command line of the server, which stays in the foreground and logs to standard error."""
        name, root, config = self._chroot.name, self._chroot.root, self._settings.get("config", "")
        hosts = (f"[{address}]" if ":" in address else address for address in self.addresses)
        places = [f"{host}:{self.port}" for host in hosts]
        if name == "tinysshd":
            return [sys.executable, "-m", "tests.lab.zoo", "inetd", str(root), str(self.port), *self.addresses]
        inside = ["chroot", str(root)]
        if name.startswith("dropbear"):
            key = "/etc/dropbear/dropbear_ed25519_host_key"
            ports = [word for place in places for word in ("-p", place)]
            return [*inside, "/usr/sbin/dropbear", "-F", "-E", "-r", key, *ports]
        (root / CONFIG.lstrip("/")).write_text(SSHD_CONFIG + config if name.startswith("openssh") else config)
        if name == "haproxy":
            return [*inside, "/usr/sbin/haproxy", "-db", "-f", CONFIG]
        if name == "stunnel":
            return [*inside, "/usr/bin/stunnel4", CONFIG]
        settings = [f"ListenAddress={place}" for place in places]
        settings += [f"{option}={value}" for option, value in self._settings.get("options", {}).items()]
        return [*inside, "/usr/sbin/sshd", "-D", "-e", "-f", CONFIG, *(f"-o{setting}" for setting in settings)]

    def _await_listening(self) -> None:
        wanted = {(ipaddress.ip_address(address), self.port) for address in self.addresses}
        deadline = time.monotonic() + START_SECONDS
        while not (wanted <= listening(self.pid) and self._is_serving()):
            if self.process.poll() is not None:
                raise ZooError(f"{self._chroot.name} ended with status {self.process.returncode}: {self.log().strip()}")
            if time.monotonic() > deadline:
                raise ZooError(f"{self._chroot.name} does not listen after {START_SECONDS:g} s: {self.log().strip()}")
            time.sleep(POLL_SECONDS)

    def _is_serving(self) -> bool:
        """Whether it is past its start: sshd listens first, and has its process id file and then its title later."""
        return not self._chroot.name.startswith("openssh") or has_title(self.pid)


class Chroot:
    """A private copy of one chroot, free to be damaged; a context manager that kills its processes and removes it."""

    def __init__(self, name: str, directory: Path | None = None) -> None:
        build([name])
        self.name = name
        runs = cache() / "runs"
        with locked(cache() / "runs.lock"):
            runs.mkdir(exist_ok=True)
            for other in runs.iterdir():
                sweep(other)
            self.home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=directory or runs)).resolve()
            self._lock = os.open(self.home, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX)  # held until this process ends, however it ends: see sweep
        self.home.chmod(0o755)
        self.root = self.home / "root"
        subprocess.run(["cp", "-a", "--reflink=auto", cache() / name, self.root], check=True)

    def server(self, **settings: Unpack[Settings]) -> Server:
        """A server in this chroot, not started yet; one at a time, for stopping it empties the chroot."""
        return Server(self, settings)

    def evict(self) -> None:
        """Kill every process in this chroot."""
        processes.kill(processes.rooted_in, self.root)

    def remove(self) -> None:
        """Kill every process in this chroot and delete the copy."""
        try:
            self.evict()
            shutil.rmtree(self.home)
        finally:
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def copy(name: str, directory: Path | None = None) -> Chroot:
    """Return a private copy of a chroot. `directory` must be on a file system that honours device files."""
    return Chroot(name, directory)


@contextmanager
def server(name: str, **settings: Unpack[Settings]) -> Iterator[Server]:
    """Run a server in a copy of its chroot, after building it if necessary."""
    with copy(name) as chroot, chroot.server(**settings) as running:
        yield running


def free_port(*addresses: str) -> int:
    """Return a port without a listener at any of these addresses; an address of another machine counts as free."""
    while True:
        port = secrets.choice(PORTS)
        if all(is_free(address, port) for address in addresses):
            return port


def is_free(address: str, port: int) -> bool:
    """Return whether this port can be bound, as seen from this network namespace."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                raise
            return error.errno == errno.EADDRNOTAVAIL
    return True


def listening(pid: int) -> set[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    """Return the addresses and ports on which a process itself listens, in its own network namespace."""
    proc = Path("/proc") / str(pid)
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        open_files = {str(link.readlink()) for link in (proc / "fd").iterdir()}
        for table in (proc / "net" / "tcp", proc / "net" / "tcp6"):
            for line in table.read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == LISTEN and f"socket:[{inode}]" in open_files:
                    digits, _, port = local.partition(":")
                    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
                    found.add((ipaddress.ip_address(b"".join(words)), int(port, 16)))
    return found


def has_title(pid: int) -> bool:
    """Return whether a process has the title that an sshd of OpenSSH 8.2 or later gives itself once it serves."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().startswith(b"sshd: ")
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return False


def sweep(home: Path) -> None:
    """Remove a copy whose owner ended without removing it: its lock is free."""
    with suppress(FileNotFoundError):
        lock = os.open(home, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            processes.kill(processes.rooted_in, home)
            shutil.rmtree(home)
        finally:
            os.close(lock)


def serve_inetd(root: str, port: int, addresses: Sequence[str]) -> None:
    """Start a tinysshd for each connection, as inetd would: it does not listen itself."""
    command = ["chroot", root, "/usr/sbin/tinysshd", "-v", "/etc/tinyssh/sshkeydir"]
    children: list[subprocess.Popen[bytes]] = []
    with selectors.DefaultSelector() as selector:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            selector.register(socket.create_server((address, port), family=family), selectors.EVENT_READ)
        while True:
            for key, _ in selector.select(timeout=1):
                listener = key.fileobj
                assert isinstance(listener, socket.socket)
                with listener.accept()[0] as connection:
                    stream = connection.fileno()
                    children.append(subprocess.Popen(command, stdin=stream, stdout=stream))
            children = [child for child in children if child.poll() is None]


def main(arguments: Sequence[str]) -> None:
    """Build the zoo and list it; `inetd ROOT PORT ADDRESS...` is for this module's own use."""
    if arguments[:1] == ["inetd"]:
        serve_inetd(arguments[1], int(arguments[2]), arguments[3:])
    if reason := missing():
        sys.exit(reason)
    try:
        build()
    except ZooError as error:
        sys.exit(f"tests.lab.zoo: {error}")
    for name in RECIPES:
        print(name, version(name))


if __name__ == "__main__":
    main(sys.argv[1:])
