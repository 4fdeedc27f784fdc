"""The servers that the benches measure against: separate processes on the other CPU, so that no figure includes them.

`python -m tests.lab.busy_server MILLISECONDS` prints its port, identifies itself to each client after a random delay of
at most so many milliseconds, answers a client's KEXINIT with its own, and ends when its standard input does.
"""

import heapq
import itertools
import os
import pwd
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from check_ssh_exchange.wire import kexinit
from check_ssh_exchange.wire.packet import packet

IDENTIFICATION = b"SSH-2.0-OpenSSH_9.2p1 bench\r\n"
BACKLOG = 1024  # more than any bench opens at once, so that no SYN is ever sent twice
START_SECONDS = 60.0
_CPUS = sorted(os.sched_getaffinity(0))
OUR_CPU, THEIR_CPU = {_CPUS[0]}, {_CPUS[-1]}

# A destination used again within a minute makes connect() slower: the search for a free port has to look among the
# ports in TIME_WAIT. A block of addresses drawn for each start of the bench, one address of it for each round.
_NET = f"127.{random.randrange(16, 250)}"
_NUMBERS = itertools.count(random.randrange(0x8000))


class Server(NamedTuple):
    """A running server: its port, and whether it is a real sshd, which is on 127.0.0.1 only."""

    port: int
    is_real: bool


def fresh_address() -> str:
    """Return a loopback address that this run has not connected to yet."""
    number = next(_NUMBERS)
    return f"{_NET}.{number // 250}.{number % 250 + 1}"


@contextmanager
def answering(delay: float = 0.0) -> Iterator[Server]:
    """Run the answering server on every loopback address; it waits up to `delay` seconds before it answers."""
    command = [sys.executable, "-m", "tests.lab.busy_server", str(delay * 1000)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as process:
        try:
            os.sched_setaffinity(process.pid, THEIR_CPU)
            assert process.stdin is not None
            assert process.stdout is not None
            yield Server(int(process.stdout.readline()), is_real=False)
            process.stdin.close()
            process.wait(START_SECONDS)
        finally:
            process.kill()


@contextmanager
def sshd() -> Iterator[Server | None]:
    """Run this machine's own sshd without its limits, as a user without rights; None where it has none."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not found or not shutil.which("ssh-keygen"):
        yield None
        return
    # Not as root: then it needs no privilege separation directory, which only an installed service has made.
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as home:
        key = Path(home) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        if user is not None:
            Path(home).chmod(0o755)
            os.chown(key, user, -1)
        process, port = _start_sshd(found, key, user)
        try:
            yield Server(port, is_real=True) if process else None
        finally:
            if process:
                process.kill()
                process.wait()


def _start_sshd(found: str, key: Path, user: int | None) -> tuple[subprocess.Popen[bytes] | None, int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    settings = [f"HostKey={key}", "PidFile=none", "UsePAM=no", "MaxStartups=100", f"ListenAddress=127.0.0.1:{port}"]
    # From OpenSSH 9.8 on a client that leaves before it logs in is shut out after 15 of them.
    penalties = ["PerSourcePenalties=no"]
    for wanted in (settings + penalties, settings):
        options = [word for setting in wanted for word in ("-o", setting)]
        null = subprocess.DEVNULL
        process = subprocess.Popen([found, "-D", "-f", "/dev/null", *options], stderr=null, user=user)
        os.sched_setaffinity(process.pid, THEIR_CPU)
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return process, port
            time.sleep(0.01)
        process.kill()
        process.wait()
    return None, 0


def serve(delay: float) -> None:
    """Answer until standard input ends; `delay` in seconds."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Every loopback address, and no other: a socket bound to the device `lo` receives nothing from outside.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listener.bind(("0.0.0.0", 0))  # noqa: S104
    listener.listen(BACKLOG)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(0, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    waiting: list[tuple[float, int, socket.socket]] = []
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for descriptor, _ in poll.poll(timeout):
            if descriptor == 0:
                return
            if descriptor == listener.fileno():
                client = listener.accept()[0]
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
                speak_at = time.monotonic() + random.uniform(0, delay) if delay else 0.0
                heapq.heappush(waiting, (speak_at, client.fileno(), client))
            else:
                _hear(clients, descriptor)
        while waiting and waiting[0][0] <= time.monotonic():
            with suppress(OSError):  # the client may have left meanwhile
                heapq.heappop(waiting)[2].send(IDENTIFICATION)


def _hear(clients: dict[int, socket.socket], descriptor: int) -> None:
    client = clients[descriptor]
    try:
        data = client.recv(4096)
    except OSError:
        data = b""
    if not data:
        clients.pop(descriptor).close()
    elif data.startswith(b"SSH-") and data.partition(b"\n")[2]:  # its KEXINIT; the padding may end in any byte
        client.send(packet(kexinit.build()))


if __name__ == "__main__":
    serve(float(sys.argv[1]) / 1000)
