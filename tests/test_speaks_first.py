"""Servers and frontends that wait for their client's line: every ssh user gets in, so they are healthy."""

import json
from collections.abc import Iterator

import pytest

from tests.lab import zoo
from tests.lab.fake_sshd import HEALTHY, KEXINIT, FakeSshd, Script, hear, pause, send
from tests.lab.front_door import NEVER_SLOW, check

TELEPORT: Script = [hear(8), send(b"SSH-2.0-Teleport\n" + KEXINIT)]


def at(server: FakeSshd) -> list[str]:
    return ["-H", server.address, "-p", str(server.port), *NEVER_SLOW]


def test_a_server_that_waits_for_its_client_is_healthy_and_the_run_says_that_it_spoke_first() -> None:
    with FakeSshd(TELEPORT) as server:
        answer = check(*at(server), "--output-format", "json")
        text = check(*at(server), "-v")
    told = json.loads(answer.out)
    assert (answer.code, told["state"], told["diagnosis"]["cause"]) == (0, "ok", "healthy"), told["summary"]
    assert told["server"]["speaks_first"] is True
    assert [h["ending"] for h in told["handshakes"]] == ["completed"] * 5
    assert [h["role"] for h in told["handshakes"]] == ["baseline"] + ["burst"] * 4
    assert text.line.startswith("SSH OK - Teleport (protocol 2.0), 5/5 handshakes")
    assert "evidence: the server waits for its client's line, so this run spoke first" in text.out


@pytest.mark.parametrize("depth", ["banner", "kexinit"])
def test_a_server_that_speaks_by_itself_is_never_spoken_to_first(depth: str) -> None:
    with FakeSshd(HEALTHY) as server:
        told = json.loads(check(*at(server), "--depth", depth, "--output-format", "json").out)
    assert told["server"]["speaks_first"] is False


def test_a_server_that_is_only_slow_is_not_taken_for_one_that_waits() -> None:
    late: Script = [pause(2.0), *HEALTHY]
    with FakeSshd(late) as server:
        told = json.loads(check(*at(server), "--output-format", "json", "-t", "20").out)
    assert told["server"]["speaks_first"] is False
    assert {h["ending"] for h in told["handshakes"]} == {"completed"}
    assert len(told["handshakes"]) == 5


@pytest.fixture(scope="module")
def haproxy() -> Iterator[zoo.Server]:
    """HAProxy that looks at the client's first bytes before it connects to sshd, for longer than any run takes."""
    if reason := zoo.missing():
        pytest.skip(reason)
    with zoo.server("openssh-9.2") as sshd, zoo.copy("haproxy") as chroot:
        port = zoo.free_port("127.0.0.1")
        config = f"""
defaults
  mode tcp
  timeout connect 5s
  timeout client 200s
  timeout server 200s
frontend ssh
  bind 127.0.0.1:{port}
  tcp-request inspect-delay 100s
  tcp-request content accept if {{ req.len gt 7 }}
  default_backend sshd
backend sshd
  server one 127.0.0.1:{sshd.port}
"""
        with chroot.server(port=port, config=config) as running:
            yield running


@pytest.mark.real
@pytest.mark.parametrize("depth", ["banner", "kexinit", "kex"])
def test_haproxy_with_an_inspect_delay_is_healthy_at_every_depth(haproxy: zoo.Server, depth: str) -> None:
    answer = check(
        "-H", haproxy.address, "-p", str(haproxy.port), "--depth", depth, "--output-format", "json", *NEVER_SLOW
    )
    told = json.loads(answer.out)
    assert (answer.code, told["diagnosis"]["cause"]) == (0, "healthy"), told["summary"]
    assert told["server"]["speaks_first"] is True
    assert [h["ending"] for h in told["handshakes"]] == ["completed"] * 5  # within -t, so without the delay
