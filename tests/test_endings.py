"""Every ending of a handshake, and hostile servers that must not harm the plugin."""

import json
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.explain import diagnose
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.measure import Plan, Target, measure
from check_ssh_exchange.probe import kernel, record
from check_ssh_exchange.probe.connection import Address, Connection
from check_ssh_exchange.probe.engine import Engine
from check_ssh_exchange.report import Handshake, Report, Role
from check_ssh_exchange.wire.exchange import Exchange
from tests.lab.fake_sshd import (
    FIN,
    HEALTHY,
    IDENTIFICATION,
    KEXINIT,
    LISTS,
    RST,
    FakeSshd,
    Peer,
    Script,
    Step,
    disconnect,
    drip,
    flood,
    hear,
    kexinit,
    packet,
    pause,
    send,
)
from tests.lab.front_door import check, wait_until

SECOND = 1_000_000_000  # nanoseconds
LATE = 0.15  # seconds that a late reader leaves the kernel's news unread
NOISE = 20.0  # seconds that a busy machine may add to a deadline; a run that ignores its deadline has no end

SERVED: dict[str, Script] = {
    "as usual": HEALTHY,
    "in one segment": [send(IDENTIFICATION + KEXINIT)],
    "byte by byte": [drip(IDENTIFICATION + KEXINIT, 0.0005)],
    "behind other messages": [send(IDENTIFICATION + packet(b"\x02\0\0\0\0") * 50 + KEXINIT)],
    "and closed": [*HEALTHY, FIN],
    "and reset": [send(IDENTIFICATION + KEXINIT), RST],
}

