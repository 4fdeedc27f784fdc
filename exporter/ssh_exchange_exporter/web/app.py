"""The HTTP endpoints."""

import asyncio
import itertools
import re
import time
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from check_ssh_exchange import __version__
from check_ssh_exchange.diagnosis.evaluate import Outcome
from check_ssh_exchange.plugin.output import json_line
from check_ssh_exchange.remote.json_output import document
from check_ssh_exchange.remote.status_line import text
from check_ssh_exchange.text import printable

from ..configuration.module import Module
from ..configuration.target import parse_target
from ..configuration.validation import unknown
from ..exposition.accept import OPENMETRICS, accepts_gzip, chosen
from ..exposition.fleet_text import Chosen, FleetText
from ..exposition.packed import Packed, packed
from ..exposition.series import probe_text
from ..exposition.small_page import packed_page
from ..pages.html import CONTENT_SECURITY_POLICY
from ..pages.landing import landing
from ..pages.probe_page import probe_page
from ..pages.runbook import runbook_index, runbook_page
from ..probe_request import ProbeRequest, TargetNotAllowedError
from ..result import Result
from ..schedulers.answer import aged
from ..service import Service
from .checker import Checker
from .debug import debug_text

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
LONGEST = 120.0  # seconds a probe may take where neither client nor module sets less
LEAST = 0.5  # seconds; a shorter probe measures nothing
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{0,9})?", re.ASCII)
PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Endpoints:
    """The handlers of all endpoints."""

    def __init__(
        self, service: Service, timeout_offset: float, also_reload: Callable[[], tuple[str, ...]] = tuple
    ) -> None:
        self._service = service
        self._offset = timeout_offset
        self._also_reload = also_reload
        self._fleet_text = FleetText()
        self._writing = asyncio.Lock()

    def application(self, *middlewares: object) -> web.Application:
        """Return the application with every endpoint."""
        app = web.Application(middlewares=[*middlewares, sentences], client_max_size=1 << 16)  # type: ignore[list-item]
        app.router.add_get("/", self.home)
        app.router.add_get("/probe", self.probe)
        app.router.add_post("/v1/checker", Checker(self._service).check)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/history/{number}", self.history)
        app.router.add_get("/runbook/", self.runbook_index)
        app.router.add_get("/runbook/{cause}", self.runbook)
        app.router.add_get("/config", self.config)
        app.router.add_get("/-/healthy", self.healthy)
        app.router.add_get("/-/ready", self.ready)
        app.router.add_post("/-/reload", self.reload)
        return app

    async def probe(self, request: web.Request) -> web.Response:
        """Probe a target with a module; return the metrics of this probe alone."""
        begun = time.monotonic()
        wanted = _format(request)
        probe_request, module = self._probe_request(request)
        seconds = min(module.timeout, self._scrape_timeout(request))
        try:
            response = await self._service.broker.probe(probe_request, seconds)
        except TargetNotAllowedError as refusal:
            self._service.own.forbidden.inc()
            raise web.HTTPForbidden(text=f"{refusal}\n") from None
        except asyncio.CancelledError:
            if self._service.is_ready:
                raise
            raise web.HTTPServiceUnavailable(text="the exporter is stopping\n") from None
        took = time.monotonic() - begun
        if probe_request.trace:
            metrics = probe_text(response, took, seconds)
            return _plain(debug_text(response, probe_request.module_name, module, metrics))
        if wanted:
            return _status(aged(response), module, is_json=wanted == "json")
        kind = chosen(request.headers.get("Accept"))
        written = probe_text(response, took, seconds, is_openmetrics=kind == OPENMETRICS)
        wants_gzip = _wants_gzip(request)
        body = packed_page(written) if wants_gzip else written.encode()
        return web.Response(body=body, headers=_exposition(kind, is_packed=wants_gzip))

    def _probe_request(self, request: web.Request) -> tuple[ProbeRequest, Module]:
        query = request.query
        target = query.get("target", "").strip()
        if not target:
            raise web.HTTPBadRequest(text="parameter target is missing: /probe?target=HOST[:PORT]\n")
        if len(query.getall("target")) > 1 or len(query.getall("module", [])) > 1:
            raise web.HTTPBadRequest(text="target and module must be given at most once\n")
        try:
            parsed = parse_target(target)
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        name = query.get("module") or "default"
        module = self._service.configuration.modules.get(name)
        if module is None:
            self._service.own.unknown_module.inc()
            noun = f'module "{printable(name, 80)}"'
            raise web.HTTPBadRequest(text=f"{unknown(noun, name, self._service.configuration.modules)}\n")
        is_debug = query.get("debug", "").lower() in ("true", "1", "on")
        return ProbeRequest(parsed, target, name, module, trace=is_debug, allowed=self._service.allowed), module

    def _scrape_timeout(self, request: web.Request) -> float:
        text = request.headers.get(TIMEOUT_HEADER)
        if text is None:
            return LONGEST
        # float() would accept more ("1_0", "inf", Arabic digits) than a client sends as a timeout.
        if not _SECONDS.fullmatch(text.strip()) or float(text) <= 0:
            raise web.HTTPBadRequest(text=f"{TIMEOUT_HEADER} must be a number of seconds above 0\n")
        seconds = float(text)
        # An offset above the timeout leaves no time: ignore it then, since a probe may still be in time.
        left = seconds - self._offset if seconds > self._offset else seconds
        return min(LONGEST, max(min(LEAST, seconds), left))

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        """Return the metrics of the exporter and of the background targets."""
        kind = chosen(request.headers.get("Accept"))
        targets = tuple(self._service.fleet.targets.values())
        series = self._service.configuration.series
        series_chosen = Chosen(series.causes == "all", series.phases)

        def write() -> Packed:
            own = _rendered(self._service.own.registry, kind).decode()
            end = "# EOF\n" if kind == OPENMETRICS else ""
            fleet = self._fleet_text.pieces(targets, is_openmetrics=kind == OPENMETRICS, chosen=series_chosen)
            return packed(itertools.chain([own.removesuffix(end)], fleet, [end]))

        # In a thread: writing a large page in the event loop would delay every probe.
        async with self._writing:
            page = await asyncio.to_thread(write)
        if _wants_gzip(request):
            return web.Response(body=page.body, headers=_exposition(kind, is_packed=True))
        return await _sent(request, page, kind)

    async def home(self, _: web.Request) -> web.Response:
        """Return the landing page."""
        service = self._service
        rows = [target.row for target in service.fleet.targets.values()]
        modules = sorted(service.configuration.modules)
        recent = service.recent.recent()
        page = await asyncio.to_thread(landing, __version__, rows, recent, modules, time.time())
        return _page(page)

    async def history(self, request: web.Request) -> web.Response:
        """Return the page of a probe; redirect to the newest of its background target where it is no longer kept."""
        number = request.match_info["number"]
        known = re.fullmatch(r"[0-9]{1,18}", number, re.ASCII)
        result: Result | None = self._service.recent.find(int(number)) if known else None
        if result is None:
            if known and (
                newest := self._service.fleet.newest(request.query.get("target"), request.query.get("module"))
            ):
                raise web.HTTPFound(f"{newest.number}?{request.query_string}")
            raise web.HTTPNotFound(text="probe not found: it does not exist or is no longer kept\n")
        return _page(await asyncio.to_thread(probe_page, result, time.time()))

    async def runbook_index(self, _: web.Request) -> web.Response:
        """Return the list of causes."""
        return _page(runbook_index())

    async def runbook(self, request: web.Request) -> web.Response:
        """Return the page of a cause."""
        cause = request.match_info["cause"]
        try:
            return _page(runbook_page(cause))
        except KeyError:
            raise web.HTTPNotFound(
                text=f'unknown cause "{printable(cause, 80)}"; /runbook/ lists the causes\n'
            ) from None

    async def config(self, _: web.Request) -> web.Response:
        """Return the configuration in force."""
        return _plain(await asyncio.to_thread(self._service.configuration.to_yaml))

    async def healthy(self, _: web.Request) -> web.Response:
        """Return 200 while the program runs."""
        return _plain("Healthy\n")

    async def ready(self, _: web.Request) -> web.Response:
        """Return 200 while probes are answered, else 503."""
        if not self._service.is_ready:
            raise web.HTTPServiceUnavailable(text="Not ready\n")
        return _plain("Ready\n")

    async def reload(self, request: web.Request) -> web.Response:
        """Reload the configuration, but not for a page of another site that a browser shows."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise web.HTTPForbidden(text="a page of another site must not reload the configuration\n")
        errors = await self._service.reload(await asyncio.to_thread(self._also_reload))
        if errors:
            raise web.HTTPInternalServerError(text="".join(f"{error}\n" for error in errors))
        return _plain("reloaded\n")


@web.middleware
async def sentences(request: web.Request, handler: Callable[[web.Request], object]) -> web.StreamResponse:
    """Replace the router's own texts for 404 and 405 by a sentence."""
    try:
        return await handler(request)  # type: ignore[misc, no-any-return]
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        method = f"method {printable(request.method, 80)}" if request.method.isascii() else "this method"
        text = f"{method} is not allowed; use {allowed}\n"
        raise web.HTTPMethodNotAllowed(request.method, sorted(error.allowed_methods), text=text) from None
    except web.HTTPNotFound:
        # The router marks what it has no handler for; a handler's own 404 has a sentence already.
        if request.match_info.http_exception is None:
            raise
        raise web.HTTPNotFound(text="page not found\n") from None


