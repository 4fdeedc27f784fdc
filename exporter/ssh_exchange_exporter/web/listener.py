"""Takes connections at the listening sockets, never more than so many: a flood costs the flooder's, not the others'."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from aiohttp import web

from .http_connection import DEADLINES, Deadlines, HttpConnection
from .tls import is_allowed
from .web_config import LiveWebConfig

log = logging.getLogger("ssh_exchange_exporter")

# Pressure that passes: no descriptor or buffer free just now.
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE = 0.2
# A Prometheus keeps a connection for each scrape under way: of 2,000 targets in a dead network, each minute and ten
# seconds each, 333 at once.
MOST = 2048
MOST_EACH = 1024
SAY_EACH = 60.0  # seconds between two log lines about the same


def origin(address: Any) -> str:
    """Whom a state's address belongs to: IPv4 addresses one by one, IPv6 by /64, all of a Unix socket to ''."""
    try:
        # A zone is no part of the address as a number.
        found = ipaddress.ip_address(str(address[0]).partition("%")[0])
    except (ValueError, IndexError, TypeError):
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found)


class ClientConnection:
    """A connection that was taken; before its handshake is over, there is a task but no transport."""

    __slots__ = ("_taken", "http", "origin", "task")

    def __init__(self, origin: str, http: HttpConnection, taken: socket.socket) -> None:
        self.origin = origin
        self.http = http
        self._taken = taken
        self.task: asyncio.Task[None] | None = None

    def abort(self) -> None:
        """Ends it now, whatever it is at."""
        if self.http.has_come:
            self.http.abort()
        else:
            # Its socket belongs to asyncio now, and a cancelled handshake is not always ended by it: the end of the
            # stream is, wherever the handshake stands.
            with contextlib.suppress(OSError):
                self._taken.shutdown(socket.SHUT_RDWR)


class Listener:
    """Takes connections from its construction (in a running loop) until it is shut; `server` is AppRunner.server.

    At most `most` are open at once, and `most_each` of one origin: the next one takes the place of the longest idle
    one, and is closed at once when there is none; `lost` is told of either. Each takes TLS as `live` has it just then.
    """

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        server: web.Server,
        live: LiveWebConfig | None,
        *,
        most: int = MOST,
        most_each: int = MOST_EACH,
        deadlines: Deadlines = DEADLINES,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.most = most
        self.most_each = most_each
        self.refused = 0
        self.evicted = 0
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._live = live
        self._deadlines = deadlines
        self._lost = lost
        self._connections: dict[ClientConnection, None] = {}
        self._theirs: Counter[str] = Counter()
        self._said: dict[str, float] = {}
        self._sockets = list(sockets)
        for each in self._sockets:
            each.settimeout(0)
        self._tasks = [self._loop.create_task(self._take(each)) for each in self._sockets]

    @property
    def open(self) -> int:
        """Connections that are open, those still in their TLS handshake included."""
        return len(self._connections)

    async def close(self) -> None:
        """Takes no more connections, closes the sockets, and ends the handshakes; requests in hand go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._sockets:
            each.close()
        early = [connection for connection in self._connections if not connection.http.has_come]
        for connection in early:
            connection.abort()
        handshakes = [connection.task for connection in early if connection.task is not None]
        if handshakes:
            await asyncio.wait(handshakes, timeout=1.0)

    async def _take(self, listening: socket.socket) -> None:
        while True:
            try:
                taken, address = await self._loop.sock_accept(listening)
            except OSError as error:
                await self._after(error)
                continue
            self._receive(taken, origin(address))
            # With the next one already there, accepting would not wait: in a flood, nothing else would run.
            await asyncio.sleep(0)

    async def _after(self, error: OSError) -> None:
        """A failed accept is never the end of accepting."""
        if error.errno in SCARCE:
            self._evict(None)
        if error.errno not in (errno.ECONNABORTED, errno.EPROTO):
            self._say("accept", f"cannot take a connection: {error.strerror}")
            await asyncio.sleep(PAUSE)
        else:
            await asyncio.sleep(0)

    def _receive(self, taken: socket.socket, whose: str) -> None:
        if whose and self._theirs[whose] >= self.most_each:
            has_room = self._evict(whose)
        else:
            has_room = len(self._connections) < self.most or self._evict(None)
        if not has_room:
            self.refused += 1
            self._lost()
            self._say("full", f"{self.open} connections are in use: the next ones are closed at once")
            taken.close()
            return
        live = self._live
        sans = live.allowed_sans if live is not None else None
        http = HttpConnection(
            self._server,
            loop=self._loop,
            deadlines=self._deadlines,
            allows=None if sans is None else partial(is_allowed, allowed=sans),
        )
        connection = ClientConnection(whose, http, taken)
        http.gone = partial(self._leave, connection)
        self._connections[connection] = None
        self._theirs[whose] += 1
        context = live.context if live is not None else None
        connection.task = self._loop.create_task(self._welcome(taken, http, context))
        connection.task.add_done_callback(partial(self._welcomed, connection))

    async def _welcome(self, taken: socket.socket, http: HttpConnection, context: ssl.SSLContext | None) -> None:
        await self._loop.connect_accepted_socket(
            lambda: http,
            taken,
            ssl=context,
            ssl_handshake_timeout=None if context is None else self._deadlines.handshake,
        )

    def _welcomed(self, connection: ClientConnection, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # A scanner, a wrong certificate, a client that went away: asking for the exception keeps asyncio quiet.
            log.debug("no connection from %s: %s", connection.origin or "a local client", error)
            if not isinstance(error, OSError):
                self._say("welcome", f"a connection could not be set up: {type(error).__name__}")
        if not connection.http.has_come:
            self._leave(connection)

    def _evict(self, whose: str | None) -> bool:
        """Makes room by the longest idle connection (of one origin); False when all are at work."""
        idle = [
            connection
            for connection in self._connections
            if connection.http.is_idle and whose in (None, connection.origin)
        ]
        if not idle:
            return False
        longest = min(idle, key=lambda connection: connection.http.idle_since)
        self.evicted += 1
        self._lost()
        self._say("evict", f"{self.open} connections are open: idle ones make room")
        self._leave(longest)
        longest.abort()
        return True

    def _leave(self, connection: ClientConnection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            self._theirs -= {connection.origin: 1}

    def _say(self, what: str, sentence: str) -> None:
        """Warns, but never as often as a client may want to."""
        now = self._loop.time()
        if now - self._said.get(what, -SAY_EACH) >= SAY_EACH:
            self._said[what] = now
            log.warning("%s", sentence)
