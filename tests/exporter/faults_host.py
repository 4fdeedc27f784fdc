"""A host with an SSH server, to be broken and mended: its address, its sshd, and what check_sshd_local says there."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from check_ssh_exchange.host.banning.installed import CLIENTS, SOCKETS
from tests.lab import daemons, zoo
from tests.lab.network import LINK, Namespace, run

from .program import ROOT

METRICS_PORT = 9100
RUN_SECONDS = 100.0
PERIOD = 3.0  # seconds from one run of check_sshd_local to the next; each takes more than one
# The host's own /var/log, and where fail2ban is, its client and its socket, by mounts that only this process sees.
MOUNTS = "mount --bind {log} /var/log"
FAIL2BAN = (
    f"mount -t overlay overlay -o lowerdir={{home}}/bin:/usr/bin {Path(CLIENTS[0]).parent}"
    f" && mount -t tmpfs tmpfs /run && mkdir {Path(SOCKETS[0]).parent} && touch {SOCKETS[0]}"
    f" && mount --bind {{home}}/socket {SOCKETS[0]}"
)


class Syslog:
    """What is between a chroot's /dev/log and the file: it adds the host, as every syslogd does."""

    def __init__(self, root: Path, file: Path) -> None:
        self._file = file
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        place = root / "dev" / "log"
        self._socket.bind(str(place))
        place.chmod(0o666)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while data := self._socket.recv(65536):
            # <86>Nov 28 06:00:00 sshd[123]: words
            message = data.decode(errors="replace").partition(">")[2].rstrip("\0\n")
            with self._file.open("a") as file:
                file.write(f"{message[:15]} web1 {message[16:]}\n")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(zoo.START_SECONDS)
        self._socket.close()


class Logging(zoo.Server):
    """An sshd that logs to syslog, as a service does."""

    def _command(self) -> list[str]:
        return [word for word in super()._command() if word != "-e"]


class Sshd:
    """A server in its chroot, at a port that it keeps over restarts, with options that may change."""

    def __init__(self, net: Namespace, chroot: zoo.Chroot, addresses: Sequence[str], log: Path) -> None:
        self.root = chroot.root
        self.port = zoo.free_port(*addresses)
        self.address = addresses[0]
        self._net, self._chroot, self._addresses, self._log = net, chroot, addresses, log
        self._server: zoo.Server | None = None

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def start(self, **options: str) -> None:
        """Start with these options; a server that runs is stopped before."""
        self.stop()
        made: zoo.Server = (Logging if self._log.parent.exists() else zoo.Server)(
            self._chroot,
            {
                "address": self._addresses,
                "port": self.port,
                "prefix": self._net.server.prefix,
                "options": options,
            },
        )
        made.start()
        self._server = made

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


class Local:
    """check_sshd_local, run again and again on a host for a node_exporter there. `halt` and `go` are its timer's."""

    def __init__(self, host: "FaultyHost", options: Sequence[str], mounts: Sequence[str], env: dict[str, str]) -> None:
        self._directory = host.home / "textfile"
        self._directory.mkdir()
        program = [sys.executable, "-m", "check_ssh_exchange.host", "--output-format", "openmetrics"]
        words = [*program, "-p", str(host.sshd.port), *options]
        script = " && ".join(["mount --make-rprivate /", *mounts, 'exec "$@"'])
        self._command = [*host.net.server.prefix, "unshare", "-m", "sh", "-c", script, "sh", *words]
        self._env = {**os.environ, "PYTHONPATH": str(ROOT), **env}
        self._runs, self._ends = threading.Event(), threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.errors: list[str] = []
        self.go()
        self._thread.start()

    @property
    def directory(self) -> Path:
        return self._directory

    @property
    def _file(self) -> Path:
        return self._directory / "sshd.prom"

    def halt(self) -> None:
        self._runs.clear()

    def go(self) -> None:
        self._runs.set()

    def lose(self) -> None:
        """Halt, and have no file any more."""
        self.halt()
        with self._writing:
            self._file.unlink()

    def _run(self) -> None:
        pause = 0.0
        while not self._ends.wait(pause):
            begun = time.monotonic()
            if self._runs.is_set():
                self._run_once()
            pause = max(0.1, begun + PERIOD - time.monotonic())

    def _run_once(self) -> None:
        done = subprocess.run(
            self._command, capture_output=True, text=True, timeout=RUN_SECONDS, env=self._env, check=False
        )
        if "sshd_local_last_run_timestamp_seconds" not in done.stdout:
            self.errors.append(f"exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")
            return
        fresh = self._directory / "sshd.prom.new"  # the collector reads names that end in .prom
        fresh.write_text(done.stdout)
        with self._writing:
            if self._runs.is_set():
                fresh.rename(self._file)

    def close(self) -> None:
        self._ends.set()
        self._thread.join(RUN_SECONDS)