# What the server does, how that ends, and the text that is kept (...: how much of it is left open).
ENDINGS: dict[str, tuple[Script, Ending, object]] = {
    **{f"served {how}": (script, Ending.COMPLETED, None) for how, script in SERVED.items()},
    "served after words": ([send(b"Welcome\r\nto all\r\n"), *HEALTHY], Ending.COMPLETED, "Welcome / to all"),
    "FIN": ([FIN], Ending.CLOSED, None),
    "late FIN": ([pause(0.2), FIN], Ending.CLOSED, None),
    "RST": ([RST], Ending.RESET, None),
    "FIN, RST": ([FIN, pause(0.05), RST], Ending.CLOSED, None),
    "late RST": ([pause(0.2), RST], Ending.RESET, None),
    "words, FIN": ([send(b"Exceeded MaxStartups\r\n"), FIN], Ending.TURNED_AWAY, "Exceeded MaxStartups"),
    "words, RST": ([send(b"Not allowed at this time\r\n"), RST], Ending.TURNED_AWAY, "Not allowed at this time"),
    "half a line, FIN": ([send(b"No"), FIN], Ending.TURNED_AWAY, "No"),
    "half a line, RST": ([send(b"No"), RST], Ending.TURNED_AWAY, "No"),
    "an empty line, FIN": ([send(b"\n"), FIN], Ending.TURNED_AWAY, None),
    "half an identification, FIN": ([send(b"SSH-2.0-Fa"), FIN], Ending.TURNED_AWAY, "SSH-2.0-Fa"),
    "half an identification, RST": ([send(b"SSH-2.0-Fa"), RST], Ending.RESET, "SSH-2.0-Fa"),
    "identification, FIN": ([send(IDENTIFICATION), FIN], Ending.CLOSED_AFTER_BANNER, None),
    "identification, RST": ([send(IDENTIFICATION), RST], Ending.CLOSED_AFTER_BANNER, None),
    "half a KEXINIT, FIN": ([send(IDENTIFICATION + KEXINIT[:40]), FIN], Ending.CLOSED_AFTER_BANNER, None),
    "identification, words, FIN": (
        [send(IDENTIFICATION), send(b"Invalid SSH identification string.\r\n"), FIN],
        Ending.CLOSED_AFTER_BANNER,
        "Invalid SSH identification string.",
    ),
    "DISCONNECT": (
        [send(IDENTIFICATION), send(packet(disconnect(2, b"Too many"))), FIN],
        Ending.CLOSED_AFTER_BANNER,
        "Too many",
    ),
    "silence": ([], Ending.BANNER_TIMEOUT, None),
    "words and silence": ([send(b"Welcome\r\nand wa")], Ending.BANNER_TIMEOUT, "Welcome / and wa"),
    "a byte a second": ([drip(IDENTIFICATION, 1.0)], Ending.BANNER_TIMEOUT, "S"),
    "endless slow lines": ([drip(b"x\r\n" * 1000, 0.01)], Ending.BANNER_TIMEOUT, ...),
    "identification and silence": ([send(IDENTIFICATION)], Ending.KEXINIT_TIMEOUT, None),
    "half a KEXINIT": ([send(IDENTIFICATION + KEXINIT[:-1])], Ending.KEXINIT_TIMEOUT, None),
    "a slow KEXINIT": ([send(IDENTIFICATION), drip(KEXINIT, 0.1)], Ending.KEXINIT_TIMEOUT, None),
    "TLS": ([send(b"\x15\x03\x01\0\x02\x02\x0a"), FIN], Ending.NOT_SSH, ...),
    "NULs": ([flood(bytes(1000))], Ending.NOT_SSH, ...),
    "an endless line": ([flood(b"x" * 1000)], Ending.NOT_SSH, "x" * 1024),
    "an endless identification": ([flood(b"SSH-2.0-")], Ending.PROTOCOL_ERROR, ...),
    "endless lines": ([flood(b"go away\r\n" * 100)], Ending.NOT_SSH, ...),
    "endless messages": ([send(IDENTIFICATION), flood(packet(b"\x02" * 1000))], Ending.PROTOCOL_ERROR, None),
    "protocol 1": ([send(b"SSH-1.5-old\r\n")], Ending.PROTOCOL_ERROR, "SSH-1.5-old"),
    "length 0": ([send(IDENTIFICATION + bytes(4))], Ending.PROTOCOL_ERROR, None),
    "length 4 GB": ([send(IDENTIFICATION + b"\xff\xff\xff\xff")], Ending.PROTOCOL_ERROR, None),
    "a KEXINIT with a lying length": (
        [send(IDENTIFICATION + packet(kexinit(*LISTS, b"", b"").replace(struct.pack(">I", 11), b"\xff\xff\xff\xff")))],
        Ending.PROTOCOL_ERROR,
        None,
    ),
    "a KEXINIT that is cut": ([send(IDENTIFICATION + packet(kexinit(*LISTS)[:60]))], Ending.PROTOCOL_ERROR, None),
}
TIMED = {Ending.BANNER_TIMEOUT, Ending.KEXINIT_TIMEOUT}


def probe(server: FakeSshd, handshakes: int = 1, timeout: float = 30.0, depth: Depth = Depth.KEXINIT) -> Report:
    return measure(Target(server.address, server.port), Plan(handshakes=handshakes, timeout=timeout, depth=depth))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    "what",
    [pytest.param(what, marks=[pytest.mark.timing] * (ending in TIMED)) for what, (_, ending, _) in ENDINGS.items()],
)
def test_what_a_server_does_has_one_ending_and_its_text_inside_the_deadline(what: str, address: str) -> None:
    script, ending, text = ENDINGS[what]
    timeout = 0.6 if ending in TIMED else 30.0
    with FakeSshd(script, address=address) as server:
        report = probe(server, timeout=timeout)
    handshake = report.handshakes[0]
    assert (report.fault, handshake.role, handshake.ending) == (None, "baseline", ending)
    assert text is ... or handshake.text == text
    assert report.took < timeout + NOISE
    assert handshake.ended <= report.took
    assert handshake.family == ("ipv6" if address == "::1" else "ipv4")


