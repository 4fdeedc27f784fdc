"""What befalls a fleet's exporter: servers that hang, files that change, a spool that fills, clients that leave.

Each is short here. `python -m faults.fleet` has them in full length, and prints figures.
"""

import http.client
import json
import os
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from faults import clock, hanging, leaks
from faults.jobs import address, silent
from tests.lab import busy_server

from .program import Program, Samples, running, wait_for

SECONDS = 100.0
HOST = "127.0.0.1"
IN_FLIGHT = "ssh_exchange_exporter_probes_in_flight"
MOST_GROWTH = 12 << 10  # KiB; 100,000 probes take 8 MiB more than 10,000 do


def assert_nothing_failed(exporter: Program) -> None:
    assert exporter.get("/-/ready").status == 200
    for words in ("Traceback", "msg=unhandled", "level=error"):
        assert words not in exporter.log, exporter.log[-3000:]


def descriptors(exporter: Program) -> int:
    return len(os.listdir(f"/proc/{exporter.process.pid}/fd"))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A port of every loopback address where a server answers."""
    with busy_server.answering() as server:
        yield server.port


# --- servers and files


def test_a_tenth_of_the_fleet_hangs_and_the_others_keep_their_interval(tmp_path: Path) -> None:
    found = hanging.watch(tmp_path, 60, 2.0, 12.0)
    assert found.hung > 0
    assert len(found.probes) == 54
    # Six turns are due. A machine that stands still for five seconds costs three: turns that are missed are not made
    # up for. Behind one that hangs for ten seconds there would be one.
    assert found.fewest >= 0.4, found
    assert found.lateness < 2.0, found


def test_target_files_that_change_each_second_lose_no_counter(tmp_path: Path, port: int) -> None:
    stays = f"{address(0)}:{port}"
    (tmp_path / "targets").mkdir()

    def write(number: int) -> None:
        """Others come and go around the one that stays; each fourth time the file is cut off."""
        others = [f"{address(other)}:{port}" for other in range(1 + number, 20 + number)]
        text = json.dumps([{"targets": [stays, *others]}])
        (tmp_path / "targets" / "fleet.json").write_text(text if number % 4 else text[: len(text) // 2])

    write(1)
    text = (
        "modules: {default: {depth: banner, handshakes: 1, exempt: true}}\n"
        "background: [{target_files: ['targets/*.json'], interval: 1s}]\n"
    )
    with running(tmp_path, text) as exporter:
        over = threading.Event()

        def rewrite() -> None:
            number = 1
            while not over.wait(1.0):
                write(number := number + 1)

        thread = threading.Thread(target=rewrite)
        thread.start()
        try:
            counts = [wait_for(lambda: exporter.completed(stays), SECONDS)]
            until = time.monotonic() + 12
            while time.monotonic() < until:
                counts.append(exporter.completed(stays))
                assert exporter.metrics().value("ssh_exchange_exporter_background_targets") == 20
        finally:
            over.set()
            thread.join()
        assert counts == sorted(counts)
        assert counts[-1] > counts[0]
        write(1)
        wait_for(lambda: exporter.metrics().value("ssh_exchange_exporter_target_files_failed") == 0, SECONDS)
        assert "Traceback" not in exporter.log


def test_a_full_spool_costs_older_results_only_and_each_is_counted(tmp_path: Path, port: int) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    for number in range(32):
        (spool / f"cFULL{number:02}").touch()
    text = json.dumps({
        "modules": {"default": {"depth": "banner", "handshakes": 1, "exempt": True}},
        "background": [{"targets": [f"{address(n)}:{port}" for n in range(20)], "interval": "1s"}],
        "feeds": [{"nagios": {"check_result_directory": "spool", "service": "SSH"}}],
    })  # fmt: skip
    name = "ssh_exchange_exporter"
    with running(tmp_path, text) as exporter:
        wait_for(lambda: exporter.metrics().value(f"{name}_results_replaced_total") > 20, SECONDS)
        full = exporter.metrics()
        assert (full.value(f"{name}_feeds_failed"), full.value(f"{name}_results_fed_total")) == (1, 0)
        for path in spool.iterdir():
            path.unlink()
        wait_for(lambda: exporter.metrics().value(f"{name}_results_fed_total") >= 20, SECONDS)
        wait_for(lambda: exporter.metrics().value(f"{name}_feeds_failed") == 0, SECONDS)
        exporter.stop()
    # Every probe is in the spool, or was counted as replaced by a newer one.
    text = "".join(path.read_text() for path in spool.iterdir())
    assert Counter(line for line in text.splitlines() if line.startswith("host_name=")).keys() == {
        f"host_name={address(number)}" for number in range(20)
    }


@pytest.mark.skipif(clock.missing() is not None, reason=clock.missing() or "")
def test_a_clock_that_is_set_changes_no_turn_and_no_measurement(tmp_path: Path) -> None:
    for found in clock.watch(tmp_path, (3600, -7200, 0)):
        assert abs(found.ahead - found.step) < 60, found
        assert found.longest_phase < 60.0, found  # a busy machine takes seconds; by the wrong clock it would be hours
        assert "Traceback" not in found.log
        assert "level=error" not in found.log


# --- the process


def test_without_descriptors_checks_are_unknown_and_it_recovers(tmp_path: Path, port: int) -> None:
    with running(tmp_path, prefix=("prlimit", "--nofile=48:48")) as exporter, silent() as silence:
        patient = {"-p": silence, "-n": "9", "-t": "3"}

        def ask(number: int) -> dict[str, object] | None:
            body = json.dumps({"-H": address(number), **patient}).encode()
            try:
                said: dict[str, object] = json.loads(exporter.post("/v1/checker?command=c", body, SECONDS).text)["c"]
            except (ConnectionError, http.client.RemoteDisconnected):
                return None
            return said

        with ThreadPoolExecutor(12) as pool:
            asked = list(pool.map(ask, range(24)))
        told = [one for one in asked if one is not None]
        # A connection that was accepted with the last descriptor makes room for the next one.
        lost = exporter.metrics().value("ssh_exchange_exporter_connections_lost_total")
        assert len(asked) - len(told) <= lost
        codes = {one["exitcode"] for one in told}
        assert 3 in codes, told
        assert codes <= {2, 3}
        short = [str(one["checkresult"]) for one in told if one["exitcode"] == 3]
        assert all("descriptor" in one for one in short), short
        body = json.dumps({"-H": address(90), "-p": port, "--depth": "banner"}).encode()
        wait_for(lambda: exporter.metrics().value(IN_FLIGHT) == 0, SECONDS)
        said = json.loads(exporter.post("/v1/checker?command=c", body).text)["c"]
        assert said["exitcode"] == 0, said
        assert_nothing_failed(exporter)


def test_a_burst_of_sighup_ends_with_the_last_configuration(tmp_path: Path, port: int) -> None:
    def write(number: int) -> None:
        targets = ", ".join(f"'{address(other)}:{port}'" for other in range(1 + number % 7))
        module = f"default: {{depth: banner, handshakes: 1, exempt: true, timeout: {1000 + number}ms}}"
        fresh = tmp_path / "fresh"
        fresh.write_text(f"modules: {{{module}}}\nbackground: [{{targets: [{targets}], interval: 1s}}]\n")
        fresh.replace(tmp_path / "config.yml")

    write(0)
    with running(tmp_path, (tmp_path / "config.yml").read_text()) as exporter, ExitStack() as held:
        body = json.dumps({"-H": address(0), "-p": held.enter_context(silent()), "-t": "300", "-n": "1"}).encode()
        client = exporter.begin_post("/v1/checker?command=c", body)
        wait_for(lambda: exporter.metrics().value(IN_FLIGHT) >= 1, SECONDS)
        for number in range(50):
            write(number)
            exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "timeout: 1s49ms" in exporter.get("/config").text, SECONDS)
        wait_for(lambda: exporter.metrics().value("ssh_exchange_exporter_background_targets") == 1, SECONDS)
        assert exporter.metrics().value(IN_FLIGHT) >= 1
        held.close()  # the server resets what waits there, and so ends the check: the check under way is not disturbed
        assert json.loads(client.getresponse().read())["c"]["exitcode"] == 2
        client.close()
        assert exporter.metrics().value("ssh_exchange_exporter_config_last_reload_successful") == 1
        before = exporter.completed(f"{address(0)}:{port}")
        wait_for(lambda: exporter.completed(f"{address(0)}:{port}") > before, SECONDS)
        assert_nothing_failed(exporter)


def test_clients_that_reset_in_mid_check_leave_nothing_behind(tmp_path: Path, port: int) -> None:
    with running(tmp_path) as exporter, silent() as silence:
        before = descriptors(exporter)
        clients = []
        for number in range(300):
            client = socket.create_connection((HOST, exporter.port), SECONDS)
            body = json.dumps({"-H": address(number), "-p": silence, "-t": "100"}).encode()
            head = f"POST /v1/checker?command=c HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            clients.append(client)
        wait_for(lambda: exporter.metrics().value(IN_FLIGHT) >= 200, SECONDS)
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        wait_for(lambda: exporter.metrics().value(IN_FLIGHT) == 0, SECONDS)
        wait_for(lambda: descriptors(exporter) <= before + 2, SECONDS)
        body = json.dumps({"-H": address(0), "-p": port, "--depth": "banner"}).encode()
        assert json.loads(exporter.post("/v1/checker?command=c", body).text)["c"]["exitcode"] == 0
        assert_nothing_failed(exporter)


def test_a_scrape_that_is_cut_off_hurts_no_other(tmp_path: Path, port: int) -> None:
    targets = ", ".join(f"'{address(number)}:{port}'" for number in range(200))
    with running(tmp_path, f"background: [{{targets: [{targets}], interval: 600s}}]\n") as exporter:
        for _ in range(20):
            with socket.create_connection((HOST, exporter.port), SECONDS) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                client.recv(100)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert Samples(exporter.get("/metrics").text).value("ssh_exchange_exporter_background_targets") == 200
        assert_nothing_failed(exporter)


def test_thousands_of_probes_leave_memory_and_descriptors_as_they_are(tmp_path: Path) -> None:
    # The first ones fill histories and caches: 600 targets, a module, four command lines each.
    first, *_, last = leaks.watch(tmp_path, 6000, 2000, 300.0)
    assert last.probes >= 6000
    assert last.resident < first.resident + MOST_GROWTH, (first, last)
    assert last.descriptors < leaks.TARGETS  # each that is being probed has two
    assert last.threads <= first.threads + 4  # what a library starts by the first use
