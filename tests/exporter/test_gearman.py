"""The worker at a real gearmand: what becomes of jobs, of servers that go away, and of the worker itself."""

import json
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.lab import front_door
from tests.lab.fake_sshd import FIN, HEALTHY, FakeSshd
from tests.lab.gearmand import HOST, RESULTS, Core, gearmand, missing
from tests.lab.zoo import free_port

from .program import Program, running, wait_for

pytestmark = pytest.mark.real
QUEUE = "servicegroup_ssh"
KEY = "a shared secret that is longer than 32 bytes"
PROGRAM = "/usr/lib/nagios/plugins/check_ssh_exchange"
SECONDS = 60.0
MARGIN = 20.0  # seconds that a machine under load may be behind a timeout
NEVER_SLOW = " ".join(front_door.NEVER_SLOW)
# Longer than a busy machine takes for what is done while a check is in work; its server ends the check by closing.
HELD = "-t 100 -n 1"


@pytest.fixture(autouse=True, scope="module")
def _need_gearmand() -> None:
    if reason := missing():
        pytest.skip(reason)


def configuration(place: Path, *ports: int, **more: Any) -> str:
    (place / "key").write_text(f"{KEY}\n")
    servers = [f"{HOST}:{port}" for port in ports]
    gearman = {"servers": servers, "queues": [QUEUE], "key_file": "key", "identifier": "lab", **more}
    return json.dumps({"gearman": gearman})


class Lab(NamedTuple):
    """A gearmand, the core at it, and the exporter as its worker."""

    core: Core
    exporter: Program

    def fates(self) -> dict[str, float]:
        samples = self.exporter.metrics()
        name = "ssh_exchange_exporter_gearman_jobs_total"
        return {labels["fate"]: samples.value(name, **labels) for labels in samples.labels(name)}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as stack:
        port, _ = stack.enter_context(gearmand(tmp_path))
        exporter = stack.enter_context(running(tmp_path, configuration(tmp_path, port)))
        core = stack.enter_context(Core(port, QUEUE, KEY))
        wait_for(lambda: core.status()[2] == 1, SECONDS)
        yield Lab(core, exporter)


@pytest.fixture
def healthy() -> Iterator[int]:
    with FakeSshd(HEALTHY) as server:
        yield server.port


class Silent(NamedTuple):
    """A server that accepts nothing; what waits for it is reset when it closes."""

    listening: socket.socket

    @property
    def port(self) -> int:
        port: int = self.listening.getsockname()[1]
        return port

    def close(self) -> None:
        self.listening.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    with socket.create_server((HOST, 0), backlog=500) as listening:
        yield Silent(listening)


def is_shut(exporter: Program) -> bool:
    """Return whether the exporter takes no connection any more: from then on it takes no job either."""
    try:
        socket.create_connection((HOST, exporter.port), SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_job_is_answered_into_its_result_queue(lab: Lab, healthy: int) -> None:
    lab.core.submit("SSH exchange", f"{PROGRAM} -H '{HOST}' -p {healthy} {NEVER_SLOW} -v")
    found = lab.core.result()
    assert found is not None
    assert list(found) == [
        "type", "host_name", "service_description", "core_start_time", "start_time", "finish_time", "return_code",
        "exited_ok", "source", "output",
    ]  # fmt: skip
    assert (found["type"], found["host_name"], found["service_description"]) == ("active", "web", "SSH exchange")
    assert (found["return_code"], found["exited_ok"], found["source"]) == ("0", "1", "ssh_exchange_exporter @ lab")
    assert float(found["core_start_time"]) <= float(found["start_time"]) <= float(found["finish_time"])
    first, *details = found["output"].split("\\n")
    assert re.fullmatch(r"SSH OK - FakeSSH_1\.0 .* \| handshakes=5;;;0 completed=5;;;0 .*", first)
    assert "cause: healthy (certain)" in details


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("LC_ALL=C check_ssh_exchange -H 127.0.0.1 -p PORT", "2", "SSH CRITICAL - 5 of 5 handshakes closed"),
        ("check_disk -w 10%", "3", "SSH UNKNOWN - this worker runs check_ssh_exchange only, not check_disk"),
        ("check_ssh_exchange -H $(id)", "3", "SSH UNKNOWN - '$' in the command line needs a shell"),
        ("check_ssh_exchange -H h --state-file /tmp/x", "3", "SSH UNKNOWN - --state-file names a file"),
        ("check_ssh_exchange --bogus", "3", "SSH UNKNOWN - unrecognized arguments: --bogus (--help lists the options)"),
    ],
)
def test_a_command_line_is_run_or_refused(lab: Lab, command: str, code: str, output: str) -> None:
    with FakeSshd([FIN]) as closing:
        lab.core.submit("any", command.replace("PORT", str(closing.port)))
        found = lab.core.result()
    assert found is not None
    assert found["return_code"] == code
    assert found["output"].startswith(output)