def test_a_server_that_speaks_no_ssh_waits_for_the_deadline_only_when_it_must() -> None:
    with FakeSshd([flood(b"x" * 1000)], [send(IDENTIFICATION + bytes(4))]) as server:
        assert [probe(server, timeout=60.0).took < 10.0 for _ in range(2)] == [True, True]


@pytest.mark.parametrize("step", [FIN, RST])
def test_the_server_may_go_at_every_byte(step: Step) -> None:
    whole = IDENTIFICATION + KEXINIT
    lengths = range(len(whole) + 1)
    with FakeSshd(*([*([send(whole[:length])] if length else []), step] for length in lengths)) as server:
        endings = [probe(server).handshakes[0].ending for _ in lengths]
    short = len(IDENTIFICATION) - 1
    assert endings[0] is (Ending.CLOSED if step is FIN else Ending.RESET)
    assert set(endings[1 : short + 1]) == {Ending.TURNED_AWAY if step is FIN else Ending.RESET}
    assert set(endings[short + 1 : -1]) == {Ending.CLOSED_AFTER_BANNER}
    assert endings[-1] is Ending.COMPLETED


# --- no connection


@contextmanager
def full_listener() -> Iterator[int]:
    """A port whose backlog is full: the kernel drops every further SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as waiting:
        waiting.connect(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_syn_without_answer_is_a_connect_timeout() -> None:
    with full_listener() as port:
        report = measure(Target("127.0.0.1", port), Plan(handshakes=2, timeout=0.8))
    assert {handshake.ending for handshake in report.handshakes} == {Ending.CONNECT_TIMEOUT}
    assert (report.early_close_ratio, report.durations("connect")) == (None, [])
    assert report.took < 0.8 + NOISE


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_syn_answered_by_a_reset_is_refused(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as bound:  # bound without listening, so that no other process can listen
        bound.bind((address, 0))
        report = measure(Target(address, bound.getsockname()[1]), Plan(timeout=5.0))
    assert [handshake.ending for handshake in report.handshakes] == [Ending.REFUSED] * 5
    assert {handshake.segments_in for handshake in report.handshakes} == {1}
    assert report.early_close_ratio is None


# --- a reader that comes late must not mix up what happened


def late(script: Script, seconds: float = LATE) -> Handshake:
    """Make one handshake whose engine reads only after the server has finished."""
    with FakeSshd(script) as server:
        engine = Engine()
        address = Address(socket.AF_INET, (server.address, server.port), server.address)
        connection = Connection(address, Exchange(Depth.KEXINIT), Role.BASELINE, lambda _: None)
        try:
            begun = time.monotonic_ns()
            engine.open(connection, begun + 60_000_000_000)
            time.sleep(seconds)
            while not connection.is_ended:
                engine.step()
            return record.handshake(0, connection, begun)
        finally:
            engine.shutdown()


@pytest.mark.parametrize("what", [what for what, (_, ending, _) in ENDINGS.items() if ending not in TIMED])
def test_a_late_reader_sees_the_same_ending(what: str) -> None:
    script, ending, text = ENDINGS[what]
    handshake = late(script)
    assert handshake.ending is ending
    assert text is ... or handshake.text == text


def test_a_deadline_that_passed_while_the_answer_was_waiting_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = 0  # nanoseconds of an hour that the engine's clock alone has seen
    is_stalled = threading.Event()

    def stall(_: Connection) -> None:  # the process has no CPU until the answer has come and the deadline is over
        nonlocal passed
        is_stalled.set()
        wait_until(lambda: bool(select.select([second.socket], [], [], 0)[0]))
        passed = 3600 * SECOND

    def once_stalled(peer: Peer) -> None:
        assert is_stalled.wait(NOISE)
        peer.send(IDENTIFICATION)

    clock = SimpleNamespace(monotonic_ns=lambda: time.monotonic_ns() + passed)
    monkeypatch.setattr("check_ssh_exchange.probe.engine.time", clock)
    with FakeSshd([send(IDENTIFICATION)], [once_stalled]) as server:
        engine = Engine()
        address = Address(socket.AF_INET, (server.address, server.port), server.address)
        first = Connection(address, Exchange(Depth.BANNER), Role.BASELINE, stall)
        second = Connection(address, Exchange(Depth.BANNER), Role.BURST, lambda _: None)
        deadline = time.monotonic_ns() + 1800 * SECOND
        try:
            engine.open(first, deadline)
            while not server.peers:
                time.sleep(0.01)
            engine.open(second, deadline)
            while not (first.is_ended and second.is_ended):
                engine.step()
        finally:
            engine.shutdown()
    assert (first.exchange.ending, second.exchange.ending) == (Ending.COMPLETED, Ending.COMPLETED)


@contextmanager
def kernel_that_stamps() -> Iterator[None]:
    """Hold the kernel to its stamps: after the machine's first request it needs a moment until it makes them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        kernel.request_stamps(sock)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(NOISE)

        def is_stamped() -> bool:
            sock.sendto(b"x", sock.getsockname())
            return kernel.stamp(sock.recvmsg(1, kernel.STAMP_SPACE)[1]) > 0

        wait_until(is_stamped)
        yield


