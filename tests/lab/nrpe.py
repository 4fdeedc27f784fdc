"""NRPE with commands in a directory of its own, asked by check_nrpe over loopback."""

import ipaddress
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.lab.daemons import CONTRIB, RESULT_SECONDS, USER, Installation, await_result, running
from tests.lab.zoo import free_port, listening

PROGRAM = Path("/usr/sbin/nrpe")
CHECK_NRPE = Path("/usr/lib/nagios/plugins/check_nrpe")
PACKAGES = {PROGRAM: "nagios-nrpe-server", CHECK_NRPE: "nagios-nrpe-plugin"}
DEFINITION = CONTRIB / "nrpe" / "check_ssh_exchange.cfg"


class Nrpe(NamedTuple):
    """A running NRPE, queried as a monitoring server does."""

    port: int

    def ask(self, command: str) -> tuple[int, str]:
        """Return check_nrpe's exit code and output."""
        words = [str(CHECK_NRPE), "-n", "-H", "127.0.0.1", "-p", str(self.port), "-t", "30", "-c", command]
        done = subprocess.run(words, capture_output=True, timeout=RESULT_SECONDS)
        assert not done.stderr
        return done.returncode, done.stdout.decode("ascii")


@contextmanager
def nrpe(plugin: Installation, commands: Iterable[str]) -> Iterator[Nrpe]:
    """Run NRPE with lines that define commands."""
    home, port = plugin.directory("nrpe"), free_port("127.0.0.1")
    settings = {"server_address": "127.0.0.1", "server_port": port, "allowed_hosts": "127.0.0.1"}
    settings |= {"nrpe_user": USER, "nrpe_group": USER, "pid_file": home / "pid", "log_file": home / "log"}
    config, log = home / "nrpe.cfg", home / "output"
    config.write_text("\n".join([*(f"{name}={value}" for name, value in settings.items()), *commands, ""]))
    with running([PROGRAM, "-n", "-f", "-c", config], log) as process:  # -n: without TLS, -f: in the foreground
        place = (ipaddress.ip_address("127.0.0.1"), port)
        await_result(lambda: place in listening(process.pid) or None, process, log)
        yield Nrpe(port)
