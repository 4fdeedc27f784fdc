"""Depth login against a real server library that ends the connection in ways that sshd does not."""

import asyncio
import json
import queue
import threading
from pathlib import Path

import asyncssh
import pytest

from check_ssh_exchange.remote.cli import main
from tests.lab.fake_sshd import HEALTHY, FakeSshd
from tests.lab.front_door import check


class Refuser(asyncssh.SSHServer):
    """A server that disconnects for a reason that asyncssh's client also finds by itself."""

    def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connection = connection

    def begin_auth(self, username: str) -> bool:
        self._connection.disconnect(2, "Too many authentication failures")
        return True


async def serve_refusals(port: "queue.Queue[int]", end: threading.Event) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with await asyncssh.listen("127.0.0.1", 0, server_factory=Refuser, server_host_keys=[key]) as listener:
        port.put(listener.get_port())
        while not end.is_set():
            await asyncio.sleep(0.01)


def test_a_disconnect_of_the_server_is_not_taken_for_a_fault_that_the_client_found(tmp_path: Path) -> None:
    port: queue.Queue[int] = queue.Queue()
    end = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve_refusals(port, end)))
    thread.start()
    try:
        key = tmp_path / "key"
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(key))
        at = ["-H", "127.0.0.1", "-p", str(port.get(timeout=60)), "--depth", "login", "--user", "u"]
        answer = check(*at, "--identity", str(key), "--output-format", "json")
    finally:
        end.set()
        thread.join()
    told = json.loads(answer.out)
    assert {h["ending"] for h in told["handshakes"]} == {"closed_after_banner"}, told["handshakes"]
    assert {h["detail"] for h in told["handshakes"]} == {"Too many authentication failures"}


def broken(*_: object) -> None:
    raise LookupError("a fault of ours")


# Under asyncio the exceptions of callbacks and tasks are lost, and the server would be said to be silent.
@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        ("login.LoginConnection._received", 3, "SSH UNKNOWN - internal error, please report it: LookupError"),
        ("login.Client.connect", 2, "SSH CRITICAL - 5 of 5 handshakes"),
    ],
)
def test_a_fault_of_ours_is_not_taken_for_the_servers_silence(
    monkeypatch: pytest.MonkeyPatch, where: str, code: int, said: str
) -> None:
    monkeypatch.setattr(f"check_ssh_exchange.probe.{where}", broken)
    with FakeSshd(HEALTHY) as server:
        told, output = main(["-H", server.address, "-p", str(server.port), "--depth", "kex", "-vv"])
    assert (told, output[: len(said)]) == (code, said)
    assert "LookupError" in output