def test_a_job_older_than_its_timeout_is_not_run(lab: Lab, healthy: int) -> None:
    lab.core.submit("old", f"{PROGRAM} -H {HOST} -p {healthy}", timeout=5, age=60.0)
    found = lab.core.result()
    assert found is not None
    assert found["return_code"] == "3"
    assert re.fullmatch(
        r"SSH UNKNOWN - the job waited 6\d s in its queue, longer than its timeout of 5 s", found["output"]
    )
    assert lab.fates()["late"] == 1
    assert lab.exporter.metrics().value("ssh_exchange_exporter_probes_total", origin="check") == 0


def test_a_check_ends_before_the_jobs_timeout(lab: Lab, silent: Silent) -> None:
    lab.core.submit("short", f"{PROGRAM} -H {HOST} -p {silent.port} -t 100 -n 1", timeout=3)
    found = lab.core.result()
    assert found is not None
    assert float(found["finish_time"]) - float(found["start_time"]) < 3.0 + MARGIN
    assert found["output"].startswith("SSH CRITICAL - ")


def test_a_payload_of_another_key_fails_and_is_logged(lab: Lab, healthy: int) -> None:
    with Core(lab.core.port, QUEUE, "another key") as stranger:
        stranger.submit("wrong", f"{PROGRAM} -H {HOST} -p {healthy}")
        stranger.submit_payload(b"\x00not base64")
        stranger.submit_payload(stranger.wrap("x" * 200_000))  # longer than a job of ours
        wait_for(lambda: lab.fates()["unreadable"] == 3, SECONDS)
    # Failed, so gearmand gives them to nobody again.
    wait_for(lambda: lab.core.status()[:2] == (0, 0), SECONDS)
    log = lab.exporter.log
    assert "is the key the same as the core's?" in log
    assert lab.core.result(0.5) is None


def test_what_wants_no_answer_gets_none(lab: Lab) -> None:
    lab.core.submit_payload(lab.core.wrap("type=notification\ncommand_line=mail\n\n"))
    wait_for(lambda: lab.fates()["unwanted"] == 1, SECONDS)
    assert lab.core.result(0.5) is None


def test_many_jobs_are_in_work_at_once_on_one_connection(lab: Lab) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(30)]
        for number, server in enumerate(servers):
            command = f"{PROGRAM} -H {HOST} -p {server.getsockname()[1]} {HELD}"
            lab.core.submit(f"s{number}", command, timeout=200)
        wait_for(lambda: lab.core.status()[1] == 30, SECONDS)
        stack.close()
        found = [lab.core.result() for _ in servers]
    assert {one["service_description"] for one in found if one} == {f"s{number}" for number in range(30)}


def test_no_more_jobs_are_taken_than_there_is_room_for(tmp_path: Path) -> None:
    with gearmand(tmp_path) as (port, _), ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(8)]
        stack.enter_context(running(tmp_path, configuration(tmp_path, port, jobs=3)))
        core = stack.enter_context(Core(port, QUEUE, KEY))
        for number, server in enumerate(servers):
            command = f"{PROGRAM} -H {HOST} -p {server.getsockname()[1]} {HELD}"
            core.submit(f"s{number}", command, timeout=200)
        wait_for(lambda: core.status()[1] >= 3, SECONDS)
        assert core.status() == (8, 3, 1)
        for server in servers:
            server.close()
        assert len([one for _ in servers if (one := core.result())]) == 8


def test_the_status_queue_says_what_check_gearman_reads(lab: Lab) -> None:
    said = lab.core.ask("worker_lab")
    assert re.fullmatch(
        r"lab has 256 worker and is working on 0 jobs\. Version: ssh_exchange_exporter [\d.]+\|"
        r"worker=256;;;1;256 jobs=0c",
        said,
    )


# --- servers and the worker come and go


def test_a_gearmand_that_was_killed_is_served_again_and_nothing_in_work_is_lost(
    tmp_path: Path, healthy: int, silent: Silent
) -> None:
    port = free_port(HOST)
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        _, process = first.enter_context(gearmand(tmp_path, port))
        exporter = stack.enter_context(running(tmp_path, configuration(tmp_path, port)))
        with Core(port, QUEUE, KEY) as core:
            core.submit("in work", f"{PROGRAM} -H {HOST} -p {silent.port} {HELD}", timeout=200)
            wait_for(lambda: core.status()[1] == 1, SECONDS)
        process.kill()
        process.wait()
        first.close()
        silent.close()
        stack.enter_context(gearmand(tmp_path, port))
        with Core(port, QUEUE, KEY) as core:
            found = core.result()
            assert found is not None
            assert found["service_description"] == "in work"
            wait_for(lambda: core.status()[2] == 1, SECONDS)
            core.submit("after", f"{PROGRAM} -H {HOST} -p {healthy}")
            after = core.result()
            assert after is not None
            assert after["service_description"] == "after"
        assert exporter.metrics().value("ssh_exchange_exporter_gearman_results_lost_total") == 0
        assert "gearmand lost" in exporter.log


