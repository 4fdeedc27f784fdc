"""The programs that Prometheus scrapes, as the benches run them: on our CPU, with a clock of what they have used."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.lab import busy_server as server

from . import machine

ROOT = Path(__file__).parents[1]
EXPORTER = (sys.executable, "-m", "ssh_exchange_exporter")
BLACKBOX = "prometheus-blackbox-exporter"
START_SECONDS = 30.0
# What a developer's shell says to Python, such as to write no bytecode, an init system does not.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
EXPORTER_ENVIRONMENT = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "exporter")])}


class NoDaemon(Exception):
    """The program is missing or does not start; the message says why."""


class Daemon(NamedTuple):
    """A program that serves HTTP on 127.0.0.1."""

    name: str
    pid: int
    port: int
    file: Path  # its configuration

    def cpu(self) -> float:
        """Return the seconds of user and system time that it has used so far, those of ended threads included."""
        # clock_getcpuclockid(3): the clock of another process, in nanoseconds; /proc counts in hundredths of a second.
        return time.clock_gettime(~self.pid << 3 | 2)

    def memory(self, what: str) -> float:
        """Return how many MiB it has resident: VmRSS now, VmHWM at most so far (proc(5))."""
        (line,) = (one for one in Path(f"/proc/{self.pid}/status").read_text().splitlines() if one.startswith(what))
        return int(line.split()[1]) / 1024


@contextmanager
def exporter(configuration: str) -> Iterator[Daemon]:
    """Run our exporter with a configuration."""
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "config.yml"
        file.write_text(configuration)
        command = [*EXPORTER, f"--config.file={file}", "--log.level=warn"]
        with _running("ssh_exchange_exporter", command, EXPORTER_ENVIRONMENT, file) as daemon:
            yield daemon


@contextmanager
def blackbox(configuration: str) -> Iterator[Daemon]:
    """Run blackbox_exporter with a configuration. Raises NoDaemon where there is none."""
    found = machine.program(BLACKBOX)
    if found is None:
        raise NoDaemon(f"{BLACKBOX} is {machine.remedy(BLACKBOX)}")
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "blackbox.yml"
        file.write_text(configuration)
        command = [found, f"--config.file={file}", "--log.level=warn"]
        with _running("blackbox_exporter", command, ENVIRONMENT, file) as daemon:
            yield daemon


@contextmanager
def _running(name: str, command: Sequence[str], environment: dict[str, str], file: Path) -> Iterator[Daemon]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    home = file.parent
    log = home / "log"
    arguments = [*command, f"--web.listen-address=127.0.0.1:{port}"]
    null = subprocess.DEVNULL
    os.sched_setaffinity(0, server.OUR_CPU)  # inherited: Go counts its processors at its start
    with log.open("wb") as out:
        process = subprocess.Popen(arguments, env=environment, cwd=home, stdin=null, stdout=out, stderr=out)
    try:
        _await(name, process, port, log)
        yield Daemon(name, process.pid, port, file)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(server.START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise NoDaemon(f"{name} does not start: {log.read_text()[-500:].strip()}")
