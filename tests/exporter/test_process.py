"""The exporter as a process: flags, reloads, target files, shutdown, logs, and systemd."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.lab.fake_sshd import HEALTHY, FakeSshd

from .program import ROOT, Program, nobody_listens, running, wait_for

SECONDS = 60.0
SUCCESSFUL = "ssh_exchange_exporter_config_last_reload_successful"
SUCCEEDED_AT = "ssh_exchange_exporter_config_last_reload_success_timestamp_seconds"
BROKEN = "modules: {default: {handshakes: many, depth: sea}}\nmystery: 1\n"

Reload = Callable[[Program], None]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program until it exits by itself."""
    return subprocess.run(
        [sys.executable, "-m", "ssh_exchange_exporter", *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "exporter")])},
    )


# --- flags


def test_a_valid_configuration_is_checked_without_serving(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text("max_in_flight: 3\n")
    done = run("--config.check", f"--config.file={tmp_path / 'good.yml'}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "configuration is valid\n", "")


def test_a_check_names_every_error_of_every_file(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("background: [{target_files: [targets.json]}]\n")
    (tmp_path / "targets.json").write_text('[{"targets": ["a b", "c:0"]}]')
    (tmp_path / "web.yml").write_text("unknown_key: 1\n")
    flags = [f"--config.file={tmp_path / 'bad.yml'}", f"--web.config.file={tmp_path / 'web.yml'}"]
    done = run("--config.check", *flags)
    assert (done.returncode, done.stdout) == (1, "")
    for part in (
        "targets.json",
        "a space",
        "c:0" if "c:0" in done.stderr else "0 is not a valid port",
        "web.yml",
        "unknown_key",
    ):
        assert part in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("configuration", "parts"),
    [
        (
            BROKEN,
            ["config.yml", "handshakes", "depth", "must be one of: banner, kexinit, hostkey, kex, login", "mystery"],
        ),
        (None, ["config.yml", "no such file"]),
        ("modules: [", ["config.yml"]),
    ],
)
def test_an_invalid_configuration_is_reported_by_a_check_and_at_startup(
    tmp_path: Path, configuration: str | None, parts: list[str]
) -> None:
    path = tmp_path / "config.yml"
    if configuration is not None:
        path.write_text(configuration)
    for flags in (["--config.check"], ["--web.listen-address=127.0.0.1:0"]):
        done = run(*flags, f"--config.file={path}")
        assert (done.returncode, done.stdout) == (1, "")
        assert [part for part in parts if part not in done.stderr] == []
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--config.fil=a", "unrecognized arguments: --config.fil=a"),
        ("--timeout-offset=-1", "'-1' is not a number of seconds between 0 and 3600"),
        ("--timeout-offset=nan", "'nan' is not a number of seconds between 0 and 3600"),
        ("--history.limit=0", "'0' is not a number between 1 and 100000"),
        ("--history.limit=1e3", "'1e3' is not a number between 1 and 100000"),
        ("--log.level=loud", "invalid choice: 'loud'"),
        ("--log.format=xml", "invalid choice: 'xml'"),
        ("word", "unrecognized arguments: word"),
    ],
)
def test_an_invalid_flag_is_reported_with_the_usage(flag: str, sentence: str) -> None:
    done = run(flag)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: ssh_exchange_exporter" in done.stderr
    assert sentence in done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:99999", "::1:10922", "192.0.2.77:0"])
def test_an_unusable_listen_address_is_reported(address: str) -> None:
    done = run(f"--web.listen-address={address}")
    assert done.returncode == 1
    assert re.search(rf'level=error msg="cannot start" error=.*{re.escape(address)}', done.stderr)
    assert done.stderr.count("\n") == 1


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"ssh_exchange_exporter [0-9][0-9a-z.+]*\n", run("--version").stdout)


# --- reloads


def by_post(program: Program) -> None:
    program.get("/-/reload", method="POST")


def by_signal(program: Program) -> None:
    program.process.send_signal(signal.SIGHUP)


def background(*targets: str, interval: str = "1s") -> str:
    module = "modules: {default: {handshakes: 1, exempt: true}}\n"
    return f"{module}background: [{{targets: {json.dumps(targets)}, interval: {interval}}}]\n"


