"""Middleware of every request: deadlines, rate limit, users, and the configured response headers."""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .http_connection import HttpConnection
from .web_config import LiveWebConfig


def access_control(live: LiveWebConfig | None) -> Middleware:
    """Return the outermost middleware: 429 above the rate limit, 401 without a valid user, for every path."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if isinstance(request.protocol, HttpConnection):
            request.protocol.begin()
        if live is None:
            return await handler(request)
        if live.rate is not None and not live.rate.take(1, time.monotonic()):
            return web.Response(status=429, text="Too Many Requests\n")
        if not await live.users.admits(request.headers.get("Authorization")):
            return web.Response(status=401, text="Unauthorized\n", headers={"WWW-Authenticate": "Basic"})
        return await handler(request)

    return check


def response_preparation(live: LiveWebConfig | None) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return the on_response_prepare handler: configured headers, also on errors, and the deadline of the response."""

    async def prepare(request: web.Request, response: web.StreamResponse) -> None:
        if live is not None:
            response.headers.update(live.headers)
        if isinstance(request.protocol, HttpConnection):
            request.protocol.answered()

    return prepare