class FaultyHost:
    """One host: an address of its own in the server's namespace, an sshd, files in `home`."""

    def __init__(self, net: Namespace, home: Path, number: int, stack: ExitStack) -> None:
        home.mkdir()
        self.net, self.home = net, home
        self.address = f"192.0.2.{100 + number}"
        self.six = f"2001:db8::1:{number}"
        for address in (f"{self.address}/24", f"{self.six}/64"):
            run("ip", "-n", net.server.name, "address", "add", address, "dev", LINK, *["nodad"] * (":" in address))
        self._stack = stack
        self._sshd: Sshd | None = None
        self.local: Local | None = None
        self._exporter: subprocess.Popen[bytes] | None = None

    @property
    def exporter_pid(self) -> int:
        """The process id of its node_exporter."""
        assert self._exporter is not None
        return self._exporter.pid

    @property
    def sshd(self) -> Sshd:
        assert self._sshd is not None
        return self._sshd

    @property
    def target(self) -> str:
        return f"{self.address}:{self.sshd.port}"

    @property
    def log(self) -> Path:
        return self.home / "log" / "auth.log"

    def install(self, name: str = "openssh-9.2", *, logs: bool = False, two_families: bool = False) -> Sshd:
        """Lay out a server, not started yet; one that logs has its lines in `log`."""
        chroot = self._stack.enter_context(zoo.copy(name))
        if logs:
            self.log.parent.mkdir()
            self.log.touch()
            self._stack.callback(Syslog(chroot.root, self.log).close)
        addresses = (self.address, self.six) if two_families else (self.address,)
        self._sshd = Sshd(self.net, chroot, addresses, self.log)
        self._stack.callback(self._sshd.stop)
        return self._sshd

    def look_inside(self, *options: str, fail2ban: Path | None = None, env: dict[str, str] | None = None) -> Local:
        """Run check_sshd_local here again and again, and a node_exporter that serves what it finds."""
        mounts = [MOUNTS.format(log=self.log.parent)] if self.log.exists() else []
        mounts += [FAIL2BAN.format(home=fail2ban)] if fail2ban else []
        self.local = Local(self, options, mounts, env or {})
        self._stack.callback(self.local.close)
        self._exporter = self._stack.enter_context(self._node_exporter(self.local.directory))
        return self.local

    @contextmanager
    def _node_exporter(self, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
        command = [
            "prometheus-node-exporter",
            "--collector.disable-defaults",
            "--collector.textfile",
            f"--collector.textfile.directory={directory}",
            f"--web.listen-address={self.address}:{METRICS_PORT}",
        ]
        with daemons.running([*self.net.server.prefix, *command], self.home / "node_exporter.log") as process:
            yield process


@contextmanager
def again_and_again(work: Callable[[], object], seconds: float) -> Iterator[None]:
    """Have this done every so many seconds, whatever comes of it."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(seconds):
            with suppress(OSError):
                work()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(zoo.START_SECONDS)
