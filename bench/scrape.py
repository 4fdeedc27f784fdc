"""A client as Prometheus is one: its headers, connections that are kept, gzip; on the servers' CPU, not on ours."""

import asyncio
import gzip
import http.client
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tests.lab import busy_server as server

TIMEOUT = 10
TEXT = "text/plain;version=0.0.4"
# Prometheus 2.42's
ACCEPT = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
ACCEPT += f"{TEXT};q=0.5,*/*;q=0.1"
_EACH = 100  # connections from one address: a server may hold more against us
SECONDS = 120.0


class NoAnswer(Exception):
    """A scrape was not answered as it should be; the message says how."""


@contextmanager
def aside() -> Iterator[None]:
    """Work on the servers' CPU for a while."""
    os.sched_setaffinity(0, server.THEIR_CPU)
    try:
        yield
    finally:
        os.sched_setaffinity(0, server.OUR_CPU)


class Page(NamedTuple):
    """An answer: how many bytes its body came in, what it says, and how long it took in seconds."""

    packed: int
    text: str
    took: float


class _Download(NamedTuple):
    body: bytes
    coding: str | None
    took: float


def download(port: int, path: str, accept: str = ACCEPT, coding: str = "gzip") -> _Download:
    """Ask once, on a connection of its own, and leave the answer packed. Raises NoAnswer unless it is a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        begun = time.monotonic()
        connection.request("GET", path, headers={"Accept": accept, "Accept-Encoding": coding})
        response = connection.getresponse()
        body = response.read()
        took = time.monotonic() - begun
        if response.status != 200:
            raise NoAnswer(f"{path}: {response.status} {body[:200]!r}")
        return _Download(body, response.headers["Content-Encoding"], took)
    finally:
        connection.close()


def page(port: int, path: str, accept: str = ACCEPT, coding: str = "gzip") -> Page:
    """Ask once and read the answer. Raises NoAnswer unless it is a 200."""
    body, packing, took = download(port, path, accept, coding)
    return Page(len(body), (gzip.decompress(body) if packing == "gzip" else body).decode(), took)


class Flood:
    """Connections that are open already, so that their opening is in no figure; to be used in one asyncio loop."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._clients: list[_Client] = []

    async def open(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for number in range(count):
            source = (f"127.0.0.{2 + number // _EACH}", 0)
            _, client = await loop.create_connection(_Client, "127.0.0.1", self._port, local_addr=source)
            self._clients.append(client)

    async def ask(self, paths: Sequence[str]) -> list[bytes]:
        """Return the whole answers, head and body as they came."""
        left = iter(paths)

        async def ask_on(client: _Client) -> list[bytes]:
            return [await client.ask(path) for path in left]

        async with asyncio.timeout(SECONDS):
            found = await asyncio.gather(*map(ask_on, self._clients))
        return list(itertools.chain.from_iterable(found))

    def close(self) -> None:
        for client in self._clients:
            client.close()


class _Client(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    async def ask(self, path: str) -> bytes:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Prometheus/2.42.0\r\nAccept: {ACCEPT}\r\n"
        head += f"Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: {TIMEOUT}\r\n\r\n"
        self._transport.write(head.encode())
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank or self._answer is None:
            return
        length = _length(head)
        if body.endswith(b"0\r\n\r\n") if length is None else len(body) >= length:
            answer, self._buffer = self._buffer, b""
            self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(NoAnswer(f"the connection was closed before the answer was whole: {exc}"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _length(head: bytes) -> int | None:
    """Return how long the body is, None when it comes in chunks."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else None


def text(answer: bytes) -> str:
    """Return what an answer says. Raises NoAnswer unless it is a 200."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0]
    if _length(head) is None:
        body = b"".join(_chunks(body))
    unpacked = gzip.decompress(body) if b"content-encoding: gzip" in head.lower() else body
    if b" 200 " not in status:
        raise NoAnswer(f"{status.decode()}: {unpacked[:200]!r}")
    return unpacked.decode()


def _chunks(body: bytes) -> Iterator[bytes]:
    while body:
        size, _, rest = body.partition(b"\r\n")
        yield rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]
