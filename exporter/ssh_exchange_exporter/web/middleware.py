"""Middleware of every request: deadlines, rate limit, users, and the configured response headers."""

import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from .http_connection import HttpConnection
from .web_config import LiveWebConfig

HEADERS = web.RequestKey("HEADERS", dict[str, str])


def access_control(live: LiveWebConfig | None) -> Middleware:
    """Return the outermost middleware: 429 above the rate limit, 401 without a valid user, for every path."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if isinstance(request.protocol, HttpConnection):
            request.protocol.begin()
        if live is None:
            return await handler(request)
        request[HEADERS] = live.headers
        if live.rate is not None and not live.rate.take(1, time.monotonic()):
            return web.Response(status=429, text="Too Many Requests\n")
        if not await live.users.admits(request.headers.get("Authorization")):
            return web.Response(status=401, text="Unauthorized\n", headers={"WWW-Authenticate": "Basic"})
        return await handler(request)

    return check


async def prepare_response(request: web.Request, response: web.StreamResponse) -> None:
    """Add the configured headers, also to errors, and start the deadline of the response (on_response_prepare)."""
    response.headers.update(request.get(HEADERS, {}))
    if isinstance(request.protocol, HttpConnection):
        request.protocol.answered()
