import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from check_ssh_exchange.demo import ThrottlingServer, refusal_of
from check_ssh_exchange.diagnosis.maxstartups import MaxStartups, drop_percent
from check_ssh_exchange.wire import kexinit
from check_ssh_exchange.wire.exchange import CLIENT_IDENTIFICATION
from check_ssh_exchange.wire.packet import packet, take_packet

ROOT = Path(__file__).parents[1]
# A process that was started in the background may ignore SIGINT, and its children with it.
PYTHON = ["env", "--default-signal=INT", sys.executable]
COMMAND = [*PYTHON, "-W", "error", "-m", "check_ssh_exchange.demo"]
BANNER = b"SSH-2.0-OpenSSH_9.2p1 Demo\r\n"
EXCEEDED = b"Exceeded MaxStartups\r\n"
TRIES, SECONDS = 150, 60.0


def connect(server: ThrottlingServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)


def heard(connection: socket.socket) -> bytes:
    return connection.recv(8192)


def rest(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as file:
        return file.read()


@contextmanager
def held(server: ThrottlingServer, count: int) -> Iterator[list[socket.socket]]:
    """Hold this many connections; replace each that the server drops."""
    connections: list[socket.socket] = []
    try:
        for _ in range(2000):
            if len(connections) == count:
                break
            connection = connect(server)
            if heard(connection) == BANNER:
                connections.append(connection)
            else:
                connection.close()
        assert server.startups == len(connections) == count
        yield connections
    finally:
        for connection in connections:
            connection.close()
        assert server.settle(0)


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["env", *(f"{name}={value}" for name, value in environment.items()), *COMMAND, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run --serve; yield its process, the line that it says and its port."""
    process = subprocess.Popen([*COMMAND, "--serve", *arguments], cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            assert found is not None, process.communicate(timeout=SECONDS)
            yield process, line, found[1]
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("startups", "percent"),
    [(0, 0), (4, 0), (5, 30), (6, 34), (8, 44), (12, 62), (16, 81), (19, 95), (20, 100), (99, 100)],
)
def test_the_chance_of_a_drop_is_that_of_sshd(startups: int, percent: int) -> None:
    assert drop_percent(startups, MaxStartups(5, 30, 20)) == percent


@pytest.mark.parametrize(("count", "percent"), [(4, 0), (5, 30), (8, 44), (12, 62), (16, 81), (19, 95), (20, 100)])
def test_drops_are_as_frequent_as_the_formula_says(count: int, percent: int) -> None:
    with ThrottlingServer(5, 30, 20, seed=count) as server, held(server, count):
        words = []
        for _ in range(TRIES):
            with connect(server) as connection:
                words.append(heard(connection))
            assert server.settle(count)
        assert set(words) <= {BANNER, EXCEEDED}
        drops = words.count(EXCEEDED)
    # 150 tries scatter by 4 % at most (one standard deviation); 0 and 100 % do not scatter.
    assert abs(100 * drops / TRIES - percent) <= (14 if 0 < percent < 100 else 0)


def test_equal_seeds_drop_the_same_connections() -> None:
    def dropped(seed: int) -> list[int]:
        with ThrottlingServer(1, 50, 100, seed=seed) as server, held(server, 1):
            numbers = []
            for number in range(40):
                with connect(server) as connection:
                    if heard(connection) == EXCEEDED:
                        numbers.append(number)
                assert server.settle(1)
            return numbers

    assert dropped(1) == dropped(1) != dropped(2)


def test_below_start_nothing_is_drawn_and_nothing_dropped() -> None:
    with ThrottlingServer(3, 100, 5, seed=7) as server:
        for _ in range(2):
            with held(server, 3):
                assert (server.startups, server.dropped) == (3, 0)
        assert (server.served, server.dropped) == (6, 0)
        assert server.random.random() == random.Random(7).random()


def test_a_rate_of_100_drops_everything_from_start_on() -> None:
    with ThrottlingServer(3, 100, 50) as server, held(server, 3):
        for dropped in range(1, 21):
            with connect(server) as connection:
                assert rest(connection) == EXCEEDED
            assert (server.startups, server.served, server.dropped) == (3, 3, dropped)


def test_a_slot_is_free_when_its_client_has_gone() -> None:
    with ThrottlingServer(2, 100, 2) as server, held(server, 2) as connections:
        with connect(server) as refused:
            assert rest(refused) == EXCEEDED
        connections.pop().close()
        assert server.settle(1)
        connections.append(connect(server))
        assert heard(connections[-1]) == BANNER
        with connect(server) as refused:
            assert rest(refused) == EXCEEDED


def test_a_slot_is_free_when_its_client_has_reset_the_connection() -> None:
    with ThrottlingServer(1, 100, 1) as server:
        connection = connect(server)
        assert heard(connection) == BANNER
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        assert server.settle(0)


def test_a_client_that_never_logs_in_is_sent_away_after_the_grace_time() -> None:
    server = ThrottlingServer(1, 100, 1)
    server.login_grace_time = 0.2
    with server, connect(server) as connection:
        assert rest(connection) == BANNER
        assert server.settle(0)


@pytest.mark.parametrize("cut", [1, 8, len(CLIENT_IDENTIFICATION) - 1, len(CLIENT_IDENTIFICATION)])
def test_a_client_line_in_any_pieces_is_answered_by_one_kexinit(cut: int) -> None:
    with ThrottlingServer(1, 100, 1) as server, connect(server) as connection:
        assert heard(connection) == BANNER
        # Our KEXINIT behind it changes nothing, nor does anything after it.
        for piece in (CLIENT_IDENTIFICATION[:cut], CLIENT_IDENTIFICATION[cut:] + packet(kexinit.build()), b"SSH-\n"):
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        taken = take_packet(rest(connection))
    assert taken is not None
    assert kexinit.parse(taken[0]).host_key[0] == b"ssh-ed25519"
    assert taken[1] == b""


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n", b"\n", b"S" * 8192], ids=["http", "empty", "endless"])
def test_a_line_that_is_no_identification_is_answered_in_text(line: bytes) -> None:
    with ThrottlingServer(1, 100, 1) as server, connect(server) as connection:
        assert heard(connection) == BANNER
        connection.sendall(line)
        assert rest(connection) == b"Invalid SSH identification string.\r\n"
        assert server.settle(0)


@pytest.mark.parametrize(
    ("software", "text"),
    [
        ("OpenSSH_8.1", ""),
        ("OpenSSH_8.2p1 Ubuntu-4ubuntu0.11", "Exceeded MaxStartups"),
        ("OpenSSH_9.2p1 Demo", "Exceeded MaxStartups"),
        ("OpenSSH_9.7", "Exceeded MaxStartups"),
        ("OpenSSH_9.8", "Not allowed at this time"),
        ("OpenSSH_10.0p2 Debian-7", "Not allowed at this time"),
        ("Something_else", "Exceeded MaxStartups"),
    ],
)
def test_a_dropped_connection_is_told_what_that_openssh_says(software: str, text: str) -> None:
    assert refusal_of(software) == text
    with ThrottlingServer(1, 100, 1, software=software) as server, connect(server) as first:
        assert heard(first) == f"SSH-2.0-{software}\r\n".encode()
        with connect(server) as second:
            assert rest(second) == (f"{text}\r\n".encode() if text else b"")


def test_a_server_leaves_no_descriptor_and_no_thread_even_with_clients_connected() -> None:
    def open_now() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    before = open_now()
    with ThrottlingServer(2, 100, 2) as server:
        clients = [connect(server) for _ in range(3)]
        assert [heard(client) for client in clients] == [BANNER, BANNER, EXCEEDED]
    for client in clients:
        client.close()
    assert open_now() == before
    with pytest.raises(ConnectionRefusedError):
        connect(server)


@pytest.fixture(scope="module")
def shown() -> subprocess.CompletedProcess[str]:
    return demo()


def test_the_demo_shows_six_real_runs(shown: subprocess.CompletedProcess[str]) -> None:
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    titles = re.findall(r"^(\d\. .+)\n-+$", shown.stdout, re.MULTILINE)
    assert titles == [
        "1. Healthy", "2. Throttled", "3. The same for a person", "4. The same for a program", "5. Full",
        "6. On the server itself",
    ]  # fmt: skip
    commands = [line for line in lines if line.startswith("$ ")]
    first = f"$ {sys.executable} -m check_ssh_exchange -H 127.0.0.1 -p "
    assert [re.sub(r"(-p) \d+", r"\1 PORT", line) for line in commands] == [
        f"{first}PORT",
        f"{first}PORT",
        f"{first}PORT --explain",
        f"{first}PORT --output-format json",
        f"{first}PORT",
        f"$ {sys.executable} -m check_ssh_exchange.host",
    ]
    firsts = [lines[number + 1] for number, line in enumerate(lines) if line.startswith("$ ")]
    answers = [re.sub(r" \|.*|, banner .*", "", first) for first in firsts[:2]]
    answers.append(next(re.sub(r" \|.*", "", line) for line in lines if line.startswith("SSH CRITICAL - ")))
    assert answers == [
        "SSH OK - OpenSSH_9.2p1 (protocol 2.0), 5/5 handshakes",
        'SSH WARNING - 2 of 6 handshakes turned away: MaxStartups throttling, "Exceeded MaxStartups"',
        'SSH CRITICAL - 5 of 5 handshakes turned away: MaxStartups throttling, "Exceeded MaxStartups"',
    ]
    told = [line.removeprefix("exit code ") for line in lines if line.startswith("exit code ")]
    assert told[:-1] == ["0", "1", "1", "1", "2"]
    # Whether this machine has an sshd, and which other tests run now, nobody knows here.
    (local,) = (line for line in lines if line.startswith("SSHD "))
    assert local.split()[1] == ("OK", "WARNING", "CRITICAL", "UNKNOWN")[int(told[-1])]
    assert "Handshakes, each from its SYN to its end" in lines
    assert "What to do" in lines
    document = json.loads(shown.stdout[shown.stdout.index("\n{\n") : shown.stdout.index("\n}\n") + 2])
    assert document["diagnosis"]["cause"] == "maxstartups"
    assert [handshake["text"] for handshake in document["handshakes"]] == ["Exceeded MaxStartups"]
    assert lines[-1].endswith("bin/check_ssh_exchange -H your.host")


def test_our_own_text_has_at_most_100_columns(shown: subprocess.CompletedProcess[str]) -> None:
    lines = shown.stdout.splitlines()
    # The plugin's lines and the command are as long as they are.
    ours = re.compile(r"\$ |SSHD? [A-Z]+ - |(evidence|cause|server|could also be|on the server|note): | +\"")
    assert [line for line in lines if not ours.match(line) and len(line) > 100] == []


def test_a_run_that_ends_otherwise_than_it_must_is_one_sentence_and_exit_1(tmp_path: Path) -> None:
    (tmp_path / "nagiosplugin.py").write_text("raise ModuleNotFoundError('gone', name='nagiosplugin')\n")
    failed = demo(PYTHONPATH=str(tmp_path))
    assert failed.stderr == "demo: the exit code of part 1. Healthy is 3 instead of 0\n"
    assert failed.returncode == 1
    assert failed.stdout.endswith(
        "nagiosplugin is missing: pip install nagiosplugin, or Debian's python3-nagiosplugin\nexit code 3\n"
    )


def test_ctrl_c_ends_the_demo_without_a_traceback() -> None:
    # subprocess.run() kills its child then and does not wait for it, of which -W error would complain.
    command = [*PYTHON, "-m", "check_ssh_exchange.demo"]
    with subprocess.Popen(command, cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("A server on 127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (130, "\ndemo: interrupted\n")


def test_a_reader_that_goes_away_makes_no_traceback() -> None:
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=SECONDS) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    with serving("--max-startups", "1:100:1", "--text", "Come back later") as (process, line, port):
        assert line == f"SSH-2.0-OpenSSH_9.2p1 Demo on 127.0.0.1:{port}, MaxStartups 1:100:1; Ctrl-C ends it\n"
        with socket.create_connection(("127.0.0.1", int(port)), timeout=SECONDS) as first:
            assert heard(first) == BANNER
            with socket.create_connection(("127.0.0.1", int(port)), timeout=SECONDS) as second:
                assert rest(second) == b"Come back later\r\n"
            process.send_signal(number)
            assert process.communicate(timeout=SECONDS) == ("1 connections served, 1 dropped\n", "")
        assert process.returncode == 0


def test_serve_announces_another_release_and_throttles_the_plugin() -> None:
    with serving("--max-startups", "2", "--software", "OpenSSH_10.0p2") as (_, line, port):
        assert line == f"SSH-2.0-OpenSSH_10.0p2 on 127.0.0.1:{port}, MaxStartups 2:100:2; Ctrl-C ends it\n"
        command = [sys.executable, "-m", "check_ssh_exchange", "-H", "127.0.0.1", "-p", port, "--output-format", "json"]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    document = json.loads(told.stdout)
    assert [shown["ending"] for shown in document["handshakes"] if shown["role"] == "baseline"] == ["completed"]
    burst = sorted(shown["ending"] for shown in document["handshakes"] if shown["role"] == "burst")
    assert burst == ["completed", "completed", "turned_away", "turned_away"]
    assert {shown["text"] for shown in document["handshakes"]} == {None, "Not allowed at this time"}


@pytest.mark.skipif(shutil.which("ssh-keyscan") is None, reason="ssh-keyscan is not installed")
def test_serve_is_an_ssh_server_to_ssh_keyscan() -> None:
    with serving("--max-startups", "3:50:6") as (process, _, port):
        command = ["ssh-keyscan", "-T", "2", "-t", "ed25519", "-p", port, "127.0.0.1"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        # It goes on to the key exchange, which our server does not have, and gives up in silence.
        assert (told.stdout + told.stderr).splitlines()[:1] == [f"# 127.0.0.1:{port} SSH-2.0-OpenSSH_9.2p1 Demo"]
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=SECONDS) == ("1 connections served, 0 dropped\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--port 2222", "the options are for --serve"),
        ("--bogus", "unrecognized arguments: --bogus"),
        ("--serve --port 65536", "65536 is not a valid port"),
        ("--serve --port -1", "-1 is not a valid port"),
        ("--serve --port ssh", "argument --port: invalid int value: 'ssh'"),
        ("--serve --max-startups many", "'many' is not a valid MaxStartups setting, as in 10:30:100 or 12"),
        ("--serve --text a\nb", "--software and --text are one line each"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(arguments: str, sentence: str) -> None:
    ended = demo(*arguments.split(" "))
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"demo: {sentence} (-h lists the options)\n")


def test_a_port_in_use_is_one_sentence_and_exit_1() -> None:
    with ThrottlingServer(1, 100, 1) as server:
        ended = demo("--serve", "--port", str(server.port))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"demo: .*Address already in use.*\n", ended.stderr)
