"""One connection of a client: aiohttp's handling of requests under a deadline that no client can put off."""

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
    """Seconds: for a TLS handshake, a request's head, its handling, and taking the response and asking again."""

    handshake: float = 10.0
    head: float = 15.0
    handling: float = 150.0  # the longest probe, that of a scrape without a timeout (120 s), and some waiting for it
    answer: float = 75.0


class Stage(Enum):
    """What the client or we have to be done with before the deadline."""

    HEAD = "head"
    HANDLING = "handling"
    ANSWER = "answer"


DEADLINES = Deadlines()


class HttpConnection(web.RequestHandler):
    """A connection that is aborted when a deadline passes; only a whole step moves the deadline, never a byte.

    `allows` judges a client's certificate before any request is read; `gone` is called when all is over.
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
        # aiohttp forgets its transport when it closes it, but a close waits for the client to take what is buffered.
        self._connection: asyncio.Transport | None = None
        self._is_admitted = False
        self._is_busy = False
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def has_come(self) -> bool:
        """Whether the connection was made (after the TLS handshake, if there is one)."""
        return self._connection is not None

    @property
    def is_idle(self) -> bool:
        """Whether no request is being handled or answered."""
        return not self._is_busy

    def abort(self) -> None:
        """Ends the connection at once, without waiting for the client."""
        if self._connection is not None:
            self._connection.abort()

    def begin(self) -> None:
        """The head of a request is complete: its handling begins."""
        self._is_busy = True
        self._enter(Stage.HANDLING, self._deadlines.handling)

    def answered(self) -> None:
        """The response begins: it is to be taken, and the next request may begin."""
        self._enter(Stage.ANSWER, self._deadlines.answer)

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """As aiohttp's; when it returns, the connection is idle."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._is_busy = False
            self.idle_since = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to read requests, unless the client's certificate does not allow it."""
        self._connection = cast(asyncio.Transport, transport)
        if self._allows is not None and not self._allows(transport.get_extra_info("peercert") or {}):
            log.debug("closed: the client's certificate holds no allowed name")
            self._connection.abort()
            return
        self._is_admitted = True
        super().connection_made(transport)
        self._enter(Stage.HEAD, self._deadlines.head)

    def data_received(self, data: bytes) -> None:
        """The first byte after an answer is the beginning of a head, which has to be complete in its time."""
        if not self._is_admitted:
            return
        if data and self.stage is Stage.ANSWER:
            self._enter(Stage.HEAD, self._deadlines.head)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Over, whoever ended it."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._is_admitted:
            super().connection_lost(exc)
        if self.gone is not None:
            self.gone()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What a client sends wrongly is no error of ours: it fills no log."""
        if isinstance(kw.get("exc_info"), HttpProcessingError):
            log.debug("no valid request: %s", type(kw["exc_info"]).__name__)
        else:
            super().log_exception(*args, **kw)

    def _enter(self, stage: Stage, seconds: float) -> None:
        self.stage = stage
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        log.debug("closed: the time for the %s is over", self.stage.value)
        self.abort()
