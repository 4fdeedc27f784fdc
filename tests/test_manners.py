"""How we leave: a listener that takes ECONNRESET for the end must live, so a capture must see no RST of ours."""

import socket
import time
from pathlib import Path

import pytest

from bench import capture, pcap
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.measure import Plan, Target, measure
from check_ssh_exchange.probe.connection import Address, Connection
from check_ssh_exchange.probe.engine import Engine
from check_ssh_exchange.report import Report, Role
from check_ssh_exchange.wire.exchange import Exchange
from tests.lab import zoo
from tests.lab.fake_sshd import HEALTHY, IDENTIFICATION, KEXINIT, FakeSshd, Peer, Script, hear, pause, send

SERVERS = [name for name in zoo.RECIPES if name not in ("haproxy", "stunnel")]
RST = 0x04
ANSWERED = 0.7  # seconds; a server that has our FIN closes within milliseconds


def resets_in(file: Path, port: int) -> int:
    """Return how many RSTs went to this port, and require that the capture saw the handshakes at all."""
    seen = [segment for segment in pcap.segments(file.read_bytes()) if segment.destination[1] == port]
    assert any(segment.flags & pcap.SYN for segment in seen)
    return sum(bool(segment.flags & RST) for segment in seen)


def probed(port: int, directory: Path, *plans: Plan) -> tuple[int, list[Report]]:
    """Return how many RSTs these runs sent, and their reports."""
    try:
        with capture.tcpdump(port, directory) as file:
            reports = [measure(Target("127.0.0.1", port), plan) for plan in plans]
            time.sleep(ANSWERED)
    except capture.NoCapture as reason:
        pytest.skip(str(reason))
    return resets_in(file, port), reports


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
@pytest.mark.parametrize("name", SERVERS)
def test_no_run_at_a_real_server_sends_a_reset(name: str, tmp_path: Path) -> None:
    with zoo.server(name, options={"MaxStartups": "100"}) as server:
        depths = (Depth.BANNER, Depth.KEXINIT, Depth.HOSTKEY, Depth.KEX)
        plans = [Plan(handshakes=4, depth=depth, exempt=True, timeout=60) for depth in depths]
        resets, reports = probed(server.port, tmp_path, *plans)
    assert all(report.completed >= 2 for report in reports)
    assert resets == 0


@pytest.mark.real
@pytest.mark.parametrize(
    ("script", "ending", "handshakes"),
    [
        pytest.param([send(b"220 mail ready\r\n"), pause(0.2), send(b"more\r\n" * 100)], Ending.BANNER_TIMEOUT, 1),
        pytest.param([send(b"\x16\x03\x01\0\x05" + b"x" * 9000)], Ending.NOT_SSH, 3),
        pytest.param([hear(8), *HEALTHY], Ending.COMPLETED, 3),
    ],
    ids=["words until the deadline", "not SSH", "waits for its client"],
)
def test_no_run_at_another_server_sends_a_reset(
    script: Script, ending: Ending, handshakes: int, tmp_path: Path
) -> None:
    with FakeSshd(script) as server:
        resets, (report,) = probed(server.port, tmp_path, Plan(handshakes=handshakes, timeout=1.5))
    assert ending in {handshake.ending for handshake in report.handshakes}
    assert resets == 0


def until_left(peer: Peer) -> None:
    """Wait until the client has sent its FIN; it still reads for as long as it waits for ours."""
    while not peer.has_left:
        time.sleep(0.005)


def ended(engine: Engine, connection: Connection, deadline: int) -> None:
    engine.open(connection, deadline)
    while not connection.is_ended:
        engine.step()


@pytest.mark.real
def test_what_a_server_says_after_the_deadline_is_not_answered_by_a_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A server without the CPU for half a second would speak to a closed socket, whose answer is a reset.
    monkeypatch.setattr("check_ssh_exchange.probe.engine.LINGER", 60_000_000_000)
    engine = Engine()
    with FakeSshd([until_left, send(IDENTIFICATION + KEXINIT)]) as server:
        address = Address(socket.AF_INET, ("127.0.0.1", server.port), "127.0.0.1")
        connection = Connection(address, Exchange(Depth.KEXINIT), Role.BASELINE, lambda _: None)
        try:
            with capture.tcpdump(server.port, tmp_path) as file:
                ended(engine, connection, time.monotonic_ns() + 100_000_000)
                engine.close(connection)
                while connection.socket.fileno() >= 0:
                    engine.step(0.1)
        except capture.NoCapture as reason:
            pytest.skip(str(reason))
    engine.shutdown()
    assert connection.exchange.ending is Ending.BANNER_TIMEOUT
    assert resets_in(file, server.port) == 0


def test_a_server_that_never_closes_does_not_keep_our_sockets() -> None:
    engine = Engine()
    with FakeSshd([*HEALTHY, pause(60)]) as server:
        address = Address(socket.AF_INET, ("127.0.0.1", server.port), "127.0.0.1")
        for _ in range(3):
            connections = [Connection(address, Exchange(Depth.BANNER), Role.BURST, lambda _: None) for _ in range(3)]
            for connection in connections:
                engine.open(connection, time.monotonic_ns() + 50_000_000)
            end = time.monotonic() + 0.2  # beyond their deadline, as a wave is held
            while time.monotonic() < end:
                engine.step(0.05)
            for connection in connections:
                engine.close(connection)
        while any(connection.socket.fileno() >= 0 for connection in connections):
            engine.step(0.1)
    engine.shutdown()