def _format(request: web.Request) -> str:
    wanted = request.query.get("format", "")
    if wanted not in ("", "nagios", "json"):
        raise web.HTTPBadRequest(text="format must be nagios or json; without it the response is metrics\n")
    return wanted


def _status(outcome: Outcome, module: Module, *, is_json: bool) -> web.Response:
    """Return what the plugin prints for an outcome, and the exit code in a header."""
    thresholds = module.expectations().thresholds
    body = json_line(document(outcome)) if is_json else text(outcome, thresholds, verbosity=0)
    headers = {"X-Content-Type-Options": "nosniff", "X-Exit-Code": str(int(outcome.verdict.state))}
    kind = "application/json" if is_json else "text/plain"
    return web.Response(text=body, content_type=kind, headers=headers)


def _plain(body: str) -> web.Response:
    return web.Response(text=body, content_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})


def _page(body: str) -> web.Response:
    return web.Response(text=body, content_type="text/html", headers=PAGE_HEADERS)


def _exposition(kind: str, *, is_packed: bool) -> dict[str, str]:
    """Return the headers of an exposition."""
    headers = {"Content-Type": kind, "Vary": "Accept, Accept-Encoding"}
    return headers | {"Content-Encoding": "gzip"} if is_packed else headers


async def _sent(request: web.Request, page: Packed, kind: str) -> web.StreamResponse:
    """Send the text of a page, part by part."""
    response = web.StreamResponse(headers=_exposition(kind, is_packed=False))
    response.content_length = page.text_size
    await response.prepare(request)
    if request.method != "HEAD":
        for part in page.text():
            await response.write(part)
            await asyncio.sleep(0)  # a client that reads as fast as we write would have the loop for itself
    await response.write_eof()
    return response


def _rendered(registry: CollectorRegistry, kind: str) -> bytes:
    if kind == OPENMETRICS:
        written: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]
        return written
    return generate_latest(registry)


def _wants_gzip(request: web.Request) -> bool:
    return accepts_gzip(request.headers.get("Accept-Encoding", ""))
