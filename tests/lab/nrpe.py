"""NRPE with commands in a directory of its own, asked by check_nrpe: over loopback, or as a site's hosts are."""

import ipaddress
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.lab.daemons import CONTRIB, RESULT_SECONDS, USER, Installation, await_result, running
from tests.lab.zoo import free_port, listening

PROGRAM = Path("/usr/sbin/nrpe")
CHECK_NRPE = Path("/usr/lib/nagios/plugins/check_nrpe")
PACKAGES = {PROGRAM: "nagios-nrpe-server", CHECK_NRPE: "nagios-nrpe-plugin"}
DEFINITION = CONTRIB / "nrpe" / "check_ssh_exchange.cfg"
PORT = 5666  # where check_nrpe asks
LOOPBACK = "127.0.0.1"


class Nrpe(NamedTuple):
    """A running NRPE, queried as a monitoring server does."""

    port: int

    def ask(self, command: str) -> tuple[int, str]:
        """Return check_nrpe's exit code and output."""
        return ask([str(CHECK_NRPE), "-n", "-H", LOOPBACK, "-p", str(self.port), "-t", "30", "-c", command])


def ask(command: Sequence[str]) -> tuple[int, str]:
    """Return the exit code and output of a check_nrpe, which writes nothing else."""
    done = subprocess.run(command, capture_output=True, timeout=RESULT_SECONDS)
    assert not done.stderr
    return done.returncode, done.stdout.decode("ascii")


@contextmanager
def nrpe(plugin: Installation, commands: Iterable[str]) -> Iterator[Nrpe]:
    """Run NRPE on loopback with lines that define commands; check_nrpe asks it without TLS."""
    port = free_port(LOOPBACK)
    with started(plugin, "nrpe", "\n".join(commands), (LOOPBACK, port), LOOPBACK, ("-n",)):  # -n: without TLS
        yield Nrpe(port)


@contextmanager
def started(
    plugin: Installation,
    name: str,
    text: str,
    place: tuple[str, int],
    client: str,
    options: Sequence[str] = (),
    prefix: Sequence[str] = (),
) -> Iterator[None]:
    """Run NRPE as Debian's unit does, at an address and port for one client, with the text of a command file.

    `prefix` is a command that runs it by exec, such as `ip netns exec NAME`.
    """
    home = plugin.directory(name)
    settings = {"server_address": place[0], "server_port": place[1], "allowed_hosts": client}
    settings |= {"nrpe_user": USER, "nrpe_group": USER, "pid_file": home / "pid", "log_file": home / "log"}
    config, log = home / "nrpe.cfg", home / "output"
    config.write_text("\n".join([*(f"{name}={value}" for name, value in settings.items()), text, ""]))
    with running([*prefix, PROGRAM, *options, "-f", "-c", config], log) as process:  # -f: in the foreground
        wanted = (ipaddress.ip_address(place[0]), place[1])
        await_result(lambda: wanted in listening(process.pid) or None, process, log)
        yield
