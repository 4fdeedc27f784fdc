"""Identifications that ssh(1) accepts are accepted, and no others: the real client is asked beside us."""

import shutil
import subprocess
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.evaluate import evaluate
from check_ssh_exchange.diagnosis.verdict import Expectations
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.measure import Plan, Target, measure
from check_ssh_exchange.plugin.thresholds import Thresholds
from tests.fed import after
from tests.lab.fake_sshd import FIN, KEXINIT, FakeSshd, hear, send
from tests.lab.front_door import NEVER_SLOW, check

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh: apt-get install openssh-client")

PATIENT = Thresholds({"banner_p50": "1000"}, {})  # no load of this machine makes a server slow
LINES = {
    "plain": b"SSH-2.0-x\r\n",
    "LF alone": b"SSH-2.0-x\n",
    "1.99": b"SSH-1.99-x\r\n",
    "a blank": b"SSH-2.0- \r\n",
    "a blank and a comment": b"SSH-2.0- comment\r\n",
    "a trailing blank": b"SSH-2.0-x \r\n",
    "escape": b"SSH-2.0-x y\x1b[2J\r\n",
    "latin-1": b"SSH-2.0-x caf\xe9\r\n",
    "256 bytes": b"SSH-2.0-".ljust(254, b"x") + b"\r\n",
    "258 bytes": b"SSH-2.0-".ljust(256, b"x") + b"\r\n",
    "8194 bytes": b"SSH-2.0-".ljust(8192, b"x") + b"\r\n",
    "8195 bytes": b"SSH-2.0-".ljust(8193, b"x") + b"\r\n",
    "NUL": b"SSH-2.0-a\0b\r\n",
    "CR inside": b"SSH-2.0-a\rb\r\n",
    "nothing": b"SSH-2.0-\r\n",
    "no second dash": b"SSH-2.0\r\n",
    "1.5": b"SSH-1.5-x\r\n",
    "3.0": b"SSH-3.0-x\r\n",
}


@needs_ssh
@pytest.mark.parametrize("what", LINES)
def test_what_ssh_accepts_is_accepted_and_nothing_else(what: str) -> None:
    # A client that accepts the line goes on to send its KEXINIT, after an identification of some 40 bytes.
    with FakeSshd([send(LINES[what]), hear(500), FIN]) as server:
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]
        command = ["ssh", "-F", "none", "-v", *options, "-p", str(server.port), f"u@{server.address}"]
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60).stderr
    is_accepted = "SSH2_MSG_KEXINIT sent" in said
    exchange = after(LINES[what], depth=Depth.BANNER)
    assert (exchange.ending is Ending.COMPLETED) is is_accepted, said


def test_a_long_identification_is_a_warning_that_names_the_clients_that_refuse_it() -> None:
    with FakeSshd([send(LINES["258 bytes"]), send(KEXINIT)]) as server:
        answer = check("-H", server.address, "-p", str(server.port), "-n", "2", *NEVER_SLOW)
    assert answer.code == 1
    assert "the identification has 258 bytes; libssh, libssh2, Go and JSch refuse more than 255" in answer.line
    with FakeSshd([send(b"SSH-2.0-".ljust(253, b"x") + b"\r\n"), send(KEXINIT)]) as server:
        assert check("-H", server.address, "-p", str(server.port), "-n", "2", *NEVER_SLOW).code == 0


CORPUS = [
    line
    for line in (Path(__file__).parent / "data/identifications.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def test_the_corpus_is_large_and_names_no_server_twice() -> None:
    assert len(CORPUS) == len(set(CORPUS)) >= 80


@pytest.mark.parametrize("said", CORPUS)
def test_a_server_of_the_corpus_is_healthy(said: str) -> None:
    with FakeSshd([send(f"SSH-2.0-{said}\r\n".encode()), send(KEXINIT), hear(1)]) as server:
        report = measure(Target(server.address, server.port), Plan(handshakes=2, timeout=60.0, pause=0.0))
    outcome = evaluate(report, None, Expectations()._replace(thresholds=PATIENT))
    assert (outcome.diagnosis.cause, str(outcome.verdict.state)) == (Cause.HEALTHY, "ok")
    assert report.server is not None
    assert report.server.identification == f"SSH-2.0-{said}"
