"""Icinga nodes with an exporter beside them, as contrib/icinga2/resident.conf and exporter/README.md have it.

`Resident(node, host, place)` is the exporter of a node: in its network, with its certificate, under the web
configuration of the README; `start` and `stop` it.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from check_ssh_exchange.remote.options import Options, parse
from tests.lab import exporter
from tests.lab.icinga import UNANSWERED
from tests.lab.icinga_nodes import Node, Running
from tests.lab.network import Host

CURL = Path("/usr/bin/curl")
PORT = 10922  # the exporter's own default, and what resident.conf asks
READ_SECONDS = 1.0  # between two looks at a thousand services; each costs Icinga a tenth of a second
FLEET_SECONDS = 150.0  # a thousand checks take twenty where the machine is idle

# A listener that accepts nobody: clients are connected, and hear nothing.
SILENT = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), backlog=64)
print("listening", flush=True)
sys.stdin.read()
"""

Found = TypeVar("Found")


def web_configuration(name: str) -> str:
    """Return the web configuration that exporter/README.md shows for Icinga, for a node of this name."""
    text = (exporter.ROOT / "exporter" / "README.md").read_text("utf-8")
    block = r"^```yaml\n(tls_server_config:\n  cert_file: /var/lib/icinga2/.*?)^```$"
    (found,) = re.findall(block, text, re.MULTILINE | re.DOTALL)
    assert found.count("NODE") == 2
    return str(found).replace("NODE", name)


class Resident:
    """The exporter of a node. It sees what the node's daemon sees."""

    def __init__(self, node: Node, host: Host, place: Path, *, port: int = PORT, level: str = "debug") -> None:
        self._node, self._host, self._place, self._port, self._level = node, host, place, port, level
        self._stack = ExitStack()
        place.mkdir()
        self.web = place / "web.yml"
        self.web.write_text(web_configuration(node.name))

    def start(self) -> None:
        """Run it, on its own port besides the one that the lab waits for."""
        flags = [f"--web.listen-address=:{self._port}", f"--web.config.file={self.web}"]
        flags += [f"--log.level={self._level}", "--log.format=json"]
        made = exporter.running(self._place, None, *flags, prefix=tuple(map(str, self._node.prefix)))
        self.program = self._stack.enter_context(made)

    def stop(self) -> None:
        """End it."""
        self._stack.close()

    @property
    def log(self) -> list[dict[str, Any]]:
        """What this run of it has logged so far."""
        return [json.loads(line) for line in self.program.log.splitlines() if line.endswith("}")]

    def metrics(self) -> exporter.Samples:
        """Return its own metrics, asked for with the node's certificate."""
        name, certificates = self._node.name, self._node.home / "data" / "certs"
        server = f"{name}:{self._port}"
        asked = [str(CURL), "-sSf", "--resolve", f"{server}:127.0.0.1", f"https://{server}/metrics"]
        for option, file in (("--cacert", "ca.crt"), ("--cert", f"{name}.crt"), ("--key", f"{name}.key")):
            asked += [option, str(certificates / file)]
        return exporter.Samples(self._host.run(*asked))

    def value(self, name: str, **labels: str) -> float:
        """Return one of its own metrics."""
        return self.metrics().value(f"ssh_exchange_exporter_{name}", **labels)


@contextmanager
def silent(host: Host, address: str, port: int) -> Iterator[None]:
    """Have a server that never says a word."""
    command = [*host.prefix, sys.executable, "-S", "-c", SILENT, address, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listening\n"
            yield
        finally:
            process.kill()


@contextmanager
def answering(host: Host) -> Iterator[int]:
    """Run a server that answers at once on every loopback address of a namespace; yield its port."""
    command = [*host.prefix, sys.executable, "-m", "tests.lab.busy_server", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=exporter.ROOT) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def results(running: Running, since: float) -> dict[str, dict[str, Any]]:
    """Return the last result of each service that was checked since then."""
    found = {
        one["__name"]: one["last_check_result"]
        for one in running.api.get("objects/services?attrs=__name&attrs=last_check_result")
    }
    return {name: said for name, said in found.items() if said and said["execution_start"] >= since}


def workers(running: Running) -> list[str]:
    """Return the processes in which a daemon works: during a reload the old one and the new one."""
    pid = running.process.pid
    return (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split()


def until(running: Running, look: Callable[[], Found]) -> Found:
    """Return what `look` finds as soon as it is true; looks seldom, for a look at a whole fleet has its price."""
    give_up = time.monotonic() + FLEET_SECONDS
    while True:
        with suppress(*UNANSWERED):  # between two starts
            if found := look():
                return found
        assert running.process.poll() is None, running.log.read_text()[-2000:]
        assert time.monotonic() < give_up, running.log.read_text()[-2000:]
        time.sleep(READ_SECONDS)


def read(words: Sequence[str]) -> Options:
    """Return how the plugin's parser reads a command line, but for the file that an exporter does not take."""
    given = [*words]
    if "--state-file" in given:
        at = given.index("--state-file")
        del given[at : at + 2]
    return parse(given)
