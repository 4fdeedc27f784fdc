"""Every example of the manual pages is run as it stands there: names, paths and ports are those of a test, no more."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncssh
import pytest

from ssh_exchange_exporter.configuration.configuration import load
from ssh_exchange_exporter.configuration.file import ConfigurationError
from tests.lab.exporter import START_SECONDS, running, wait_for
from tests.lab.front_door import ROOT, SECONDS
from tests.lab.manuals import examples
from tests.lab.zoo import free_port

PROGRAMS = {
    "check_ssh_exchange": "check_ssh_exchange",
    "check_sshd_local": "check_ssh_exchange.host",
    "ssh_exchange_exporter": "ssh_exchange_exporter",
}
SOFTWARE = "OpenSSH_9.2p1 Debian-2+deb12u3"
OK = r"SSH OK - OpenSSH_9\.2p1 \(protocol 2\.0\), "
LOCAL = r"SSHD (OK|WARNING|CRITICAL|UNKNOWN) - (?!.*--help lists)"
# What each example answers: the beginning of the example, the exit code, what is printed. The host that the tests run
# on decides how well its own sshd is: None is any state, and the exit code must be that of the state.
REMOTE_EXAMPLES: tuple[tuple[str, int, str], ...] = (
    ("check_ssh_exchange -H bastion.example", 0, OK + r"5/5 handshakes, .* \| handshakes=5;"),
    ("check_ssh_exchange bastion.example --explain", 0, OK + r"5/5 .*\n(?s:.*)#0 baseline .* completed "),
    ("check_ssh_exchange -H bastion.example -p 2222 -vv", 0, OK + r".*\n(?s:.*)burst(?s:.*)completed"),
    ("check_ssh_exchange -H bastion.example -w early_close=20,", 0, OK + ".*early_close=0%;20;50;"),
    ("check_ssh_exchange -H bastion.example -w early_close_window=2 ", 0, OK + ".*early_close_window=0%;2;"),
    ("check_ssh_exchange -H bastion.example --depth hostkey", 0, OK + ".*hostkey_p50="),
    ("check_ssh_exchange -H bastion.example --depth login", 0, OK + ".*login_p50="),
    ("check_ssh_exchange -H bastion.example -r ", 0, OK + "5/5"),
    ("check_ssh_exchange -H bastion.example --output-format json", 0, "healthy certain\n"),
    ("check_ssh_exchange --runbook maxstartups", 0, "# maxstartups: "),
)
LOCAL_EXAMPLES: tuple[tuple[str, int | None, str], ...] = (
    ("check_sshd_local --monitor 192.0.2.7 -v", None, LOCAL + r".*\n(?s:.*)looked at as uid"),
    ("check_sshd_local --explain", None, r"(?s:.*)"),
    ("check_sshd_local --only startups,log --since 1h -vv", None, LOCAL + r"(?s:.*)\nstartups: (?s:.*)\nlog: "),
    ("check_sshd_local --skip firewall --state disk=warning", None, LOCAL),
    ("ssh server.example check_sshd_local --collect |", None, r"(?s:.*)"),
    ("check_sshd_local -c snapshot_age=300", None, LOCAL),
    ("check_sshd_local --output-format openmetrics", None, ""),
)


class Place(NamedTuple):
    """Where examples run: a directory with the programs and files that they name, a server, a free port."""

    path: Path
    server: int
    port: int

    def put(self, example: str) -> str:
        """Return an example with our names in the place of those that a manual has."""
        here = f"127.0.0.1 -p {self.server} -w banner_p50=60 -c banner_p50=60"  # no load of this machine is slow
        for there, ours in (
            ("bastion.example -p 2222", here),
            ("target=bastion.example", f"target=127.0.0.1:{self.server}"),
            ("bastion.example", here),
            ("banner_p50=2 -c banner_p50=8", "banner_p50=60 -c banner_p50=60"),
            ("/etc/monitoring", f"{self.path}/etc"),
            ("/etc/ssh_exchange_exporter", f"{self.path}/etc"),
            ("/var/lib/monitoring", f"{self.path}/state"),
            ("/run/check_sshd_local", f"{self.path}/run"),
            ("127.0.0.1:10922", f"127.0.0.1:{self.port}"),
            ("localhost:10922", f"127.0.0.1:{self.port}"),
        ):
            example = example.replace(there, ours)
        return example

    def env(self) -> dict[str, str]:
        modules = os.pathsep.join([str(ROOT), str(ROOT / "exporter")])
        return {"PATH": f"{self.path}/bin:/usr/bin:/bin", "PYTHONPATH": modules, "LC_ALL": "C.UTF-8"}

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", script], cwd=self.path, env=self.env(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=SECONDS,
        )  # fmt: skip


async def serve(path: Path, port: list[int], begun: threading.Event, end: threading.Event) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    user = asyncssh.generate_private_key("ssh-ed25519")
    user.write_private_key(str(path / "etc/id_ed25519"))
    user.write_public_key(str(path / "etc/authorized_keys"))
    async with await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[key], authorized_client_keys=str(path / "etc/authorized_keys"),
        server_version=SOFTWARE,
    ) as listener:  # fmt: skip
        port.append(listener.get_port())
        (path / "etc/known_hosts").write_text(f"[127.0.0.1]:{port[0]} {key.export_public_key().decode()}")
        begun.set()
        while not end.is_set():
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    path = tmp_path_factory.mktemp("examples")
    for name in ("bin", "etc", "state", "run"):
        (path / name).mkdir()
    scripts = {name: f'exec {sys.executable} -m {module} "$@"' for name, module in PROGRAMS.items()}
    scripts["python3"] = f'exec {sys.executable} "$@"'
    scripts["ssh"] = 'shift; exec "$@"'  # the server is this machine
    # The exporter of an example is there when it is asked.
    scripts["curl"] = 'exec /usr/bin/curl -s --retry 60 --retry-delay 1 --retry-connrefused "$@"'
    for name, script in scripts.items():
        (path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (path / "bin" / name).chmod(0o755)
    port: list[int] = []
    begun, end = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(path, port, begun, end)))
    thread.start()
    try:
        assert begun.wait(SECONDS)
        yield Place(path, port[0], free_port())
    finally:
        end.set()
        thread.join(SECONDS)


def beginning(example: str, known: tuple[str, ...]) -> str:
    """Return the longest of the known beginnings that an example has, its first lines being one."""
    joined = example.replace("\\\n  ", "")
    return max((one for one in known if joined.startswith(one)), key=len, default="")


@pytest.mark.parametrize(
    ("page", "tried"),
    [
        ("check_ssh_exchange.1", [one for one, _, _ in REMOTE_EXAMPLES]),
        ("check_sshd_local.8", [one for one, _, _ in LOCAL_EXAMPLES]),
        ("ssh_exchange_exporter.8", ["ssh_exchange_exporter &", "curl -d ", "ssh_exchange_exporter --config.check",
                                     "ssh_exchange_exporter --web.listen", "ssh_exchange_exporter --shard=2/3"]),
    ],
)  # fmt: skip
def test_every_example_is_tried(page: str, tried: list[str]) -> None:
    assert [beginning(example, tuple(tried)) for example in examples(page)] == tried


@pytest.mark.parametrize("example", examples("check_ssh_exchange.1"))
def test_an_example_of_the_remote_check(place: Place, example: str) -> None:
    expected = {begin: (code, pattern) for begin, code, pattern in REMOTE_EXAMPLES}
    code, pattern = expected[beginning(example, tuple(expected))]
    done = place.run(place.put(example))
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    assert re.match(pattern, done.stdout), done.stdout


@pytest.mark.parametrize("example", examples("check_sshd_local.8"))
def test_an_example_of_the_check_of_the_host(place: Place, example: str) -> None:
    assert place.run("check_sshd_local --collect >run/snapshot.json").returncode == 0
    expected = {begin: pattern for begin, _, pattern in LOCAL_EXAMPLES}
    pattern = expected[beginning(example, tuple(expected))]
    done = place.run(place.put(example))
    assert done.stderr == ""
    assert re.match(pattern, done.stdout), done.stdout
    states = re.findall(r"\b(OK|WARNING|CRITICAL|UNKNOWN)\b", done.stdout)
    if "openmetrics" in example:
        assert done.stdout == ""
        metrics = (place.path / "sshd_local.prom").read_text()
        assert re.search(r'^sshd_local_item_state\{item="daemon"\} [0-3]$', metrics, re.MULTILINE)
    else:
        assert done.returncode == ["OK", "WARNING", "CRITICAL", "UNKNOWN"].index(states[0]), done.stdout


def examples_of_the_exporter(*beginnings: str) -> list[str]:
    return [example for example in examples("ssh_exchange_exporter.8") if example.startswith(beginnings)]


@pytest.mark.parametrize("example", examples_of_the_exporter("ssh_exchange_exporter &", "curl "))
def test_an_example_that_asks_the_exporter(place: Place, example: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("to ask the exporter as the manual does: apt-get install curl")
    ranges = "{warning: {banner_p50: 60}, critical: {banner_p50: 60}}"  # no load of this machine is slow
    (place.path / "never_slow.yml").write_text(f"modules: {{default: {{thresholds: {ranges}}}}}\n")
    given = f"--config.file=never_slow.yml --web.listen-address=127.0.0.1:{place.port}"
    begin = f"ssh_exchange_exporter {given} 2>>exporter.log &"
    asked = place.put(example).replace("ssh_exchange_exporter &\n", "")
    done = place.run(f'{begin}\n{asked}\ncode=$?; kill $!; wait $!; echo "ended $? after $code"')
    assert done.stderr == ""
    answer, _, ended = done.stdout.rpartition("ended ")
    assert ended == "0 after 0\n"
    assert re.search(r"^probe_success 1" if "format" not in example else rf"^{OK}", answer, re.MULTILINE), answer


@pytest.mark.parametrize("example", examples_of_the_exporter("ssh_exchange_exporter --config.check"))
def test_an_example_that_checks_and_reloads(place: Place, tmp_path: Path, example: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("to ask the exporter as the manual does: apt-get install curl")
    (place.path / "etc/config.yml").write_text("modules: {far: {depth: banner}}\n")
    with running(tmp_path) as program:
        done = place._replace(port=program.port).run(place._replace(port=program.port).put(example))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("configuration is valid\n")
        assert "reload" in program.log


@pytest.mark.parametrize(
    "example", examples_of_the_exporter("ssh_exchange_exporter \\", "ssh_exchange_exporter --shard")
)
def test_an_example_that_serves(place: Place, example: str) -> None:
    (place.path / "etc/config.yml").write_text("background: []\n")
    command = place.put(example)
    if "--web.listen-address" not in command:
        command += f" --web.listen-address=127.0.0.1:{free_port()}"
    log = place.path / "serving.log"
    with log.open("w") as out:
        process = subprocess.Popen(["sh", "-c", f"exec {command}"], cwd=place.path, env=place.env(), stderr=out)
    try:
        wait_for(lambda: re.search(r'msg"?[=:] ?"?started', log.read_text()), START_SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait(SECONDS)
    assert ('"msg"' in log.read_text()) == ("--log.format=json" in command)


@pytest.mark.parametrize("example", examples("ssh_exchange_exporter.yml.5"))
def test_an_example_of_the_configuration(tmp_path: Path, example: str) -> None:
    (tmp_path / "keys").mkdir()
    for name in ("id_ed25519", "known_hosts"):
        (tmp_path / "keys" / name).touch()
    (tmp_path / "config.yml").write_text(example.replace("/var/lib/nagios4/spool/checkresults", str(tmp_path)))
    given = load(str(tmp_path / "config.yml"))
    assert any(line.split(":")[0].strip("- ") in given.to_yaml() for line in example.splitlines())


def test_the_example_of_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = examples("ssh_exchange_exporter.yml.5", "DESCRIPTION")
    (tmp_path / "config.yml").write_text("modules:\n  other: {}\n  fast:\n    handshakes: 3\n    timout: 5s\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        load("config.yml")
    assert list(caught.value.errors) == [example]
