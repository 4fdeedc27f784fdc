"""A tiny application behind a door, and clients of it."""

import asyncio
import contextlib
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from ssh_exchange_exporter.web.listener import Listener
from ssh_exchange_exporter.web.middleware import access_control, response_preparation
from ssh_exchange_exporter.web.sockets import bind
from ssh_exchange_exporter.web.web_config import LiveWebConfig

LARGE = 32 << 20
PATIENT = 20.0  # seconds after which a test gives up
GET = b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Answer(NamedTuple):
    status: int
    head: str
    body: bytes


class Served(NamedTuple):
    listener: Listener
    port: int
    handled: list[str]
    go: asyncio.Event  # until it is set, /held has no answer

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
    go = asyncio.Event()

    async def hello(request: web.Request) -> web.Response:
        handled.append(request.path)
        return web.Response(text="hello")

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LARGE))

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query["seconds"]))
        return web.Response(text="late")

    async def held(_: web.Request) -> web.Response:
        await go.wait()
        return web.Response(text="late")

    async def broken(_: web.Request) -> web.Response:
        raise web.HTTPBadGateway(text="broken")

    app = web.Application(middlewares=[access_control(live)])
    app.router.add_get("/", hello)
    app.router.add_get("/-/healthy", hello)
    app.router.add_get("/large", large)
    app.router.add_get("/slow", slow)
    app.router.add_get("/held", held)
    app.router.add_get("/broken", broken)
    app.on_response_prepare.append(response_preparation(live))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    bound = bind("127.0.0.1:0") if sockets is None else sockets
    listener = Listener(bound, runner.server, live, **options)
    try:
        yield Served(listener, bound[0].getsockname()[1], handled, go)
    finally:
        await listener.close()
        await runner.cleanup()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs it, and fails when asyncio had anything to complain of."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await test()

    asyncio.run(watched())
    assert complaints == []


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENT):
        while not condition():
            await asyncio.sleep(0.01)


TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"


def configured(tmp_path: Path, text: str) -> LiveWebConfig:
    (tmp_path / "web.yml").write_text(text)
    return LiveWebConfig(tmp_path / "web.yml")


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
