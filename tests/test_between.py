"""What stands between us and a server: lost packets, something that answers for it, a multiplexer."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab import network, zoo
from tests.lab.fake_sshd import FakeSshd, Script, pause, send
from tests.lab.front_door import NEVER_SLOW, PLUGIN, Answer, at, check, wait_until
from tests.lab.network import Namespace

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("complete_zoo")]

# Accepts, closes at once, and writes its port first: a frontend with nothing behind it.
CLOSER = """
import socket, sys
with socket.create_server(("0.0.0.0", int(sys.argv[1]))) as listener:
    while True:
        listener.accept()[0].close()
"""
SSH_PORT = 2222


def probe(net: Namespace, port: int, *arguments: str) -> Answer:
    answer = check("-H", "192.0.2.2", "-p", str(port), *NEVER_SLOW, *arguments, command=(*net.client.prefix, *PLUGIN))
    assert answer.err == ""
    return answer


# Every third SYN is dropped, and dropped again each time that it is sent again.
LOSS = f"""
table inet loss {{
  set lost {{ type ipv4_addr . inet_service; }}
  chain input {{
    type filter hook input priority 0;
    tcp dport != {SSH_PORT} accept
    tcp flags & (syn|ack) != syn accept
    ip saddr . tcp sport @lost drop
    numgen inc mod 3 == 1 add @lost {{ ip saddr . tcp sport }} drop
  }}
}}
"""


def test_some_syns_without_an_answer_are_packets_lost(net: Namespace) -> None:
    address: dict[str, Any] = {"address": "0.0.0.0", "port": SSH_PORT, "prefix": net.server.prefix}  # noqa: S104
    with zoo.server("openssh-9.2", **address):
        network.run(*net.server.prefix, "nft", "-f", "-", text=LOSS)
        try:
            answer = probe(net, SSH_PORT, "-n", "9", "-t", "6", "--output-format", "json", "-v")
        finally:
            net.server.run("nft", "delete", "table", "inet", "loss")
    told = json.loads(answer.out)
    counts = told["counts"]
    assert counts["completed"] > 0
    assert counts["connect_timeout"] > 0
    assert (answer.code, told["diagnosis"]["cause"], told["diagnosis"]["confidence"]) == (1, "filtered", "possible")
    assert "packets lost" in told["summary"]
    assert "connection tracking table" in told["diagnosis"]["alternatives"][0]
    assert any("nf_conntrack_max" in remedy for remedy in told["diagnosis"]["remedies"])


@contextmanager
def closing(net: Namespace, port: int) -> Iterator[None]:
    with subprocess.Popen([*net.server.prefix, sys.executable, "-c", CLOSER, str(port)]) as process:
        try:
            wait_until(lambda: f":{port} " in net.server.run("ss", "-ltn"))
            yield
        finally:
            process.kill()


def test_without_a_contradiction_a_close_at_once_stays_the_servers(net: Namespace, tmp_path: Path) -> None:
    remembering = ["--state-file", str(tmp_path / "state"), "--output-format", "json"]
    address: dict[str, Any] = {"address": "0.0.0.0", "port": SSH_PORT, "prefix": net.server.prefix}  # noqa: S104
    with zoo.server("openssh-9.2", **address):
        assert probe(net, SSH_PORT, *remembering).code == 0
    with closing(net, SSH_PORT):
        told = json.loads(probe(net, SSH_PORT, *remembering).out)
    assert told["diagnosis"]["cause"] == "server_fault"
    assert any("port forwarder (docker-proxy" in sentence for sentence in told["diagnosis"]["alternatives"])


def test_how_far_away_the_control_port_is_is_measured(net: Namespace) -> None:
    with closing(net, SSH_PORT), closing(net, SSH_PORT + 1):
        answer = probe(net, SSH_PORT, "--control-port", str(SSH_PORT + 1), "--output-format", "json")
    told = json.loads(answer.out)
    assert told["diagnosis"]["cause"] == "server_fault"  # both are as near
    assert any(re.match(r"the control port of the host answered after [\d.]+ ms", one) for one in evidence(told))


def evidence(told: dict[str, Any]) -> list[str]:
    return [str(one) for one in told["diagnosis"]["evidence"]]


def test_sslh_which_waits_for_its_client_is_healthy() -> None:
    """Sslh connects a silent client to sshd only after its timeout; to one that speaks it gives sshd at once."""
    with zoo.server("openssh-9.2", options={"MaxStartups": "100"}) as sshd, zoo.copy("sslh") as chroot:
        port = zoo.free_port("127.0.0.1")
        words = ["-f", "-p", f"127.0.0.1:{port}", "--ssh", f"127.0.0.1:{sshd.port}", "-t", "100", "-u", "root"]
        command = ["chroot", str(chroot.root), "/usr/sbin/sslh-select", *words]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda: any(found == port for _, found in zoo.listening(process.pid)))
                answer = check("-H", "127.0.0.1", "-p", str(port), *NEVER_SLOW, "--output-format", "json")
            finally:
                process.kill()
    told = json.loads(answer.out)
    assert (answer.code, told["diagnosis"]["cause"]) == (0, "healthy"), told["summary"]
    assert told["server"]["speaks_first"] is True


HOLDING: Script = [send(b"Exceeded MaxStartups\r\n"), pause(60)]


def test_known_words_decide_although_the_server_holds_the_connection() -> None:
    with FakeSshd(HOLDING) as server:
        answer = check(*at(server), "-t", "30", "--output-format", "json")
    told = json.loads(answer.out)
    assert told["diagnosis"]["cause"] == "maxstartups"
    assert max(h["ended"] for h in told["handshakes"]) < 15  # half of the time it was given