@pytest.mark.timing
def test_latency_is_the_servers_and_not_the_late_readers() -> None:
    with kernel_that_stamps():
        handshake = late([send(IDENTIFICATION), pause(0.001), send(KEXINIT)], seconds=0.6)
    assert handshake.ending is Ending.COMPLETED
    assert handshake.banner is not None
    assert handshake.connect is not None
    assert handshake.banner < 0.3
    assert handshake.connect < 0.3


# --- what a server says is shown and does no harm

NASTY = b"\x1b]0;pwned\x07\x1b[2J caf\xc3\xa9 \xff\xfe \x9b31m | early_close=0;;;0 \\x41 \x7f\r\x08SSH OK - fine"
ESCAPED = (
    r"\x1b]0;pwned\x07\x1b[2J caf\xc3\xa9 \xff\xfe \x9b31m \x7c early_close=0;;;0 \x5cx41 \x7f\x0d\x08SSH OK - fine"
)
NASTY_SCRIPTS: dict[str, Script] = {
    "words": [send(NASTY + b"\r\n"), FIN],
    "words without a line end": [send(NASTY), FIN],
    "words before the identification": [send(NASTY + b"\n"), send(IDENTIFICATION), FIN],
    "DISCONNECT": [send(IDENTIFICATION), send(packet(disconnect(2, NASTY))), FIN],
}


@pytest.mark.parametrize("what", NASTY_SCRIPTS)
def test_words_of_a_server_are_escaped_in_text(what: str) -> None:
    with FakeSshd(NASTY_SCRIPTS[what]) as server:
        answer = check("-H", server.address, "-p", str(server.port), "-n", "1", "-vvv")
    assert (answer.code, answer.err) == (2, "")
    assert answer.out.count("|") == 1
    assert "|" in answer.out.splitlines()[0]
    assert f'"{ESCAPED}"' in answer.out
    assert all(line.isprintable() for line in answer.out.split("\n"))


@pytest.mark.parametrize("what", NASTY_SCRIPTS)
def test_words_of_a_server_are_escaped_in_json(what: str) -> None:
    with FakeSshd(NASTY_SCRIPTS[what]) as server:
        answer = check("-H", server.address, "-p", str(server.port), "-n", "1", "--output-format", "json")
    assert (answer.code, answer.err) == (2, "")
    assert answer.out.count("\n") == 1
    assert answer.out[:-1].isprintable()
    assert json.loads(answer.out)["handshakes"][0]["text"] == ESCAPED


