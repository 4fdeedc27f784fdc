"""Probes go on while a flood of connections beats on the door."""

import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab.fake_sshd import HEALTHY, FakeSshd

from .program import NEVER_SLOW, running, wait_for

SECONDS = 60.0
KEPT = 300  # connections left open, some silent and some with half a request
MOST = 100_000
LATE = "ssh_exchange_exporter_background_lateness_seconds"


class Flood:
    """Connections from many addresses, one after the other and as fast as can be."""

    def __init__(self, port: int) -> None:
        self.opened = 0
        self._port = port
        self._over = threading.Event()

    def run(self) -> None:
        kept: deque[socket.socket] = deque()
        for number in range(MOST):
            if self._over.is_set():
                break
            source = f"127.3.{number // 250 % 250}.{number % 250 + 1}"
            with suppress(OSError):
                kept.append(socket.create_connection(("127.0.0.1", self._port), timeout=1, source_address=(source, 0)))
                self.opened += 1
                if number % 2:
                    kept[-1].send(b"GET /metrics HTTP/1.1\r\nX: ")
            if len(kept) > KEPT:
                kept.popleft().close()
        for connection in kept:
            connection.close()

    def end(self) -> None:
        self._over.set()


@contextmanager
def flood(port: int) -> Iterator[Flood]:
    flooding = Flood(port)
    thread = threading.Thread(target=flooding.run)
    thread.start()
    try:
        yield flooding
    finally:
        flooding.end()
        thread.join()


def test_probes_go_on_during_a_flood_of_connections(tmp_path: Path) -> None:
    with FakeSshd(HEALTHY) as server:
        target = f"127.0.0.1:{server.port}"
        configuration = (
            f"modules: {{default: {{handshakes: 1, exempt: true, {NEVER_SLOW}}}}}\n"
            f"background: [{{targets: ['{target}'], interval: 1s}}]\n"
        )
        with running(tmp_path, configuration) as program, flood(program.port) as flooding:
            wait_for(lambda: flooding.opened > 2 * KEPT, SECONDS)
            before, opened = program.completed(target), flooding.opened
            wait_for(lambda: program.completed(target) >= before + 5, SECONDS)
            assert flooding.opened > opened + KEPT
            assert program.probe(target).cause == "healthy"
            assert program.completed(target) >= 5
            after = program.metrics()
    late = after.value(f"{LATE}_sum") / after.value(f"{LATE}_count")
    assert late < 5, f"{late:.1f} s late on average"
