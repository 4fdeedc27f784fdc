"""Connections over real sockets: TLS, client certificates, users, deadlines, floods, addresses, systemd."""

import asyncio
import base64
import contextlib
import logging
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bcrypt
import pytest
from aiohttp import web

from ssh_exchange_exporter.web.door import Door, origin
from ssh_exchange_exporter.web.guard import guard, note_answered
from ssh_exchange_exporter.web.sockets import CannotListen, bind, from_systemd, parse_address
from ssh_exchange_exporter.web.visitor import Deadlines
from ssh_exchange_exporter.web.web_config import LiveWebConfig

from .certificates import authority, certificate

LARGE = 32 << 20
PATIENT = 20.0  # seconds after which a test gives up
GET = b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Answer(NamedTuple):
    status: int
    head: str
    body: bytes


class Served(NamedTuple):
    door: Door
    port: int
    handled: list[str]

    async def connect(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Streams:
        name = "localhost" if context is not None else None
        return await asyncio.open_connection(host, self.port, ssl=context, server_hostname=name)

    async def get(self, path: str = "/", *headers: str, context: ssl.SSLContext | None = None) -> Answer:
        streams = await self.connect(context)
        try:
            return await ask(streams, path, *headers)
        finally:
            streams[1].close()


async def ask(streams: Streams, path: str = "/", *headers: str) -> Answer:
    reader, writer = streams
    writer.write(GET % (path.encode(), "".join(f"{header}\r\n" for header in headers).encode()))
    async with asyncio.timeout(PATIENT):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line[15:]) for line in head.lower().splitlines() if line.startswith("content-length:"))
        return Answer(int(head.split()[1]), head, await reader.readexactly(length))


async def is_dropped(streams: Streams) -> bool:
    """Whether the other side ends the connection; whatever it still sends is read away."""
    reader, writer = streams
    try:
        async with asyncio.timeout(PATIENT):
            while await reader.read(1 << 16):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    finally:
        writer.close()
    return True


@contextlib.asynccontextmanager
async def serving(
    live: LiveWebConfig | None = None,
    sockets: list[socket.socket] | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """A tiny application behind a door."""
    handled: list[str] = []

    async def hello(request: web.Request) -> web.Response:
        handled.append(request.path)
        return web.Response(text="hello")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE))

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query["seconds"]))
        return web.Response(text="late")

    async def broken(_: web.Request) -> web.Response:
        raise web.HTTPBadGateway(text="broken")

    app = web.Application(middlewares=[guard(live)])
    app.router.add_get("/", hello)
    app.router.add_get("/-/healthy", hello)
    app.router.add_get("/large", large)
    app.router.add_get("/slow", slow)
    app.router.add_get("/broken", broken)
    app.on_response_prepare.append(note_answered)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    bound = bind("127.0.0.1:0") if sockets is None else sockets
    door = Door(bound, runner.server, live, **options)
    try:
        yield Served(door, bound[0].getsockname()[1], handled)
    finally:
        await door.shut()
        await runner.cleanup()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs it, and fails when asyncio had anything to complain of."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await test()

    asyncio.run(watched())
    assert complaints == []


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT):
        while not condition():
            await asyncio.sleep(0.01)


# Users, rate and headers


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def configured(tmp_path: Path, text: str) -> LiveWebConfig:
    (tmp_path / "web.yml").write_text(text)
    return LiveWebConfig(tmp_path / "web.yml")


USERS = f"basic_auth_users: {{ann: {bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}}}\n"
HEADERS = "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: default-src 'self'}}\n"


def test_only_users_come_in_whatever_they_ask_for(tmp_path: Path) -> None:
    live = configured(tmp_path, USERS + HEADERS)

    async def test() -> None:
        async with serving(live) as served:
            for path in ("/", "/-/healthy", "/nowhere"):
                answer = await served.get(path)
                assert answer.status == 401
                assert "WWW-Authenticate: Basic\r\n" in answer.head
                assert "X-Frame-Options: deny\r\n" in answer.head
            for odd in ("Authorization: ", "Authorization: Basic \xff", "Authorization: Basic ====", basic("ann", "x")):
                assert (await served.get("/", odd)).status == 401
            assert served.handled == []
            assert (await served.get("/", basic("ann", "secret"))).body == b"hello"

    run(test)


