"""An HTTP connection: aiohttp's request handler with deadlines that a client cannot extend."""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_request import BaseRequest

log = logging.getLogger("ssh_exchange_exporter")


class Deadlines(NamedTuple):
    """Seconds for the TLS handshake, the head of a request, its handling, and the client's time with the response."""

    handshake: float = 10.0
    head: float = 15.0
    handling: float = 150.0  # the longest probe (120 s, without a scrape timeout) and a margin
    answer: float = 75.0


class Stage(Enum):
    """What has to end before the deadline."""

    HEAD = "head"
    HANDLING = "handling"
    ANSWER = "answer"


DEADLINES = Deadlines()
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class HttpConnection(web.RequestHandler):
    """Abort the connection when a deadline passes; only a complete step sets a new deadline, never a single byte.

    `allows` checks the client certificate before any request is read; `gone` is called when the connection is closed.
    """

    def __init__(
        self,
        server: web.Server,
        *,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines = DEADLINES,
        allows: Callable[[dict[str, Any]], bool] | None = None,
        **options: Any,
    ) -> None:
        options = {"keepalive_timeout": deadlines.answer, "access_log": None, "logger": log} | options
        super().__init__(server, loop=loop, **options)
        self.stage = Stage.HEAD
        self.idle_since = loop.time()
        self._deadlines = deadlines
        self._allows = allows
        self.gone: Callable[[], None] | None = None
        # aiohttp drops its transport when it closes it, but a close waits until the client has read what is buffered.
        self._connection: asyncio.Transport | None = None
        self._is_admitted = False
        self._is_busy = False
        self._due = 0.0
        # To set and cancel a timer at each step of a request costs more than to look now and then whether one is late.
        # The shortest stage is the interval: no stage that begins meanwhile has to end before the next look.
        self._interval = min(deadlines.head, deadlines.handling, deadlines.answer)
        self._next_look: asyncio.TimerHandle | None = None

    @property
    def is_established(self) -> bool:
        """Return whether the connection is established, the TLS handshake included."""
        return self._connection is not None

    @property
    def is_idle(self) -> bool:
        """Return whether no request is handled or answered."""
        return not self._is_busy

    def abort(self) -> None:
        """Close the connection at once, without waiting for the client."""
        if self._connection is not None:
            self._connection.abort()

    def begin(self) -> None:
        """Start the deadline for handling a request: its head is complete."""
        self._is_busy = True
        self._enter(Stage.HANDLING, self._deadlines.handling)

    def answered(self) -> None:
        """Start the deadline for the client to read the response and send the next request."""
        self._enter(Stage.ANSWER, self._deadlines.answer)

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Finish as aiohttp does, then mark the connection idle."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._is_busy = False
            self.idle_since = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read requests, or abort where the client certificate is not allowed."""
        self._connection = cast(asyncio.Transport, transport)
        if self._allows is not None and not self._allows(transport.get_extra_info("peercert") or {}):
            self._connection.abort()
            return
        self._is_admitted = True
        super().connection_made(transport)
        self._enter(Stage.HEAD, self._deadlines.head)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Pass data to aiohttp; the first byte after a response starts the deadline for the next head."""
        if not self._is_admitted:
            return
        if data and self.stage is Stage.ANSWER:
            self._enter(Stage.HEAD, self._deadlines.head)
        try:
            super().data_received(data)
        except ValueError as error:  # aiohttp 3.11 lets one through that a request's target like http://[ raises
            log.debug("malformed request: %s", error)
            if self._connection is not None:
                self._connection.write(BAD_REQUEST)
                self._connection.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the deadlines and report the connection as gone."""
        if self._next_look is not None:
            self._next_look.cancel()
        if self._is_admitted:
            super().connection_lost(exc)
        if self.gone is not None:
            self.gone()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log malformed requests at debug level only."""
        if isinstance(kw.get("exc_info"), HttpProcessingError):
            log.debug("malformed request: %s", type(kw["exc_info"]).__name__)
        else:
            super().log_exception(*args, **kw)

    def _enter(self, stage: Stage, seconds: float) -> None:
        self.stage = stage
        self._due = self._loop.time() + seconds

    def _look(self) -> None:
        left = self._due - self._loop.time()
        if left > 0:
            self._next_look = self._loop.call_later(min(left, self._interval), self._look)
        else:
            log.debug("closed: deadline of the %s passed", self.stage.value)
            self.abort()
