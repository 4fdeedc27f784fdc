"""The plugin in a broken environment: closed streams, empty variables, missing directories, low limits."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from .lab.fake_sshd import FIN, HEALTHY, FakeSshd
from .lab.front_door import PLUGIN, ROOT, SECONDS, SERVED, Answer, assert_served, at, check


def test_a_closed_stdout_changes_neither_the_code_nor_what_the_server_hears() -> None:
    for redirection in (">&-", "<&-", "<&- >&- 2>&-", "2>&-"):
        with FakeSshd(HEALTHY) as server:
            answer = check(*at(server), command=["sh", "-c", f'exec "$@" {redirection}', "sh", *PLUGIN])
            heard = b"".join(peer.received for peer in server.peers)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out == "" if ">&-" in redirection.split() else SERVED.fullmatch(answer.line)
        assert b"handshakes=" not in heard


def test_a_stdout_without_a_reader_changes_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with FakeSshd(HEALTHY) as server:
        command = [*PLUGIN, *at(server), "-vvv"]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=SECONDS, cwd=ROOT)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"PYTHONIOENCODING": "ascii"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "tr_TR.UTF-8", "LANG": "nonsense"},
        {"HOME": "/nowhere", "TMPDIR": "/nowhere"},
        {"PYTHONWARNINGS": "always", "PYTHONDEVMODE": "1"},
        {"PYTHONWARNINGS": "error"},
        {"PYTHONOPTIMIZE": "2"},
        {"COLUMNS": "1", "TERM": "dumb"},
    ],
)
def test_the_environment_changes_nothing(env: Mapping[str, str]) -> None:
    with FakeSshd(HEALTHY) as server:
        assert_served(check(*at(server), env=env))


def test_a_run_without_a_stdin_and_a_home_under_a_bare_user_is_served() -> None:
    with FakeSshd(HEALTHY) as server:
        command = ["sh", "-c", 'exec "$@" <&-', "sh", *PLUGIN]
        assert_served(check(*at(server), command=command, env={"PATH": "/usr/bin"}))


def test_a_working_directory_that_is_gone_or_closed_to_us_changes_nothing(tmp_path: Path) -> None:
    for number, spoil in enumerate(("chmod 0 .", 'rmdir "$PWD"')):
        place = tmp_path / str(number)
        place.mkdir()
        # Root passes every mode unless the capabilities for that are taken away.
        drop = "setpriv --bounding-set=-dac_override,-dac_read_search" if os.getuid() == 0 else ""
        command = ["sh", "-c", f'{spoil}; exec {drop} "$@"', "sh", *PLUGIN]
        with FakeSshd(HEALTHY) as server:
            assert_served(check(*at(server), command=command, cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}))


@pytest.mark.parametrize("descriptors", [16, 10, 8, 6, 5])
def test_few_descriptors_mean_fewer_handshakes_at_once_and_a_word_about_it(descriptors: int) -> None:
    command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *PLUGIN]
    options = ["-n", "12", "--concurrency", "10", "--exempt"]
    with FakeSshd(HEALTHY) as server:
        answer = check(*at(server), *options, command=command)
        at_once, met = server.most_open, len(server.peers)
    assert answer.err == ""
    assert answer.out.count("\n") == 1
    lack = "this process has no file descriptor left for a handshake (ulimit -n)"
    if answer.code == 3:
        assert (answer.line, met) == (f"SSH UNKNOWN - {lack}", 0)
        assert descriptors < 6
    else:
        assert (answer.code, met) == (0, 12)
        assert answer.line.startswith("SSH OK - FakeSSH_1.0 (protocol 2.0), 12/12 handshakes, ")
        assert answer.line.endswith(f", at most {at_once} at once: {lack}") is (at_once < 10)
        assert at_once <= descriptors - 5  # standard streams, epoll, the socket that asks for stamps


def test_below_the_descriptors_that_python_itself_needs_there_is_still_no_false_ok() -> None:
    command = ["sh", "-c", 'ulimit -n 4; exec "$@"', "sh", *PLUGIN]
    with FakeSshd(HEALTHY) as server:
        assert check(*at(server), command=command).code != 0


@pytest.mark.parametrize("name", ["nowhere/a|b", "nowhere/a\nb", "nowhere/\x1b[2J", "link|", "fifo|"])
def test_a_state_file_that_cannot_be_used_costs_neither_the_check_nor_the_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name == "link|":
        file.symlink_to(tmp_path / "elsewhere")
    elif name == "fifo|":
        os.mkfifo(file)
    with FakeSshd(HEALTHY) as server:
        answer = check(*at(server), "--state-file", str(file))
    assert (answer.code, answer.err) == (0, "")
    assert answer.line.startswith("SSH OK - ")
    assert " the state file " in answer.line
    assert (answer.out.count("\n"), answer.out.count("|")) == (1, 1)
    assert answer.out.rstrip("\n").isprintable()


# --- how it is called


def test_the_console_script_is_the_same_plugin() -> None:
    script = Path(sys.executable).with_name("check_ssh_exchange")
    if not script.exists():
        pytest.skip("the package is not installed here")
    assert check("-h", command=[str(script)]) == check("-h")
    with FakeSshd(HEALTHY) as server:
        assert_served(check(*at(server), command=[str(script)], cwd=Path("/")))


def test_two_runs_in_one_process_know_nothing_of_each_other() -> None:
    program = (
        "import json, sys; from check_ssh_exchange.remote.cli import main\n"
        "print(json.dumps([main(arguments) for arguments in json.loads(sys.argv[1])]))"
    )
    with FakeSshd([FIN]) as closing, FakeSshd(HEALTHY) as healthy:
        sick = [*at(closing), "-vvv", "-w", "banner_p50=0", "--state", "closed=unknown", "-r", "x"]
        runs = [sick, [*at(healthy)], ["--nonsense"], sick, [*at(healthy), "--output-format", "json"]]
        done = check(json.dumps(runs), command=[sys.executable, "-c", program])
    assert (done.code, done.err) == (0, "")
    first, second, third, fourth, fifth = (Answer(code, out, "") for code, out in json.loads(done.out))
    assert first.code == fourth.code == 3
    # How sure it is of the cause hangs on how soon the server closed.
    assert re.sub(r"\d+|perhaps ", "", first.line) == re.sub(r"\d+|perhaps ", "", fourth.line)
    assert_served(second)
    assert third == (3, "SSH UNKNOWN - unrecognized arguments: --nonsense (--help lists the options)\n", "")
    assert (fifth.code, json.loads(fifth.out)["state"], len(json.loads(fifth.out)["handshakes"])) == (0, "ok", 5)


def test_what_the_plugin_says_on_the_wire_names_it() -> None:
    with FakeSshd(HEALTHY) as server:
        assert_served(check(*at(server)))
    assert all(peer.received.startswith(b"SSH-2.0-check_ssh_exchange_") for peer in server.peers)