def test_configured_headers_are_on_every_response(tmp_path: Path) -> None:
    live = configured(tmp_path, HEADERS)

    async def test() -> None:
        async with serving(live) as served:
            for path, status in (("/", 200), ("/nowhere", 404), ("/broken", 502)):
                answer = await served.get(path)
                assert answer.status == status
                assert "X-Frame-Options: deny\r\n" in answer.head
                assert "Content-Security-Policy: default-src 'self'\r\n" in answer.head

    run(test)


def test_above_the_rate_limit_comes_429(tmp_path: Path) -> None:
    live = configured(tmp_path, USERS + "rate_limit: {interval: 1h, burst: 2}\n")

    async def test() -> None:
        async with serving(live) as served:
            statuses = [(await served.get("/", basic("ann", "secret"))).status for _ in range(4)]
            assert statuses == [200, 200, 429, 429]

    run(test)


# TLS


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Authorities `ours` and `theirs`; certificates for the server (twice) and for clients."""
    where = tmp_path_factory.mktemp("signed")
    ours, theirs = authority(where, "ours"), authority(where, "theirs")
    for name in ("server", "renewed"):
        certificate(where, name, ours, "DNS:localhost", "IP:127.0.0.1")
    certificate(where, "prometheus", ours, "DNS:prometheus.example", use="clientAuth")
    certificate(where, "someone", ours, "DNS:someone.example", use="clientAuth")
    certificate(where, "foreign", theirs, "DNS:prometheus.example", use="clientAuth")
    return where


TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
VERIFIED = "  client_auth_type: {}\n  client_ca_file: ours.pem\n"


def tls(tmp_path: Path, signed: Path, text: str) -> LiveWebConfig:
    for name in ("server.pem", "server.key", "ours.pem"):
        shutil.copy(signed / name, tmp_path / name)
    return configured(tmp_path, text)


def client(signed: Path, name: str | None = None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(signed / "ours.pem"))
    if name is not None:
        context.load_cert_chain(signed / f"{name}.pem", signed / f"{name}.key")
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


async def comes_in(served: Served, context: ssl.SSLContext) -> bool:
    try:
        return (await served.get("/", context=context)).status == 200
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return False


def test_new_certificates_need_no_restart(tmp_path: Path, signed: Path) -> None:
    live = tls(tmp_path, signed, TLS)

    async def serial(served: Served) -> str:
        streams = await served.connect(client(signed))
        shown = streams[1].get_extra_info("peercert")
        assert (await ask(streams)).body == b"hello"
        streams[1].close()
        return str(shown["serialNumber"])

    async def test() -> None:
        async with serving(live) as served:
            held = await served.connect(client(signed))
            before = await serial(served)
            for suffix in ("pem", "key"):
                shutil.copy(signed / f"renewed.{suffix}", tmp_path / f"server.{suffix}")
            await asyncio.to_thread(live.look)
            assert await serial(served) != before
            assert (await ask(held)).status == 200  # what was open stays so
            held[1].close()

    run(test)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("mode", "name", "admitted"),
    [
        ("RequireAndVerifyClientCert", "prometheus", True),
        ("RequireAndVerifyClientCert", None, False),
        ("RequireAndVerifyClientCert", "foreign", False),
        ("RequireAndVerifyClientCert", "server", False),  # a certificate, but none for clients
        ("VerifyClientCertIfGiven", "prometheus", True),
        ("VerifyClientCertIfGiven", None, True),
        ("VerifyClientCertIfGiven", "foreign", False),
    ],
)
def test_a_client_comes_in_by_its_certificate(
    tmp_path: Path, signed: Path, version: ssl.TLSVersion, mode: str, name: str | None, admitted: bool
) -> None:
    live = tls(tmp_path, signed, TLS + VERIFIED.format(mode))

    async def test() -> None:
        async with serving(live) as served:
            assert await comes_in(served, client(signed, name, version)) is admitted
            assert len(served.handled) == int(admitted)
            await until(lambda: served.door.open == 0)

    run(test)


@pytest.mark.parametrize(("name", "admitted"), [("prometheus", True), ("someone", False)])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_an_allowed_name_comes_in(
    tmp_path: Path, signed: Path, version: ssl.TLSVersion, name: str, admitted: bool
) -> None:
    allowed = "  client_allowed_sans: [prometheus.example]\n"
    live = tls(tmp_path, signed, TLS + VERIFIED.format("RequireAndVerifyClientCert") + allowed)

    async def test() -> None:
        async with serving(live) as served:
            assert await comes_in(served, client(signed, name, version)) is admitted
            assert len(served.handled) == int(admitted)
            await until(lambda: served.door.open == 0)

    run(test)


def test_a_failed_handshake_is_no_news(tmp_path: Path, signed: Path, caplog: pytest.LogCaptureFixture) -> None:
    live = tls(tmp_path, signed, TLS)

    async def test() -> None:
        async with serving(live) as served:
            for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(300), b""):
                streams = await served.connect()
                streams[1].write(sent)
                if sent:
                    assert await is_dropped(streams)
                streams[1].close()
            strict = ssl.create_default_context()  # does not know our authority
            assert not await comes_in(served, strict)
            await until(lambda: served.door.open == 0)
            assert await comes_in(served, client(signed))

    with caplog.at_level(logging.INFO):
        run(test)
    assert caplog.text == ""


def test_a_handshake_has_its_deadline(tmp_path: Path, signed: Path) -> None:
    live = tls(tmp_path, signed, TLS)

    async def test() -> None:
        async with serving(live, deadlines=Deadlines(handshake=0.2)) as served:
            assert await is_dropped(await served.connect())
            await until(lambda: served.door.open == 0)

    run(test)


# Deadlines


def only(**short: float) -> Deadlines:
    return Deadlines(60, 60, 60, 60)._replace(**short)


def test_a_client_that_says_nothing_is_dropped() -> None:
    async def test() -> None:
        async with serving(deadlines=only(head=0.2)) as served:
            assert await is_dropped(await served.connect())
            await until(lambda: served.door.open == 0)

    run(test)


def test_half_a_head_is_dropped_however_often_a_byte_comes() -> None:
    async def test() -> None:
        async with serving(deadlines=only(head=0.5)) as served:
            streams = await served.connect()
            streams[1].write(b"GET / HTTP/1.1\r\nX: ")

            async def drip() -> None:
                while True:
                    streams[1].write(b"x")
                    await asyncio.sleep(0.05)

            dripping = asyncio.create_task(drip())
            assert await is_dropped(streams)
            dripping.cancel()
            assert served.handled == []

    run(test)


def test_half_a_second_request_is_dropped() -> None:
    async def test() -> None:
        async with serving(deadlines=only(head=0.3)) as served:
            streams = await served.connect()
            assert (await ask(streams)).status == 200
            streams[1].write(b"GET / HT")
            assert await is_dropped(streams)

    run(test)


def test_an_idle_connection_is_dropped() -> None:
    async def test() -> None:
        async with serving(deadlines=only(answer=0.3)) as served:
            streams = await served.connect()
            assert (await ask(streams)).status == 200
            assert (await ask(streams)).status == 200
            assert await is_dropped(streams)
            await until(lambda: served.door.open == 0)

    run(test)


@pytest.mark.parametrize("with_tls", [False, True])
def test_a_client_that_does_not_take_its_response_is_dropped(tmp_path: Path, signed: Path, with_tls: bool) -> None:
    live = tls(tmp_path, signed, TLS) if with_tls else None
    context = client(signed) if with_tls else None

    async def test() -> None:
        async with serving(live, deadlines=only(answer=0.3)) as served:
            for rest in (b"", b"Connection: close\r\n"):
                _, writer = await served.connect(context)
                writer.write(GET % (b"/large", rest))  # a stream that nobody reads stops taking after a while
                await until(lambda: served.door.open == 1)
                await until(lambda: served.door.open == 0)
                writer.transport.abort()

    run(test)


def test_a_handler_has_its_deadline() -> None:
    async def test() -> None:
        async with serving(deadlines=only(handling=0.2)) as served:
            streams = await served.connect()
            streams[1].write(GET % (b"/slow?seconds=3", b""))
            assert await is_dropped(streams)

    run(test)


def test_a_slow_handler_outlives_the_other_deadlines() -> None:
    async def test() -> None:
        async with serving(deadlines=Deadlines(0.3, 0.3, 60, 60)) as served:
            streams = await served.connect()
            assert (await ask(streams, "/slow?seconds=0.8")).body == b"late"
            assert (await ask(streams)).body == b"hello"
            streams[1].close()

    run(test)


def test_a_large_response_is_taken_whole() -> None:
    async def test() -> None:
        async with serving() as served:
            assert len((await served.get("/large")).body) == LARGE

    run(test)


def test_nonsense_is_answered_with_400_and_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving() as served:
            for sent in (b"\0\1\2\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"):
                streams = await served.connect()
                streams[1].write(sent)
                async with asyncio.timeout(PATIENT):
                    assert b" 400 " in await streams[0].readline()
                assert await is_dropped(streams)
            assert (await served.get()).status == 200

    with caplog.at_level(logging.INFO):
        run(test)
    assert caplog.text == ""


# Floods


@pytest.fixture
def idle_clients() -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    yield opened
    for each in opened:
        each.close()


async def flood(served: Served, number: int, opened: list[socket.socket]) -> None:
    for begun in range(number):
        opened.append(socket.create_connection(("127.0.0.1", served.port)))
        if begun % 50 == 0:
            await asyncio.sleep(0.01)
    await until(lambda: served.door.open + served.door.refused + served.door.evicted >= number)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("with_tls", [False, True])
def test_a_flood_of_idle_connections_leaves_the_door_serving(
    tmp_path: Path, signed: Path, with_tls: bool, idle_clients: list[socket.socket]
) -> None:
    live = tls(tmp_path, signed, TLS) if with_tls else None
    context = client(signed) if with_tls else None

    async def test() -> None:
        async with serving(live, most=64, most_each=48) as served:
            before = descriptors()
            await flood(served, 700, idle_clients)
            assert served.door.open <= 48
            await until(lambda: descriptors() - before - 700 <= 64)
            for _ in range(3):
                assert (await served.get("/", context=context)).body == b"hello"

    run(test)


def test_taking_a_whole_backlog_leaves_the_loop_to_others(idle_clients: list[socket.socket]) -> None:
    async def test() -> None:
        sockets = bind("127.0.0.1:0")
        for _ in range(300):
            idle_clients.append(socket.create_connection(sockets[0].getsockname()))
        async with serving(sockets=sockets, most_each=400) as served:
            for _ in range(5):
                await asyncio.sleep(0)
            assert served.door.open < 100
            await until(lambda: served.door.open == 300)

    run(test)


def test_connections_at_work_are_not_evicted_but_new_ones_closed(idle_clients: list[socket.socket]) -> None:
    async def test() -> None:
        async with serving(most=4) as served:
            working = [asyncio.create_task(served.get("/slow?seconds=1.5")) for _ in range(4)]
            await until(lambda: sum(not guest.visitor.is_idle for guest in served.door._guests) == 4)
            await flood(served, 20, idle_clients)
            assert served.door.refused == 20
            assert [answer.body for answer in await asyncio.gather(*working)] == [b"late"] * 4
            assert (await served.get()).status == 200

    run(test)


def test_one_origin_cannot_take_all_places(idle_clients: list[socket.socket]) -> None:
    async def test() -> None:
        async with serving(most=100, most_each=10) as served:
            other = await asyncio.open_connection("127.0.0.1", served.port, local_addr=("127.0.0.2", 0))
            assert (await ask(other)).status == 200
            await flood(served, 50, idle_clients)
            assert served.door.open == 11
            assert (await ask(other)).status == 200  # the longest idle one, but not of the flooder
            other[1].close()

    run(test)


def test_without_descriptors_the_door_waits_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving() as served:
            waiting = socket.socket()
            waiting.setblocking(False)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, hard))
            try:
                # Whatever is free below: nothing may be left.
                spare = []
                with contextlib.suppress(OSError):
                    while True:
                        spare.append(os.dup(waiting.fileno()))
                with contextlib.suppress(BlockingIOError):
                    waiting.connect(("127.0.0.1", served.port))
                await until(lambda: "cannot take a connection: Too many open files" in caplog.text)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for each in spare:
                    os.close(each)
            streams = await asyncio.open_connection(sock=waiting)
            assert (await ask(streams)).body == b"hello"
            streams[1].close()

    run(test)
    assert caplog.text.count("cannot take a connection") == 1


def test_a_shut_door_takes_nobody_but_lets_requests_end() -> None:
    async def test() -> None:
        async with serving() as served:
            working = asyncio.create_task(served.get("/slow?seconds=0.5"))
            await until(lambda: any(not guest.visitor.is_idle for guest in served.door._guests))
            await served.door.shut()
            with pytest.raises(ConnectionRefusedError):
                await served.connect()
            assert (await working).body == b"late"

    run(test)


def test_a_thousand_connections_leave_nothing_behind(tmp_path: Path, signed: Path) -> None:
    live = tls(tmp_path, signed, TLS)
    context = client(signed)

    async def test() -> None:
        async with serving(live) as served:
            assert await comes_in(served, context)
            await until(lambda: served.door.open == 0)
            before, tasks = descriptors(), len(asyncio.all_tasks())
            for _ in range(20):
                await asyncio.gather(*(comes_in(served, context) for _ in range(5)))
                for streams in [await served.connect() for _ in range(45)]:
                    streams[1].close()
            await until(lambda: served.door.open == 0)
            await until(lambda: descriptors() <= before and len(asyncio.all_tasks()) <= tasks)

    run(test)


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::", 5, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
        ("", ""),
        (b"\0abc", ""),
    ],
)
def test_an_origin_is_an_ipv4_address_or_an_ipv6_network(address: object, whose: str) -> None:
    assert origin(address) == whose


# Addresses


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
        with pytest.raises(CannotListen, match=r"^cannot listen on "):
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
def test_several_addresses_are_served_by_one_door() -> None:
    sockets = bind("127.0.0.1:0") + bind("[::1]:0") + bind("localhost:0")

    async def test() -> None:
        async with serving(sockets=sockets):
            for each in list(sockets):
                streams = await asyncio.open_connection(*each.getsockname()[:2])
                assert (await ask(streams)).body == b"hello"
                streams[1].close()

    run(test)


def test_an_address_in_use_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(CannotListen) as fault:
            bind(f"127.0.0.1:{taken.getsockname()[1]}")
        assert "Address already in use" in str(fault.value)
    with pytest.raises(CannotListen, match=r"cannot listen on '192\.0\.2\.1:0': "):
        bind("192.0.2.1:0")
    with pytest.raises(CannotListen, match="not a host name"):
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


# systemd

PASSED = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
from ssh_exchange_exporter.web.sockets import CannotListen, from_systemd
try:
    for each in from_systemd(os.environ):
        print(each.getsockname()[1], each.get_inheritable(), each.gettimeout())
except CannotListen as fault:
    print(fault)
"""


def with_passed(sockets: list[socket.socket]) -> list[str]:
    """What a process says that was given the sockets as descriptors from 3."""

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


def test_sockets_of_systemd_are_taken() -> None:
    sockets = bind("127.0.0.1:0") + bind("127.0.0.1:0")
    assert with_passed(sockets) == [f"{each.getsockname()[1]} False 0.0" for each in sockets]
    for each in sockets:
        each.close()


def test_what_systemd_passes_must_be_listening() -> None:
    with socket.socket() as idle, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for each in (idle, datagrams):
            assert "no listening stream socket" in with_passed([each])[0] or "Protocol not" in with_passed([each])[0]


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
def test_without_passed_sockets_there_is_a_sentence(environ: dict[str, str]) -> None:
    with pytest.raises(CannotListen, match="systemd has passed no socket"):
        from_systemd(environ)
