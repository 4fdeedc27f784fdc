"""The zoo: servers start, answer, log and leave nothing behind."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import chroots, processes, zoo

pytestmark = [pytest.mark.real, pytest.mark.skipif(zoo.missing() is not None, reason=zoo.missing() or "")]

SERVERS = [name for name in zoo.RECIPES if name not in ("haproxy", "stunnel")]
OPENSSH = [name for name in SERVERS if name.startswith("openssh")]
SECONDS = 60.0  # a server answers within milliseconds; the rest is for a busy machine
REFUSALS = ("Exceeded MaxStartups", "Not allowed at this time")


@pytest.fixture(scope="module", autouse=True)
def complete_zoo() -> None:
    zoo.build()


def first_line(connection: socket.socket) -> str:
    with connection.makefile("rb") as file:
        return file.readline(8192).decode("ascii").strip()


def connect(server: zoo.Server, address: str | None = None) -> socket.socket:
    return socket.create_connection((address or server.address, server.port), timeout=SECONDS)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_identifies_itself_logs_and_leaves_nothing_behind(name: str) -> None:
    with zoo.server(name) as server:
        with connect(server) as connection:
            identification = first_line(connection)
            connection.sendall(b"SSH-2.0-zoo\r\n")
            home = server.known_hosts.parent
            inhabited = processes.rooted_in(home)
        assert identification.startswith("SSH-2.0-")
        assert server.log()
        assert inhabited
        assert f"[{server.address}]:{server.port} ssh-" in server.known_hosts.read_text()
    assert server.process.returncode is not None
    assert not home.exists()
    assert not processes.rooted_in(home)
    assert not [pid for pid in inhabited if Path(f"/proc/{pid}/root").exists()]
    with pytest.raises(ConnectionRefusedError):
        connect(server)


@pytest.mark.parametrize("name", ["openssh-9.2", "dropbear-2022.83", "tinysshd"])
def test_a_server_listens_on_several_addresses_of_both_families(name: str) -> None:
    with zoo.server(name, address=["127.0.0.1", "127.0.0.2", "::1"]) as server:
        for address in server.addresses:
            with connect(server, address) as connection:
                assert first_line(connection).startswith("SSH-2.0-")


@pytest.mark.parametrize("name", OPENSSH)
def test_options_reach_sshd(name: str) -> None:
    with zoo.server(name, options={"MaxStartups": "3:100:3"}) as server:
        held = [connect(server) for _ in range(4)]
        try:
            assert first_line(held[-1]) in REFUSALS
        finally:
            for connection in held:
                connection.close()
        assert "drop connection #3" in server.log()


def test_two_servers_of_one_version_run_at_once_and_stop_apart() -> None:
    with zoo.server("openssh-10.0") as first:
        with zoo.server("openssh-10.0") as second:
            assert first.port != second.port
        with connect(first) as connection:
            assert first_line(connection).startswith("SSH-2.0-OpenSSH")


def test_a_damaged_copy_does_not_damage_the_zoo() -> None:
    with zoo.copy("openssh-9.2") as chroot:
        for key in (chroot.root / "etc/ssh").glob("ssh_host_*_key"):
            key.unlink()
        with pytest.raises(zoo.ZooError, match="no hostkeys available"):
            chroot.server().start()
    with zoo.server("openssh-9.2") as server, connect(server) as connection:
        assert first_line(connection).startswith("SSH-2.0-OpenSSH_9.2")


OWNER = """
import os, sys
from tests.lab import zoo
server = zoo.copy("openssh-9.2").server()
server.start()
print(server.known_hosts.parent, flush=True)
sys.stdin.read()
os._exit(0)
"""


def test_a_copy_and_server_left_by_a_dead_owner_are_removed_by_the_next() -> None:
    command, pipe = [sys.executable, "-c", OWNER], subprocess.PIPE
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=pipe, stdout=pipe, text=True) as owner:
        assert owner.stdout is not None
        home = Path(owner.stdout.readline().strip())
        # Who makes a copy removes what is left of the dead, and other tests do: none of them may come before our look.
        with chroots.locked(chroots.cache() / "runs.lock"):
            owner.communicate(timeout=SECONDS)
            assert processes.rooted_in(home)
    with zoo.copy("tinysshd"):
        assert not processes.rooted_in(home)
        assert not home.exists()