@pytest.mark.parametrize("reload", [by_post, by_signal])
def test_a_reload_keeps_counters_and_one_that_fails_keeps_everything(tmp_path: Path, reload: Reload) -> None:
    with FakeSshd(HEALTHY) as kept, FakeSshd(HEALTHY) as added:
        targets = [f"127.0.0.1:{server.port}" for server in (kept, added)]
        with running(tmp_path, background(targets[0])) as program:
            wait_for(lambda: program.completed(targets[0]) >= 2, SECONDS)
            in_force = program.get("/config").text
            loaded_at = program.metrics().value(SUCCEEDED_AT)

            (tmp_path / "config.yml").write_text(BROKEN)
            reload(program)
            wait_for(lambda: program.metrics().value(SUCCESSFUL) == 0, SECONDS)
            assert program.get("/config").text == in_force
            assert program.metrics().value(SUCCEEDED_AT) == loaded_at
            assert program.log.count("configuration not reloaded") == 3
            before = program.completed(targets[0])
            assert before >= 2
            wait_for(lambda: program.completed(targets[0]) > before, SECONDS)

            (tmp_path / "config.yml").write_text(background(*targets))
            reload(program)
            wait_for(lambda: program.completed(targets[1]) >= 1, SECONDS)
            after = program.metrics()
            assert program.completed(targets[0]) > before
            assert (after.value(SUCCESSFUL), after.value("ssh_exchange_exporter_background_targets")) == (1, 2)
            assert after.value(SUCCEEDED_AT) > loaded_at

            (tmp_path / "config.yml").write_text(background(targets[1]))
            reload(program)
            wait_for(lambda: not program.metrics().labels("ssh_exchange_handshakes_total", target=targets[0]), SECONDS)
            assert program.completed(targets[1]) >= 1


def test_a_reload_by_post_returns_all_errors(tmp_path: Path) -> None:
    with running(tmp_path, "") as program:
        assert program.get("/-/reload", method="POST").text == "reloaded\n"
        (tmp_path / "config.yml").write_text(BROKEN)
        reply = program.get("/-/reload", method="POST")
        assert (reply.status, reply.text.count("\n")) == (500, 3)
        assert all(word in reply.text for word in ("config.yml", "handshakes", "depth", "mystery"))
        (tmp_path / "config.yml").unlink()
        reply = program.get("/-/reload", method="POST")
        assert (reply.status, reply.text.count("\n")) == (500, 1)
        assert program.metrics().value(SUCCESSFUL) == 0


@pytest.mark.parametrize("reload", [by_post, by_signal])
def test_a_reload_changes_nothing_if_the_web_configuration_is_invalid(tmp_path: Path, reload: Reload) -> None:
    (tmp_path / "web.yml").write_text("{}")
    with running(tmp_path, "modules: {first: {}}", f"--web.config.file={tmp_path / 'web.yml'}") as program:
        (tmp_path / "config.yml").write_text("modules: {second: {}}")
        (tmp_path / "web.yml").write_text("foo: [")
        reload(program)
        wait_for(lambda: program.metrics().value(SUCCESSFUL) == 0, SECONDS)
        assert "first" in program.get("/config").text
        (tmp_path / "web.yml").write_text("{}")
        reload(program)
        wait_for(lambda: program.metrics().value(SUCCESSFUL) == 1, SECONDS)
        assert "second" in program.get("/config").text


# --- target files


def test_target_files_are_watched(tmp_path: Path) -> None:
    path = tmp_path / "targets.json"
    failed = "ssh_exchange_exporter_target_files_failed"

    def listed(program: Program) -> set[tuple[str, str]]:
        labels = program.metrics().labels("ssh_exchange_handshakes_total", ending="completed")
        return {(each["target"], each.get("site", "")) for each in labels}

    with FakeSshd(HEALTHY) as one, FakeSshd(HEALTHY) as two:
        first, second = (f"127.0.0.1:{server.port}" for server in (one, two))
        path.write_text(json.dumps([{"targets": [first], "labels": {"site": "a"}}]))
        with running(tmp_path, "background: [{target_files: [targets.json], interval: 1s}]\n") as program:
            assert listed(program) == {(first, "a")}
            path.write_text(json.dumps([{"targets": [first, second], "labels": {"site": "b"}}]))
            wait_for(lambda: listed(program) == {(first, "b"), (second, "b")}, SECONDS)
            wait_for(lambda: program.completed(second) >= 1, SECONDS)

            path.write_text(json.dumps([{"targets": [second]}])[:-5])
            wait_for(lambda: program.metrics().value(failed) == 1, SECONDS)
            assert listed(program) == {(first, "b"), (second, "b")}
            assert "target file not used" in program.log

            path.write_text(json.dumps([{"targets": [second], "labels": {"site": "b"}}]))
            wait_for(lambda: listed(program) == {(second, "b")}, SECONDS)
            metrics = program.metrics()
            assert metrics.value(failed) == 0
            assert first not in metrics.text
            assert program.completed(second) >= 1


