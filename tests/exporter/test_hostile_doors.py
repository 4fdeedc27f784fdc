"""Input that means no good, at every door: no 500, no traceback, no probe, and memory that stays as it is."""

import http.client
import json
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from tests.lab import gearmand
from tests.lab.gearmand import HOST, Core

from .program import Program, running, wait_for

SECONDS = 100.0
QUEUE, KEY = "servicegroup_ssh", "a secret of the lab"
DICE = random.Random(20261128)  # the same bytes in each run
MOST_GROWTH = 16 << 10  # KiB
NEED_GEARMAND = pytest.mark.skipif(gearmand.missing() is not None, reason=gearmand.missing() or "")


def resident(exporter: Program) -> int:
    """The exporter's memory in KiB."""
    status = Path(f"/proc/{exporter.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@contextmanager
def unhurt(exporter: Program) -> Iterator[None]:
    """The exporter goes on, says nothing of a failure, has probed nothing and has not grown much."""
    before, begun = resident(exporter), len(exporter.log)
    yield
    assert exporter.get("/-/ready").status == 200
    log = exporter.log[begun:]
    assert "Traceback" not in log, log[-3000:]
    assert "msg=unhandled" not in log
    assert exporter.metrics().value("ssh_exchange_exporter_probes_total", origin="check") == 0
    assert resident(exporter) < before + MOST_GROWTH


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("hostile"), "allowed_targets: [allowed.example]\n") as program:
        yield program


def answer(exporter: Program, body: bytes, name: str = "c") -> str:
    """The answer to a body: always 200, always UNKNOWN."""
    reply = exporter.post(f"/v1/checker?command={name}", body, SECONDS)
    assert reply.status == 200, (body[:100], reply.text)
    ((_, said),) = json.loads(reply.text).items()
    assert said["exitcode"] == 3, (body[:100], said)
    assert said["checkresult"].startswith("SSH UNKNOWN - "), said
    return str(said["checkresult"])


