"""The two machines of the site's examples, as network namespaces: names, addresses and commands are those of the pages.

The monitor is 192.0.2.7 and 198.51.100.7, the server bastion.example is 192.0.2.22, and another client is 198.51.100.9.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.lab.network import LINK, ROOT, Host, Namespace

MONITOR, SECOND, SERVER, OTHER = "192.0.2.7", "198.51.100.7", "192.0.2.22", "198.51.100.9"
NAMES = f"127.0.0.1 localhost\n{SERVER} bastion.example server.example\n{MONITOR} monitor.example\n"
PROGRAMS = ("check_ssh_exchange", "check_sshd_local", "ssh_exchange_exporter")
SECONDS = 60.0
WIDTH = 96


class Place(NamedTuple):
    """Both machines, and a directory of the lab's own."""

    monitor: Host
    server: Host
    home: Path

    @property
    def files(self) -> Path:
        """What lies in the directory in which commands are run."""
        return self.home / "files"

    def run(self, *commands: str, host: Host | None = None) -> list[str]:
        """Run command lines in one shell and a fresh directory; return what each prints."""
        directory = self.home / "run"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(self.files, directory)
        (directory / "contrib").symlink_to(ROOT / "contrib")
        # Each command of `ip netns exec` has mounts of its own: what the server's lines write there is gone with them.
        own = (
            "mount -t tmpfs none /var/lib && mkdir -p /var/lib/prometheus/node-exporter\n"
            if host == self.server
            else ""
        )
        script = own + "\n".join(f"{command}\nprintf '\\000'" for command in commands)
        done = subprocess.run(
            [*(host or self.monitor).prefix, "sh", "-c", script], cwd=directory, env=environment(self.home),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
        )  # fmt: skip
        return done.stdout.decode("utf-8", "replace").split("\0")[: len(commands)]


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a terminal in which the three programs are installed."""
    path = os.pathsep.join([str(home / "bin"), "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/nagios/plugins"])
    roots = os.pathsep.join([str(ROOT), str(ROOT / "exporter")])
    return {
        "PATH": path, "HOME": str(home), "PYTHONPATH": roots, "LANG": "C.UTF-8", "COLUMNS": str(WIDTH), "NO_COLOR": "1",
    }  # fmt: skip


@contextmanager
def machines() -> Iterator[Place]:
    """Make both machines."""
    with ExitStack() as stack:
        network = stack.enter_context(Namespace())
        home = Path(tempfile.mkdtemp(prefix="check-ssh-site-"))
        stack.callback(shutil.rmtree, home)
        home.chmod(0o755)
        (home / "bin").mkdir()
        (home / "files").mkdir()
        for program in PROGRAMS:
            module = {"check_sshd_local": "check_ssh_exchange.host"}.get(program, program)
            script = home / "bin" / program
            script.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
            script.chmod(0o755)
        for host, addresses in (
            (network.client, (MONITOR, SECOND, OTHER)),
            (network.server, (SERVER, "198.51.100.22")),
        ):
            for address in addresses:
                host.run("ip", "address", "add", f"{address}/24", "dev", LINK)
            stack.enter_context(host.files(hosts=NAMES))
        network.client.run("ip", "route", "replace", "192.0.2.0/24", "dev", LINK, "src", MONITOR)
        network.server.run("ip", "route", "replace", "192.0.2.0/24", "dev", LINK, "src", SERVER)
        yield Place(network.client, network.server, home)


@contextmanager
def from_inside(host: Host) -> Iterator[None]:
    """Let this thread's sockets be made in a machine's namespace."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{host.name}", os.O_RDONLY)
    try:
        setns(other)
        yield
    finally:
        setns(own)
        os.close(own)
        os.close(other)


def setns(descriptor: int) -> None:
    """Move this thread into a network namespace; os.setns came with Python 3.12."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def connected(place: Place, count: int, source: str) -> list[socket.socket]:
    """Connect this many times from an address of the monitor's machine, and stay silent."""
    with from_inside(place.monitor):
        return [socket.create_connection((SERVER, 22), 10.0, (source, 0)) for _ in range(count)]
