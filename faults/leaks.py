"""Many probes by every door, and the memory and descriptors of the exporter meanwhile."""

import http.client
import itertools
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.lab import busy_server
from tests.lab.exporter import Program, running

TARGETS = 600  # each is locked for a moment after a probe, so that this many are needed to probe without a pause
CLIENTS = 2  # threads; each asks by /v1/checker and by /probe in turn
COMMAND_LINES = 4  # for each target: another option is another command line to remember


class Look(NamedTuple):
    """The exporter after so many probes: resident KiB, descriptors, threads."""

    probes: float
    resident: int
    descriptors: int
    threads: int


def look(exporter: Program) -> Look:
    """Return what the exporter holds now."""
    process = Path("/proc", str(exporter.process.pid))
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
    probes = sum(exporter.metrics().values("ssh_exchange_exporter_probes_total"))
    return Look(probes, int(status["VmRSS"].split()[0]), len(os.listdir(process / "fd")), int(status["Threads"]))


def target(number: int) -> str:
    """Return a loopback address of its own."""
    number %= TARGETS
    return f"127.9.{number // 250}.{number % 250 + 1}"


@contextmanager
def clients(exporter: Program, port: int) -> Iterator[None]:
    """Ask without a pause by /v1/checker and by /probe."""
    over = threading.Event()
    numbers = itertools.count()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=100)
        while not over.is_set():
            number = next(numbers)
            host, variant = target(number), number // TARGETS % COMMAND_LINES
            with suppress(OSError, http.client.HTTPException):
                if number % 2:
                    options = {"-H": host, "-p": port, "--depth": "banner", "-n": 2, "-w": f"banner_max={variant + 5}"}
                    connection.request("POST", "/v1/checker?command=c", json.dumps(options))
                else:
                    connection.request("GET", f"/probe?target={host}:{port}&module=quick&format=nagios")
                connection.getresponse().read()
                continue
            connection.close()
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def watch(place: Path, probes: int, every: int, most_seconds: float) -> Iterator[Look]:
    """Yield a look after each `every` probes until there were so many."""
    with busy_server.answering() as server:
        listed = ", ".join(f"'{target(number)}:{server.port}'" for number in range(TARGETS))
        quick = "quick: {depth: banner, handshakes: 2, exempt: true, timeout: 5s}"
        text = f"modules: {{{quick}}}\nbackground: [{{targets: [{listed}], module: quick, interval: 3s}}]\n"
        with running(place, text) as exporter, clients(exporter, server.port):
            deadline, wanted = time.monotonic() + most_seconds, float(every)
            while wanted <= probes:
                found = look(exporter)
                if found.probes >= wanted:
                    yield found
                    wanted += every
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{found.probes:.0f} probes in {most_seconds:.0f} s")
                time.sleep(0.5)
