"""A real Alertmanager in a network namespace, and the receiver that it notifies; both are asked from this process."""

import ctypes
import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from tests.lab import daemons
from tests.lab.network import Host

PROGRAMS = {
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus": "prometheus",
}
ADDRESS = "127.0.0.1:9093"  # where alerting.yml looks for it; the namespace is the test's alone
RECEIVERS = ("127.0.0.1", 5001)  # where alertmanager.yml sends
CLONE_NEWNET = 0x40000000  # linux/sched.h
SECONDS = 30.0
T = TypeVar("T")


def missing(*programs: str) -> str | None:
    """Which of these programs is not there, as a sentence; None if all are."""
    packages = sorted({PROGRAMS[program] for program in programs if not shutil.which(program)})
    return f"install the Debian package{'s' * (len(packages) > 1)} {' and '.join(packages)}" if packages else None


class Inside:
    """A thread of this process that has entered a namespace: sockets made by `run` belong there."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._pool = ThreadPoolExecutor(1, initializer=self._enter)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def _enter(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        with Path("/run/netns", self._host.name).open("rb") as namespace:
            if library.setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns {self._host.name}")

    def run(self, work: Callable[[], T]) -> T:
        """Do this in there."""
        return self._pool.submit(work).result()

    def fetch(self, url: str) -> str:
        """What a GET gives in there. Raises OSError."""

        def get() -> str:
            with self._opener.open(url, timeout=SECONDS) as reply:
                text: str = reply.read().decode()
            return text

        return self.run(get)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown()


class Note(NamedTuple):
    """What a receiver was told of one alert."""

    at: float
    receiver: str
    status: str  # firing or resolved
    labels: dict[str, str]

    def is_of(self, alert: str, place: str) -> bool:
        return (self.labels["alertname"], self.labels.get("server")) == (alert, place)


class Receiver:
    """Takes the webhooks of every receiver of alertmanager.yml, and keeps them."""

    def __init__(self, inside: Inside) -> None:
        self.notes: list[Note] = []
        notes = self.notes

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                now = time.time()
                assert self.path == f"/{told['receiver']}"
                notes.extend(Note(now, told["receiver"], one["status"], one["labels"]) for one in told["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self._server = inside.run(lambda: ThreadingHTTPServer(RECEIVERS, Handler))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join(SECONDS)
        self._server.server_close()


class Held(NamedTuple):
    """An alert that Alertmanager has; `silenced_by` are the names of the alerts that inhibit it."""

    labels: dict[str, str]
    is_silenced: bool
    silenced_by: frozenset[str]

    def is_of(self, alert: str, place: str) -> bool:
        return (self.labels["alertname"], self.labels.get("server")) == (alert, place)


class Alertmanager:
    """A running Alertmanager, asked by its HTTP API."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside

    def is_ready(self) -> bool:
        try:
            return self._inside.fetch(f"http://{ADDRESS}/-/ready") == "OK"
        except OSError:
            return False

    def alerts(self) -> list[Held]:
        """Every alert that fires, silenced or not."""
        found: list[dict[str, Any]] = json.loads(self._inside.fetch(f"http://{ADDRESS}/api/v2/alerts"))
        names = {one["fingerprint"]: one["labels"]["alertname"] for one in found}
        return [
            Held(
                one["labels"],
                one["status"]["state"] == "suppressed",
                frozenset(names.get(by, by) for by in one["status"]["inhibitedBy"]),
            )
            for one in found
        ]


@contextmanager
def alertmanager(place: Path, host: Host, inside: Inside, configuration: dict[str, Any]) -> Iterator[Alertmanager]:
    """Run Alertmanager in `host` with its files in `place`."""
    (place / "alertmanager.yml").write_text(json.dumps(configuration))  # JSON is YAML
    log = place / "alertmanager.log"
    command = [
        "prometheus-alertmanager",
        f"--config.file={place / 'alertmanager.yml'}",
        f"--storage.path={place / 'alertmanager'}",
        f"--web.listen-address={ADDRESS}",
        "--cluster.listen-address=",
    ]
    with daemons.running([*host.prefix, *command], log) as process:
        made = Alertmanager(inside)
        daemons.await_result(lambda: made.is_ready() or None, process, log)
        yield made
