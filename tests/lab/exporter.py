"""The exporter as a process of its own, and a small HTTP client for it."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0  # it takes one; the rest is for a busy machine
STOP_SECONDS = 60.0
# In a module: no server is slow, however busy the machine is that runs server and exporter.
NEVER_SLOW = "thresholds: {warning: {banner_p50: 60}, critical: {banner_p50: 60}}"
T = TypeVar("T")


class Reply(NamedTuple):
    """What came back over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Program:
    """A running exporter; `log` is what it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log
        self.port = 0

    @property
    def log(self) -> str:
        return self._log.read_text()

    def await_start(self, connect_to: int = 0) -> None:
        def port() -> int:
            if connect_to:
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", connect_to), timeout=5).close()
            log = re.sub(r'"(\w+)": "?([^",}]*)"?,?', r"\1=\2", self.log)  # JSON as logfmt
            found = re.search(r"msg=listening address=\S*?:([0-9]+) ", log)
            assert self.process.poll() is None, self.log
            return int(found[1]) if found and "msg=started" in log else 0

        self.port = wait_for(port, START_SECONDS)

    def get(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", seconds: float = 60.0
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def begin_post(self, path: str, body: bytes, seconds: float = 60.0) -> http.client.HTTPConnection:
        """Send a request and leave its response to the caller."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        connection.request("POST", path, body)
        return connection

    def post(self, path: str, body: bytes, seconds: float = 60.0) -> Reply:
        connection = self.begin_post(path, body, seconds)
        try:
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def probe(self, target: str, module: str = "default", headers: Mapping[str, str] | None = None) -> "Samples":
        reply = self.get(f"/probe?target={quote(target)}&module={quote(module)}", headers)
        assert reply.status == 200, reply.text
        return Samples(reply.text)

    def metrics(self) -> "Samples":
        reply = self.get("/metrics")
        assert reply.status == 200, reply.text
        return Samples(reply.text)

    def completed(self, target: str) -> float:
        """How many handshakes of a background target have completed so far."""
        found = self.metrics().values("ssh_exchange_handshakes_total", target=target, ending="completed")
        return found[0] if found else 0.0

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


class Samples:
    """The samples of an exposition by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.all = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        (found,) = self.values(name, **labels)
        return found

    def values(self, name: str, **labels: str) -> list[float]:
        wanted = labels.items()
        return [float(s.value) for s in self.all if s.name == name and wanted <= s.labels.items()]

    def labels(self, name: str, **labels: str) -> list[dict[str, str]]:
        wanted = labels.items()
        return [s.labels for s in self.all if s.name == name and wanted <= s.labels.items()]

    @property
    def cause(self) -> str:
        (found,) = [s.labels["cause"] for s in self.all if s.name == "ssh_exchange_cause" and s.value == 1]
        return found


def openmetrics(text: str) -> list[Metric]:
    """The families of an exposition in OpenMetrics. Raises ValueError for one that is not valid."""
    return list(openmetrics_families(text))  # type: ignore[no-untyped-call]


@contextmanager
def nobody_listens() -> Iterator[str]:
    """Yield a target that refuses connections; its port is held until then, so that no other server gets it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def wait_for(look: Callable[[], T], seconds: float) -> T:
    """Return what `look` finds as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


@contextmanager
def running(
    place: Path,
    configuration: str | None = None,
    *flags: str,
    prefix: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    connect_to: int = 0,
) -> Iterator[Program]:
    """Start an exporter on a free port of 127.0.0.1 with its files in `place`; end it with the block.

    With `prefix` it is started by another program; one that waits for a connection at a port gets some by `connect_to`.
    """
    arguments = ["--web.listen-address=127.0.0.1:0", *flags]
    if configuration is not None:
        (place / "config.yml").write_text(configuration)
        arguments.append(f"--config.file={place / 'config.yml'}")
    log = place / "exporter.log"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "exporter")]), **(env or {})}
    with log.open("wb") as out:
        command = [*prefix, sys.executable, "-m", "ssh_exchange_exporter", *arguments]
        process = subprocess.Popen(
            command, cwd=place, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment
        )
    program = Program(process, log)
    try:
        program.await_start(connect_to)
        yield program
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
