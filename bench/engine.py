"""The engine: what it costs to follow many handshakes at once, beside the least that Python can do.

`python -m bench.engine loop|engine ADDRESS PORT` makes one round, for strace.
"""

import socket
import sys
import time
from collections.abc import Callable

from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.measure import Plan, Target, measure
from check_ssh_exchange.probe.connection import Address, Connection
from check_ssh_exchange.probe.engine import Engine
from check_ssh_exchange.report import Role
from check_ssh_exchange.wire.exchange import Exchange
from tests.lab import busy_server as server

from . import loop
from .table import Row, ratio, spread

TARGET = 1.4
AT_ONCE = 200
SECONDS = 10
REST = 0.02  # between rounds: the server closes what the last one has left
TITLE = f"engine CPU per handshake, depth banner, {AT_ONCE} at once"


class Burst:
    """Handshakes opened at once, held until all have ended, then closed: what a run does, without its reports."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self.left = count
        self.address = Address(socket.AF_INET, address, address[0])
        self.connections: list[Connection] = []

    def run(self) -> None:
        engine = Engine()
        deadline = time.monotonic_ns() + SECONDS * 1_000_000_000
        for _ in range(self.left):
            connection = Connection(self.address, Exchange(Depth.BANNER), Role.BURST, self._ended)
            engine.open(connection, deadline)
            self.connections.append(connection)
        while self.left:
            engine.step()
        for connection in self.connections:
            engine.close(connection)
        engine.shutdown()

    def _ended(self, connection: Connection) -> None:
        if connection.exchange.ending is not Ending.COMPLETED:
            raise RuntimeError(f"a handshake ended as {connection.exchange.ending}: {connection.fault}")
        self.left -= 1


def engine(address: tuple[str, int], count: int) -> None:
    """Make `count` handshakes at once with the engine, its connections and their state tables."""
    Burst(address, count).run()


def whole(address: tuple[str, int], count: int) -> None:
    """Make `count` handshakes at once through the one door, the first alone included, as values in a report."""
    plan = Plan(handshakes=count, concurrency=count, depth=Depth.BANNER, timeout=SECONDS, exempt=True)
    report = measure(Target(*address), plan)
    if report.completed != count:
        raise RuntimeError(f"{report.completed} of {count} handshakes: {report.fault}")


KINDS: dict[str, Callable[[tuple[str, int], int], None]] = {
    "minimal epoll loop, same system calls": loop.handshakes,
    "engine, connections and state tables": engine,
    "measure(): the run and its report too": whole,
}


def row(rounds: int) -> Row:
    """Measure in `rounds` rounds, each of one burst of every kind."""
    taken: dict[str, list[float]] = {what: [] for what in KINDS}
    with server.answering() as target:
        for number in range(rounds + 1):
            for what, handshakes in KINDS.items():
                address = server.fresh_address(), target.port
                begun = time.process_time()
                handshakes(address, AT_ONCE)
                if number:  # the first round warms up
                    taken[what].append((time.process_time() - begun) / AT_ONCE * 1e6)
                time.sleep(REST)
    least, ours, _ = taken.values()
    measured = ratio(ours, least)
    lines = tuple((what, spread(cpu), f"{ratio(cpu, least):.2f}x") for what, cpu in taken.items())
    return Row(
        TITLE,
        f"<= {TARGET}x a minimal epoll loop",
        f"{measured:.2f}x",
        measured <= TARGET,
        f"Bursts in turn in one process, {rounds} rounds, a fresh address each, the server on the other CPU; user and "
        "system time divided by handshakes, median (least to greatest); the ratio is the median over the rounds. "
        "Opening, reading, answering, closing and the garbage collector are in it; the loop makes the engine's system "
        "calls, as many of each (strace -c), and looks at nothing that they return.",
        ("what", "CPU per handshake, us", "against the loop"),
        lines,
    )


if __name__ == "__main__":
    {"loop": loop.handshakes, "engine": engine}[sys.argv[1]]((sys.argv[2], int(sys.argv[3])), AT_ONCE)
