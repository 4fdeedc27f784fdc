"""`POST /v1/checker`: the checks of an Icinga that asks the exporter by ifw-api instead of starting the plugin."""

import asyncio

from aiohttp import web

from ..schedulers import ifw_api
from ..schedulers.answer import Answer, unknown
from ..service import Service


class Checker:
    """The handler of `/v1/checker`. Icinga looks at the body only, so the status is 200 whatever the check says."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def check(self, request: web.Request) -> web.Response:
        """Answer a check. Where the client goes away, its probe is ended, unless another one awaits it too."""
        name = request.query.get("command", "")
        if not name:
            raise web.HTTPBadRequest(text="parameter command is missing: POST /v1/checker?command=NAME\n")
        return web.json_response(text=ifw_api.reply(name, await self._answer(request)))

    async def _answer(self, request: web.Request) -> Answer:
        try:
            return await self._service.checks.answer(ifw_api.words(await request.read()))
        except ifw_api.BadBodyError as error:
            return unknown(str(error))
        except web.HTTPRequestEntityTooLarge:
            return unknown("the body of the request is too large")
        except asyncio.CancelledError:
            if self._service.is_ready:
                raise
            return unknown("the exporter is stopping")