def test_an_identification_is_escaped_wherever_it_is_shown() -> None:
    script = [send(b"SSH-2.0-caf\xc3\xa9|x early|close=0\r\n"), send(KEXINIT)]
    with FakeSshd(script) as server:
        target = ("-H", server.address, "-p", str(server.port), "-n", "1")
        text, document = check(*target, "-vvv"), check(*target, "--output-format", "json")
    assert text.line.startswith(r"SSH OK - caf\xc3\xa9\x7cx (protocol 2.0), 1/1 handshakes, banner ")
    assert text.out.count("|") == 1
    server = json.loads(document.out)["server"]
    assert {key: server[key] for key in ("identification", "protocol", "software", "comments", "speaks_first")} == {
        "identification": r"SSH-2.0-caf\xc3\xa9\x7cx early\x7cclose=0",
        "protocol": "2.0",
        "software": r"caf\xc3\xa9\x7cx",
        "comments": r"early\x7cclose=0",
        "speaks_first": False,
    }


def test_a_server_that_floods_before_the_keys_is_bounded_at_depth_kex() -> None:
    ignore = packet(b"\x02" + bytes(4) + bytes(3000))
    with FakeSshd([send(IDENTIFICATION), hear(1), send(KEXINIT), flood(ignore)]) as server:
        plan = Plan(handshakes=1, timeout=10.0, depth=Depth.KEX)
        report = measure(Target("127.0.0.1", server.port), plan)
    assert [str(h.ending) for h in report.handshakes] == ["protocol_error"]


# --- words of a refusal, wherever they come


def of_one(*script: Step) -> Report:
    with FakeSshd(list(script)) as server:
        return measure(Target(server.address, server.port), Plan(handshakes=1, timeout=20.0))


def test_a_disconnect_right_behind_the_kexinit_is_a_refusal() -> None:
    refusal = KEXINIT + packet(disconnect(12, b"Too many connections"))
    (one,) = of_one(send(IDENTIFICATION), hear(1), send(refusal), FIN).handshakes
    assert (one.ending, one.text, one.disconnect) == (Ending.CLOSED_AFTER_BANNER, "Too many connections", 12)


def test_a_message_that_is_not_a_disconnect_behind_the_kexinit_changes_nothing() -> None:
    (one,) = of_one(send(IDENTIFICATION), hear(1), send(KEXINIT + packet(b"\x02" + bytes(8))), FIN).handshakes
    assert one.ending is Ending.COMPLETED


def test_the_words_of_a_refusal_by_version_1_are_kept() -> None:
    # Length, padding, SSH_MSG_DISCONNECT (1), a string, a checksum: the packet of protocol 1.5.
    words = b"No more sessions available"
    body = b"\x01" + len(words).to_bytes(4, "big") + words + b"CRC!"
    packet_1 = len(body).to_bytes(4, "big") + bytes(8 - len(body) % 8) + body
    report = of_one(send(b"SSH-1.99-Device\r\n"), hear(1), send(packet_1), FIN)
    assert words.decode() in (report.handshakes[0].text or "")
    assert diagnose(report).cause is Cause.MAXSTARTUPS


def test_words_behind_an_identification_name_the_cause() -> None:
    report = of_one(send(b"SSH-2.0-x\r\n"), hear(1), send(b"No connection is available now. Try again later!\r\n"), FIN)
    assert report.handshakes[0].ending is Ending.CLOSED_AFTER_BANNER
    assert diagnose(report).cause is Cause.MAXSTARTUPS


def test_a_last_line_without_its_end_is_a_saying_too() -> None:
    report = of_one(send(b"Could not load host key. Closing connection..."), FIN)
    assert (report.handshakes[0].ending, diagnose(report).cause) == (Ending.TURNED_AWAY, Cause.SERVER_FAULT)


def test_bytes_before_the_identification_on_its_line_are_somebody_elses() -> None:
    with FakeSshd([send(b"host\x04@SSH-2.0-babeld-680dd414\r\n"), hear(1 << 20)]) as server:
        report = measure(Target(server.address, server.port), Plan(handshakes=1, timeout=2.0))
    assert (report.handshakes[0].ending, diagnose(report).cause) == (Ending.BANNER_TIMEOUT, Cause.PROXY)