# --- shutdown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_exits_in_time_with_probes_in_flight(tmp_path: Path, number: signal.Signals) -> None:
    with FakeSshd([]) as silent, ThreadPoolExecutor() as pool:
        target = f"127.0.0.1:{silent.port}"
        text = "modules: {default: {timeout: 5m, exempt: true}, other: {timeout: 5m, exempt: true}}\n"
        text += f"background: [{{targets: ['{target}'], module: other, interval: 1s}}]\n"

        def ask() -> int:
            try:
                return program.get(f"/probe?target={target}").status
            except (OSError, HTTPException):
                return 0

        with running(tmp_path, text) as program:
            asked = [pool.submit(ask) for _ in range(3)]
            wait_for(lambda: silent.peers and program.metrics().value(PROBES_IN_FLIGHT) >= 1, SECONDS)
            program.process.send_signal(number)
            assert program.process.wait(SECONDS) == 0  # the probes have five minutes
        assert {answer.result() for answer in asked} <= {0, 503}
    log = program.log
    assert "msg=stopping" in log
    assert "msg=stopped" in log
    assert "Traceback" not in log
    assert not re.search("level=(error|warn)", log), log


PROBES_IN_FLIGHT = "ssh_exchange_exporter_probes_in_flight"


# --- logs and systemd


def test_each_log_line_is_json_with_the_json_format(tmp_path: Path) -> None:
    with nobody_listens() as dead, running(tmp_path, "", "--log.format=json") as program:
        assert program.probe(dead).value("probe_success") == 0
        (tmp_path / "config.yml").write_text(BROKEN)
        by_post(program)
        assert program.stop() == 0
    lines = [json.loads(line) for line in program.log.splitlines()]
    assert all({"ts", "level", "msg"} <= line.keys() for line in lines)
    logged = {line["msg"]: line for line in lines}
    assert logged["probe"]["target"] == dead
    assert "mystery" in "".join(line.get("error", "") for line in lines)
    assert logged["stopped"]["level"] == "info"


def test_the_log_level_leaves_lines_out(tmp_path: Path) -> None:
    with FakeSshd(HEALTHY) as server:
        target = f"127.0.0.1:{server.port}"
        with running(tmp_path, "", "--log.level=debug") as program:
            program.probe(target)
            assert f"level=debug msg=probe target={target}" in program.log
        with running(tmp_path, "", "--log.level=info") as program:
            program.probe(target)
            assert "level=debug" not in program.log


@contextmanager
def notified(name: str) -> Iterator[socket.socket]:
    """Yield a socket such as the one systemd opens for Type=notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(name)
        bound.settimeout(SECONDS)
        yield bound


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_notified_of_ready_and_stopping(tmp_path: Path, *, is_abstract: bool) -> None:
    name = f"\0notify-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with (
        notified(name) as systemd,
        running(tmp_path, "", env={"NOTIFY_SOCKET": name.replace("\0", "@")}) as program,
    ):
        assert systemd.recv(100) == b"READY=1"
        assert program.get("/-/ready").status == 200
        assert program.stop() == 0
        assert systemd.recv(100) == b"STOPPING=1"


def test_history_keeps_as_many_probes_as_the_limit(tmp_path: Path) -> None:
    with (
        FakeSshd(HEALTHY) as server,
        running(tmp_path, "modules: {default: {exempt: true}}", "--history.limit=2") as program,
    ):
        samples = [program.probe(f"127.0.0.1:{server.port}") for _ in range(4)]
        assert all(each.value("probe_success") == 1 for each in samples)
        assert [program.get(f"/history/{number}").status for number in (1, 2, 3, 4)] == [404, 404, 200, 200]
