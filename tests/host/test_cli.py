"""check_sshd_local as a program: its halves, its formats, what it refuses, and real servers."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host import items
from check_ssh_exchange.host.options import parser
from tests.lab import zoo

PROGRAM = [sys.executable, "-m", "check_ssh_exchange.host"]
ROOT = Path(__file__).parents[2]
SECONDS = 60
# Of the whole machine, on which other tests fill tables and have the kernel kill processes; what is left, -p narrows.
OF_THE_MACHINE = "log,memory,disk,processes,descriptors,conntrack,denials"
ITEM = ["item", "state", "summary", "cause", "evidence", "remedies", "figures"]


def run(*arguments: str, given: str = "", **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [*PROGRAM, *arguments], input=given, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def document(*arguments: str, given: str = "") -> tuple[int, dict[str, Any]]:
    code, out = run(*arguments, "--output-format", "json", given=given)
    return code, json.loads(out)


@pytest.fixture(scope="module")
def snapshot() -> str:
    code, out = run("--collect")
    assert code == 0
    assert out.count("\n") == 1
    return out


def test_the_table_has_the_items_and_labels_of_the_contract() -> None:
    assert items.NAMES == (
        "daemon", "binaries", "startups", "backlog", "log", "configuration", "host_keys", "tcp_wrappers", "bans",
        "firewall", "addresses", "socket_activation", "memory", "disk", "processes", "descriptors", "conntrack",
        "denials", "name_service",
    )  # fmt: skip
    assert items.LABELS == (
        "listeners", "deleted_files", "startups", "startups_drop", "backlog", "maxstartups_drops", "per_source_drops",
        "penalty_drops", "grace_timeouts", "denied", "child_failures", "host_keys", "banned", "memory_available",
        "disk_used", "processes", "descriptors", "conntrack", "denials", "reverse_lookup", "snapshot_age",
    )  # fmt: skip


def test_a_document_has_the_keys_of_the_contract() -> None:
    _, told = document()
    assert list(told) == ["schema", "program", "host", "sshd", "state", "summary", "causes", "items", "perfdata"]
    assert list(told["host"]) == ["name", "system", "kernel", "container", "uid"]
    assert [one["item"] for one in told["items"]] == list(items.NAMES)
    for one in told["items"]:
        assert list(one) == ITEM
        assert one["state"] in ("ok", "warning", "critical", "unknown", "skipped")
        assert one["cause"] is None or one["cause"] in tuple(Cause)


def test_the_same_snapshot_gives_the_same_answer_twice_and_by_a_file(snapshot: str, tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    file.write_text(snapshot)
    answers = [
        document("--snapshot", "-", given=snapshot),
        document("--snapshot", "-", given=snapshot),
        document("--snapshot", str(file)),
    ]
    assert answers[0] == answers[1] == answers[2]


def test_an_old_snapshot_is_judged_by_its_age_where_that_is_asked(snapshot: str) -> None:
    old = json.dumps({**json.loads(snapshot), "at": 1_700_000_000.0})
    # One item: a status line has room for few reasons, and every sshd of this machine may have one.
    words = ("--snapshot", "-", "--only", "conntrack")
    sentence = r"\bthe snapshot is \d+ s old\b"
    assert not re.search(sentence, run(*words, given=old)[1])
    code, out = run(*words, "-c", "snapshot_age=300", given=old)
    assert code == 2
    assert re.match(r"SSHD CRITICAL - the snapshot is \d+ s old\b", out)


def test_a_snapshot_holds_no_secret(snapshot: str) -> None:
    assert "PRIVATE KEY" not in snapshot
    assert not re.search(r"\$(y|6|5|2b)\$", snapshot)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("", "the snapshot is not a JSON object"),
        ("[]", "this is not a snapshot of check_sshd_local --collect"),
        ('{"program": "check_sshd_local", "schema": 99}', "the snapshot has schema 99; this release reads 1"),
        ('{"program": "check_sshd_local", "schema": 1}', "the snapshot is not complete"),
        ("[" * 100_000, "the snapshot is not a JSON object"),
    ],
)
def test_what_is_no_snapshot_is_unknown(given: str, sentence: str) -> None:
    assert run("--snapshot", "-", given=given) == (3, f"SSHD UNKNOWN - {sentence}\n")


def test_a_snapshot_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    code, out = run("--snapshot", str(tmp_path / "none"))
    assert (code, out) == (3, f"SSHD UNKNOWN - cannot read the snapshot {tmp_path}/none: No such file or directory\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--only", "deamon"], ["--skip", "logs"], ["--only", "log", "--skip", "log"], ["--monitor", "host.example"],
        ["-p", "0"], ["--since", "2d"], ["--collect", "--sudo"], ["--snapshot", "-", "--probe"], ["--collect", "-v"],
        ["--collect", "--monitor", "192.0.2.7"],
        ["--explain", "--output-format", "json"], ["--state", "log=bad"], ["-w", "nothing=1"], ["--state-file", ""],
        ["--no-such-option"], ["--probe", "--only", "log"], ["--trial", "--skip", "configuration"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_usage_error_is_one_sentence(arguments: list[str]) -> None:
    code, out = run(*arguments)
    assert code == 3
    assert re.fullmatch(r"SSHD UNKNOWN - [^\n]+ \(--help lists the options\)\n", out)


def test_a_word_that_is_nearly_an_item_is_guessed() -> None:
    assert "did you mean daemon?" in run("--only", "deamon")[1]


@pytest.mark.parametrize(
    "arguments",
    [["--state-file", "x"], ["--snapshot", "x"], ["--extra-opts=a@b"]],
    ids=" ".join,
)
def test_as_root_by_sudo_nothing_of_the_callers_is_taken(arguments: list[str]) -> None:
    if os.geteuid():
        pytest.skip("needs root, as sudo gives it")
    code, out = run(*arguments, SUDO_UID="1000")
    assert code == 3
    assert "is not taken as root by sudo" in out
    assert run("--collect", SUDO_UID="1000")[0] == 0


def test_as_root_by_sudo_the_interpreter_is_isolated(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root, as sudo gives it")
    (tmp_path / "json.py").write_text("raise SystemExit('of the caller')\n")
    code, out = run("--collect", SUDO_UID="1000", PYTHONPATH=str(tmp_path))
    assert code == 0
    assert json.loads(out)["program"] == "check_sshd_local"


def test_help_and_version() -> None:
    code, out = run("--help")
    assert code == 3
    for action in parser()._actions:
        assert all(word in out for word in action.option_strings)
    assert re.fullmatch(r"check_sshd_local \d+\.\d+\.\d+\S*\n", run("--version")[1])


def test_metrics_are_in_the_text_format() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    code, out = run("--output-format", "openmetrics")
    assert code == 0
    families = {family.name: family for family in text_string_to_metric_families(out)}
    told = {sample.labels["item"] for sample in families["sshd_local_item_state"].samples}
    assert {"memory", "disk", "processes"} <= told <= set(items.NAMES)
    assert {sample.labels["cause"] for sample in families["sshd_local_cause"].samples} == set(Cause)
    assert "sshd_local_last_run_timestamp_seconds" in families


def test_promtool_has_nothing_to_say_about_the_metrics() -> None:
    if which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    _, out = run("--output-format", "openmetrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=out, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_counters_go_on_by_the_state_file(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    for _ in range(2):
        assert run("--output-format", "openmetrics", "--state-file", state)[0] == 0
    assert json.loads(Path(state).read_text())["counters"] is not None
    code, out = run("--state-file", str(tmp_path / "no/such/directory"), "-v")
    assert code in (0, 1, 2)
    assert "its directory does not exist" in out


# --- real servers


@pytest.fixture(scope="module", params=["openssh-8.4", "openssh-9.2", "openssh-10.0", "openssh-10.6"])
def sshd(request: pytest.FixtureRequest, complete_zoo: None) -> Iterator[zoo.Server]:
    with zoo.server(request.param) as running:
        yield running


@pytest.mark.real
def test_a_healthy_server_is_ok_and_is_named(sshd: zoo.Server) -> None:
    code, told = document("-p", str(sshd.port), "--skip", OF_THE_MACHINE)
    assert (code, told["state"], told["causes"]) == (0, "ok", []), told["summary"]
    (found,) = told["sshd"]
    assert found["pid"] == sshd.pid
    assert found["ports"] == [sshd.port]
    assert re.match(rf"OpenSSH_\d+\.\d+\S* on 127\.0\.0\.1:{sshd.port}, 0 of 10-100 startups", told["summary"])


@pytest.mark.real
def test_an_administrator_may_probe_and_try_by_sudo(sshd: zoo.Server) -> None:
    code, out = run("-p", str(sshd.port), "--probe", "--trial", "--only", "daemon,configuration", SUDO_UID="1000")
    assert code == 0, out


@pytest.mark.real
def test_a_trial_says_that_it_may_be_restarted_and_a_probe_that_it_serves(sshd: zoo.Server) -> None:
    code, out = run("-p", str(sshd.port), "--probe", "--trial", "-vv", "--only", "daemon,configuration")
    assert code == 0, out
    assert f"127.0.0.1:{sshd.port} is served from here" in out
    assert "served a handshake: it may be restarted" in out


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
@pytest.mark.parametrize("name", ["openssh-9.2", "openssh-10.6"])
def test_a_restart_that_would_fail_is_tried_before_it_is_done(name: str) -> None:
    with zoo.copy(name) as chroot, chroot.server() as server:
        for key in (chroot.root / "etc/ssh").glob("ssh_host_*_key"):
            key.unlink()
        code, told = document("-p", str(server.port), "--trial", "--only", "configuration")
    assert code == 2
    assert "a new sshd would not serve: sshd: no hostkeys available -- exiting" in told["summary"]
    assert told["causes"][0]["cause"] == "server_fault"