def test_two_servers_are_served_and_each_gets_its_own_results(tmp_path: Path, healthy: int) -> None:
    ports = free_port(HOST), free_port(HOST)
    with ExitStack() as stack:
        exporter = stack.enter_context(running(tmp_path, configuration(tmp_path, *ports)))
        # Neither is there yet, the second comes first.
        for port in reversed(ports):
            stack.enter_context(gearmand(tmp_path, port))
            core = stack.enter_context(Core(port, QUEUE, KEY))
            wait_for(lambda core=core: core.status()[2] == 1, SECONDS)  # type: ignore[misc]
            core.submit(f"at {port}", f"{PROGRAM} -H {HOST} -p {healthy} --exempt")
            found = core.result()
            assert found is not None
            assert found["service_description"] == f"at {port}"
        up = "ssh_exchange_exporter_gearman_connected"
        assert exporter.metrics().values(up) == [1.0, 1.0]


def test_a_result_whose_server_is_gone_goes_to_the_other(tmp_path: Path, silent: Silent) -> None:
    ports = free_port(HOST), free_port(HOST)
    with ExitStack() as stack:
        _, process = stack.enter_context(gearmand(tmp_path, ports[0]))
        stack.enter_context(gearmand(tmp_path, ports[1]))
        stack.enter_context(running(tmp_path, configuration(tmp_path, *ports)))
        with Core(ports[0], QUEUE, KEY) as core:
            core.submit("moved", f"{PROGRAM} -H {HOST} -p {silent.port} {HELD}", timeout=200)
            wait_for(lambda: core.status()[1] == 1, SECONDS)
        process.kill()
        process.wait()
        silent.close()
        other = stack.enter_context(Core(ports[1], QUEUE, KEY))
        found = other.result()
        assert found is not None
        assert found["service_description"] == "moved"


def test_after_sigterm_jobs_at_hand_are_finished_and_no_more_are_taken(lab: Lab, silent: Silent) -> None:
    lab.core.submit("at hand", f"{PROGRAM} -H {HOST} -p {silent.port} {HELD}", timeout=200)
    wait_for(lambda: lab.core.status()[1] == 1, SECONDS)
    lab.exporter.process.send_signal(signal.SIGTERM)
    wait_for(lambda: is_shut(lab.exporter), SECONDS)  # that it is stopping is logged before
    lab.core.submit("not taken", f"{PROGRAM} -H {HOST} -p {silent.port}")
    silent.close()
    found = lab.core.result()
    assert found is not None
    assert found["service_description"] == "at hand"
    assert lab.exporter.process.wait(SECONDS) == 0
    wait_for(lambda: lab.core.status() == (1, 0, 0), SECONDS)  # for another worker
    assert lab.core.result(0.5) is None


def test_a_reload_moves_the_worker_to_another_queue(lab: Lab, tmp_path: Path, healthy: int) -> None:
    text = configuration(tmp_path, lab.core.port).replace(QUEUE, "another")
    (tmp_path / "config.yml").write_text(text)
    lab.exporter.process.send_signal(signal.SIGHUP)
    wait_for(lambda: lab.core.status("another")[2] == 1 and lab.core.status()[2] == 0, SECONDS)
    with Core(lab.core.port, "another", KEY) as core:
        core.submit("moved", f"{PROGRAM} -H {HOST} -p {healthy}")
        found = core.result()
        assert found is not None
        assert found["service_description"] == "moved"


def test_clear_text_is_spoken_where_the_core_does(tmp_path: Path, healthy: int) -> None:
    gearman = {"queues": [QUEUE], "encryption": False}
    with gearmand(tmp_path) as (port, _):
        text = json.dumps({"gearman": gearman | {"servers": [f"{HOST}:{port}"]}})
        with running(tmp_path, text), Core(port, QUEUE, None) as core:
            core.submit("clear", f"{PROGRAM} -H {HOST} -p {healthy} {NEVER_SLOW}")
            found = core.result()
            assert found is not None
            assert found["return_code"] == "0"
            wait_for(lambda: core.status(RESULTS)[0] == 0, SECONDS)  # asked by another connection, it may come first
