"""Accept connections, limited in total and per client network, so that a flooding client loses only its own."""

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

from .. import ip_address
from .http_connection import DEADLINES, Deadlines, HttpConnection
from .tls import is_allowed
from .web_config import LiveWebConfig

log = logging.getLogger("ssh_exchange_exporter")

# Errors that pass: no descriptor or buffer is free now.
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE = 0.2
# OpenSSL's reasons where a client has shown no certificate, or one that client_ca_file does not vouch for.
REFUSED_CERTIFICATE = ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "CERTIFICATE_VERIFY_FAILED")
# Prometheus holds a connection for each scrape in flight: 2,000 targets in a dead network, each scraped every minute
# for ten seconds, make 333 at once.
MOST = 2048
MOST_EACH = 1024
WARN_INTERVAL = 60.0  # seconds between two log lines about the same event


def origin(address: Any) -> str:
    """Return the client network of a peer address: the IPv4 address, the IPv6 /64, or "" for a Unix socket."""
    try:
        # A zone does not change the network.
        found = ip_address.parse(str(address[0]).partition("%")[0])
    except (IndexError, TypeError):
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
    return "" if found is None else str(found)


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return str(error.reason).replace("_", " ").lower()


class ClientConnection:
    """An accepted connection; during its TLS handshake it has a task and no transport."""

    __slots__ = ("_socket", "http", "origin", "task")

    def __init__(self, origin: str, http: HttpConnection, accepted: socket.socket) -> None:
        self.origin = origin
        self.http = http
        self._socket = accepted
        self.task: asyncio.Task[None] | None = None

    def abort(self) -> None:
        """Close the connection at once, also during the TLS handshake."""
        if self.http.is_established:
            self.http.abort()
        else:
            # asyncio owns the socket now, and cancelling the task does not end every handshake. The end of the stream
            # does, at any stage.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class Listener:
    """Accept connections from construction (in a running loop) until `close`; `server` is AppRunner.server.

    At most `most` are open, at most `most_each` from one client network. A further one replaces the connection that has
    been idle longest, or is closed at once where none is idle; `lost` is called in both cases. Each connection gets the
    TLS settings that `live` has when it is accepted.
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
        self._by_origin: Counter[str] = Counter()
        self._warned_at: dict[str, float] = {}
        self._sockets = list(sockets)
        for each in self._sockets:
            each.settimeout(0)
        self._tasks = [self._loop.create_task(self._accept(each)) for each in self._sockets]

    @property
    def open(self) -> int:
        """Return the number of open connections, including those in a TLS handshake."""
        return len(self._connections)

    async def close(self) -> None:
        """Close the listening sockets and abort TLS handshakes; requests in progress continue."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._sockets:
            each.close()
        early = [connection for connection in self._connections if not connection.http.is_established]
        for connection in early:
            connection.abort()
        handshakes = [connection.task for connection in early if connection.task is not None]
        if handshakes:
            await asyncio.wait(handshakes, timeout=1.0)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                accepted, address = await self._loop.sock_accept(listening)
            except OSError as error:
                await self._recover(error)
                continue
            self._receive(accepted, origin(address))
            # With a connection waiting, sock_accept() returns without a pause: in a flood no other task would run.
            await asyncio.sleep(0)

    async def _recover(self, error: OSError) -> None:
        """Handle a failed accept: make room where descriptors ran out, and continue."""
        if error.errno in SCARCE:
            self._evict(None)
        if error.errno not in (errno.ECONNABORTED, errno.EPROTO):
            self._warn("accept", f"cannot accept a connection: {error.strerror}")
            await asyncio.sleep(PAUSE)
        else:
            await asyncio.sleep(0)

    def _receive(self, accepted: socket.socket, whose: str) -> None:
        if whose and self._by_origin[whose] >= self.most_each:
            has_room = self._evict(whose)
        else:
            has_room = len(self._connections) < self.most or self._evict(None)
        if not has_room:
            self.refused += 1
            self._lost()
            self._warn("full", f"{self.open} connections are busy: new ones are closed at once")
            accepted.close()
            return
        live = self._live
        sans = live.allowed_sans if live is not None else None
        http = HttpConnection(
            self._server,
            loop=self._loop,
            deadlines=self._deadlines,
            allows=None if sans is None else partial(self._allows, whose, sans),
        )
        connection = ClientConnection(whose, http, accepted)
        http.gone = partial(self._forget, connection)
        self._connections[connection] = None
        self._by_origin[whose] += 1
        context = live.context if live is not None else None
        connection.task = self._loop.create_task(self._connect(accepted, http, context))
        connection.task.add_done_callback(partial(self._connected, connection))

    def _allows(self, whose: str, sans: list[str], certificate: dict[str, Any]) -> bool:
        if is_allowed(certificate, allowed=sans):
            return True
        self._warn("certificate", f"the client certificate of {whose or 'a local client'} has no allowed name")
        return False

    async def _connect(self, accepted: socket.socket, http: HttpConnection, context: ssl.SSLContext | None) -> None:
        await self._loop.connect_accepted_socket(
            lambda: http,
            accepted,
            ssl=context,
            ssl_handshake_timeout=None if context is None else self._deadlines.handshake,
        )

    def _connected(self, connection: ClientConnection, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # A scanner, a wrong certificate, a client that left. Reading the exception keeps asyncio from logging it.
            whose = connection.origin or "a local client"
            log.debug("connection from %s failed: %s", whose, error)
            if isinstance(error, ssl.SSLError) and error.reason in REFUSED_CERTIFICATE:
                # The client may not hear of it: with TLS 1.3 its handshake is over by then.
                self._warn("certificate", f"the client certificate of {whose} is refused: {_reason(error)}")
            if not isinstance(error, OSError):
                self._warn("connect", f"a connection could not be set up: {type(error).__name__}")
        if not connection.http.is_established:
            self._forget(connection)

    def _evict(self, whose: str | None) -> bool:
        """Close the connection that has been idle longest (of one network); return False where all are busy."""
        idle = [
            connection
            for connection in self._connections
            if connection.http.is_idle and whose in (None, connection.origin)
        ]
        if not idle:
            return False
        idlest = min(idle, key=lambda connection: connection.http.idle_since)
        self.evicted += 1
        self._lost()
        self._warn("evict", f"{self.open} connections are open: closing idle ones to make room")
        self._forget(idlest)
        idlest.abort()
        return True

    def _forget(self, connection: ClientConnection) -> None:
        if connection in self._connections:
            del self._connections[connection]
            self._by_origin -= {connection.origin: 1}

    def _warn(self, what: str, sentence: str) -> None:
        """Log a warning, at most once in WARN_INTERVAL seconds for each event: a client must not fill the log."""
        now = self._loop.time()
        if now - self._warned_at.get(what, -WARN_INTERVAL) >= WARN_INTERVAL:
            self._warned_at[what] = now
            log.warning("%s", sentence)
