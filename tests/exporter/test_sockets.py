"""Listening sockets: from addresses as in Go, and from systemd."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ssh_exchange_exporter.web.sockets import ListenError, bind, from_systemd, parse_address

from .served import (
    ask,
    run,
    serving,
)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (":10922", (None, 10922)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:10922", ("::1", 10922)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("localhost:65535", ("localhost", 65535)),
        ("[]:1", None),
        ("::1:10922", None),
        ("[127.0.0.1]:1", None),
        ("localhost", None),
        ("10922", None),
        ("", None),
        (":", None),
        (":65536", None),
        (":-1", None),
        (":http", None),
        (":\u0661", None),
        ("vsock://:5", None),
        ("http://localhost:80", None),
    ],
)
def test_an_address_is_read_as_in_go(text: str, parsed: tuple[str | None, int] | None) -> None:
    if parsed is None:
        with pytest.raises(ListenError, match=r"^cannot listen on "):
            parse_address(text)
    else:
        assert parse_address(text) == parsed


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_every_address_means_both_families() -> None:
    sockets = bind(":0")
    assert len(sockets) == 1

    async def test() -> None:
        async with serving(sockets=sockets) as served:
            for host in ("127.0.0.1", "::1") if has_ipv6() else ("127.0.0.1",):
                streams = await served.connect(host=host)
                assert (await ask(streams)).body == b"hello"
                streams[1].close()

    run(test)


@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")
def test_several_addresses_are_served_together() -> None:
    sockets = bind("127.0.0.1:0") + bind("[::1]:0") + bind("localhost:0")

    async def test() -> None:
        async with serving(sockets=sockets):
            for each in list(sockets):
                streams = await asyncio.open_connection(*each.getsockname()[:2])
                assert (await ask(streams)).body == b"hello"
                streams[1].close()

    run(test)


def test_an_unusable_address_is_reported_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ListenError) as error:
            bind(f"127.0.0.1:{taken.getsockname()[1]}")
        assert "Address already in use" in str(error.value)
    with pytest.raises(ListenError, match=r"cannot listen on '192\.0\.2\.1:0': "):
        bind("192.0.2.1:0")
    with pytest.raises(ListenError, match="not a valid host name"):
        bind(f"{'a' * 64}.example:0")


def test_connections_of_a_unix_socket_are_served(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    listening.listen()
    inet = bind("127.0.0.1:0")

    async def test() -> None:
        async with serving(sockets=[*inet, listening], most_each=1):
            for _ in range(3):
                streams = await asyncio.open_unix_connection(tmp_path / "socket")
                assert (await ask(streams)).body == b"hello"
                streams[1].close()

    run(test)


PASSED = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
from ssh_exchange_exporter.web.sockets import ListenError, from_systemd
try:
    for each in from_systemd(os.environ):
        print(each.getsockname()[1], each.get_inheritable(), each.gettimeout())
except ListenError as error:
    print(error)
"""


def with_passed(sockets: list[socket.socket]) -> list[str]:
    """Return the output of a process that is started with the sockets as descriptors from 3."""

    def place() -> None:
        high = [os.dup2(each.fileno(), 100 + number) for number, each in enumerate(sockets)]
        for number, each in enumerate(high):
            os.dup2(each, 3 + number)

    environ = os.environ | {"LISTEN_FDS": str(len(sockets)), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", PASSED],
        env=environ,
        preexec_fn=place,
        close_fds=False,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_sockets_of_systemd_are_used() -> None:
    sockets = bind("127.0.0.1:0") + bind("127.0.0.1:0")
    assert with_passed(sockets) == [f"{each.getsockname()[1]} False 0.0" for each in sockets]
    for each in sockets:
        each.close()


def test_sockets_of_systemd_must_be_listening() -> None:
    with socket.socket() as idle, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for each in (idle, datagrams):
            assert "not a listening stream socket" in with_passed([each])[0] or "Protocol not" in with_passed([each])[0]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "99999", "LISTEN_PID": str(os.getpid())},
    ],
)
def test_missing_sockets_of_systemd_are_reported_in_a_sentence(environ: dict[str, str]) -> None:
    with pytest.raises(ListenError, match="systemd passed no socket"):
        from_systemd(environ)