BODIES = {
    "empty": b"",
    "a list": b"[]",
    "a number": b"1e999",
    "NaN": b'{"-t": NaN}',
    "infinite": b'{"-t": Infinity, "-H": "h"}',
    "digits": b'{"-p": ' + b"9" * 5000 + b"}",
    "deep lists": b"[" * 30_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "lists in lists": b'{"-H": [["a"]]}',
    "many keys": json.dumps({f"-{number}": True for number in range(5000)}).encode(),
    "many values": json.dumps({"-S": ["127.0.0.1"] * 5000}).encode(),
    "NUL": b'{"-H": "a\\u0000b"}',
    "half a surrogate": b'{"-H": "\\ud800"}',
    "half a surrogate as option": b'{"\\udcff": true}',
    "not UTF-8": b'{"-H": "\xff\xfe"}',
    "UTF-16": '{"-H": "a"}'.encode("utf-16"),
    "twice": b'{"-H": "a", "-H": "b"}',
    "a host that is an option": b'{"-H": "--state-file=/etc/passwd"}',
    "a file by an abbreviation": b'{"-H": "a", "--state": "/etc/passwd"}',
    "a file behind =": b'{"-H": "a", "--extra-opts=x@/etc/passwd": true}',
    "a value that is a file": b'{"-H": "a", "-t": "--extra-opts=x@/etc/passwd"}',
    "a control character": b'{"-H": "a\\u001b[31m"}',
    "a target that is not allowed": b'{"-H": "127.0.0.1"}',
    "markup": b'{"-H": "<script>"}',
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_check_is_unknown_with_a_sentence(exporter: Program, name: str) -> None:
    with unhurt(exporter):
        said = answer(exporter, BODIES[name])
    assert "internal error" not in said


def test_random_bodies_and_names_are_answered(exporter: Program) -> None:
    with unhurt(exporter):
        for _ in range(300):
            answer(exporter, DICE.randbytes(DICE.randrange(2000)), quote_from_bytes(DICE.randbytes(20)) or "c")


def test_thousands_of_distinct_command_lines_cost_little_memory(exporter: Program) -> None:
    with unhurt(exporter):
        connection = http.client.HTTPConnection(HOST, exporter.port, timeout=SECONDS)
        for number in range(2000):
            options = {"-H": "127.0.0.1", "-r": f"{number}-{'é' * (3000 if number % 2 else 100)}"}
            connection.request("POST", "/v1/checker?command=c", json.dumps(options))
            assert b"not among the allowed targets" in connection.getresponse().read()
        connection.close()


def test_huge_and_slow_bodies_keep_nobody_waiting(exporter: Program) -> None:
    head = b"POST /v1/checker?command=c HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    with unhurt(exporter):
        slow = [socket.create_connection((HOST, exporter.port), SECONDS) for _ in range(50)]
        for client in slow:
            client.sendall(head % 60_000 + b"{")
        for size in (70_000, 10 << 20):
            with suppress(ConnectionError):
                assert "too large" in answer(exporter, b"x" * size)
        with socket.create_connection((HOST, exporter.port), SECONDS) as liar:
            liar.sendall(head % (1 << 40) + b"x" * 1000)
            assert answer(exporter, b"{}")
        for client in slow:
            client.close()


# --- Mod-Gearman


def configuration(place: Path, port: int) -> str:
    (place / "key").write_text(f"{KEY}\n")
    gearman = {"servers": [f"{HOST}:{port}"], "queues": [QUEUE], "key_file": "key"}
    return json.dumps({"allowed_targets": ["allowed.example"], "gearman": gearman})


@pytest.mark.real
@NEED_GEARMAND
def test_payloads_of_every_kind_are_refused_or_failed(tmp_path: Path) -> None:
    texts = [
        "", "type=service", "\0", "type=service\n" * 1000, "=\n=\n=", "type=service\nresult_queue=check_results\n",
        "type=service\nresult_queue=check_results\nhost_name=h\ncore_time=1e999\ntimeout=nan\ncommand_line=x\n",
        "type=service\nresult_queue=" + "q" * 3000 + "\nhost_name=h\ncommand_line=check_ssh_exchange -H h\n",
        "type=service\nresult_queue=check_results\nhost_name=a\r\nb\ncommand_line='\n",
        "type=service\nresult_queue=check_results\nhost_name=h\ncommand_line=check_ssh_exchange " + "-v " * 9000 + "\n",
    ]  # fmt: skip
    with ExitStack() as stack:
        port, _ = stack.enter_context(gearmand.gearmand(tmp_path))
        exporter = stack.enter_context(running(tmp_path, configuration(tmp_path, port)))
        core = stack.enter_context(Core(port, QUEUE, KEY))
        wait_for(lambda: core.status()[2] == 1, SECONDS)
        results: list[dict[str, str]] = []
        with unhurt(exporter):
            for _ in range(100):
                core.submit_payload(DICE.randbytes(DICE.randrange(1, 3000)).replace(b"\0", b""))
                core.submit_payload(core.wrap(DICE.randbytes(90).decode("latin-1")))
            for text in texts:
                core.submit_payload(core.wrap(text))
            core.submit("last", "check_ssh_exchange -H 127.0.0.1")
            while not results or results[-1].get("service_description") != "last":
                found = core.result()
                assert found is not None, exporter.log[-2000:]
                results.append(found)
        assert {one["return_code"] for one in results} == {"3"}
        assert "not among the allowed targets" in results[-1]["output"]


PACKETS = {
    "random": DICE.randbytes(4000),
    "no magic": b"GET / HTTP/1.1\r\n\r\n",
    "a length that never comes": b"\0RES" + struct.pack(">II", 31, 0xFFFFFFFF) + b"x" * 100_000,
    "too short": b"\0RES" + struct.pack(">II", 31, 3) + b"a\0b",
    "jobs without end": (b"\0RES" + struct.pack(">II", 31, 12) + b"H:1\0q\0u\0abcd") * 2000,
    "unknown types": b"".join(b"\0RES" + struct.pack(">II", number, 2) + b"xx" for number in range(200)),
    "NOOP without end": (b"\0RES" + struct.pack(">II", 6, 0)) * 20_000,
    "half a header": b"\0RE",
}


@pytest.mark.parametrize("name", PACKETS)
def test_a_server_that_speaks_no_gearman_is_left_and_tried_again(tmp_path: Path, name: str) -> None:
    served = 0
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            nonlocal served
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, suppress(OSError):
                        client.settimeout(2.0)
                        client.sendall(PACKETS[name])
                        client.shutdown(socket.SHUT_WR)
                        while client.recv(1 << 16):
                            pass
                    served += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with running(tmp_path, configuration(tmp_path, listener.getsockname()[1])) as exporter:
                with unhurt(exporter):
                    wait_for(lambda: served >= 3, SECONDS)
                assert exporter.stop() == 0
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
