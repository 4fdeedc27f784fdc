"""The process: signals, limits, sockets, start and stop."""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys

from aiohttp import web

from check_ssh_exchange import __version__

from . import log
from .configuration.configuration import Configuration, load
from .configuration.file import ConfigurationError
from .flags import PORT
from .service import Service, files_of
from .web.app import Endpoints
from .web.listener import Listener
from .web.middleware import access_control, response_preparation
from .web.sockets import ListenError, bind, from_systemd
from .web.web_config import LiveWebConfig

LOG = logging.getLogger(__package__)

LOOK = 2.0  # seconds between two checks of the web configuration and its certificates
FINISH = 1.0  # seconds that probes in flight may take to end after SIGTERM
# With CPython's 5 ms, a page rendered in a thread would delay every response meanwhile.
SWITCH_INTERVAL = 0.0005
# With CPython's (700, 10, 10), the collector takes a fifth of the CPU, since it scans the results kept for thousands
# of targets.
COLLECT = (20_000, 20, 50)


def check(flags: argparse.Namespace) -> int:
    """Check the configuration files, print their errors and return the exit code."""
    errors: list[str] = []
    try:
        configuration = load(flags.config_file)
        for files in files_of(configuration):
            errors += [error for found in files.errors.values() for error in found]
    except ConfigurationError as invalid:
        errors += invalid.errors
    if flags.web_config:
        try:
            LiveWebConfig(flags.web_config)
        except ConfigurationError as invalid:
            errors += invalid.errors
    for error in errors:
        print(error, file=sys.stderr)
    if not errors:
        print("configuration is valid")
    return 1 if errors else 0


def serve(flags: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; return 1 where it cannot start."""
    log.begin(flags.log_level, flags.log_format)
    raise_descriptor_limit()
    try:
        configuration = load(flags.config_file)
        live = LiveWebConfig(flags.web_config) if flags.web_config else None
        sockets = listening(flags)
    except ConfigurationError as invalid:
        for error in invalid.errors:
            LOG.error("cannot start", extra={"fields": {"error": error}})
        return 1
    except (ListenError, ValueError) as error:
        LOG.error("cannot start", extra={"fields": {"error": str(error)}})
        return 1
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.freeze()
    gc.set_threshold(*COLLECT)
    asyncio.run(main(flags, configuration, live, sockets))
    # The interpreter would wait for threads, and one that waits for a dead name server cannot be stopped.
    logging.shutdown()
    os._exit(0)


def listening(flags: argparse.Namespace) -> list[socket.socket]:
    """Return the sockets to listen on. Raises ListenError, or ValueError for an invalid address."""
    if flags.systemd_socket:
        return from_systemd(dict(os.environ))
    return [bound for text in flags.listen or [f":{PORT}"] for bound in bind(text)]


def raise_descriptor_limit() -> None:
    """Raise the soft limit of descriptors to the hard one: probing a large fleet needs thousands."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def main(
    flags: argparse.Namespace,
    configuration: Configuration,
    live: LiveWebConfig | None,
    sockets: list[socket.socket],
) -> None:
    """Run until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(unhandled)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    service = Service(flags.config_file, configuration, flags.history_limit, flags.shard)
    pending: set[asyncio.Task[object]] = set()

    def reload() -> None:
        task: asyncio.Task[object] = asyncio.create_task(reload_all(service, live))
        pending.add(task)
        task.add_done_callback(pending.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    await service.start()
    endpoints = Endpoints(service, flags.timeout_offset, lambda: looked(live))
    app = endpoints.application(access_control(live))
    app.on_response_prepare.append(response_preparation(live))
    # A handler is cancelled where its client goes away: a check that nobody awaits is ended.
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=FINISH
    )
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("a runner that was set up has a server")
    listener = Listener(sockets, runner.server, live, lost=service.own.lost.inc)
    watch = asyncio.create_task(watch_web_config(live))
    for bound in sockets:
        LOG.info(
            "listening",
            extra={"fields": {"address": address_of(bound), "tls": "yes" if live and live.context else "no"}},
        )
    LOG.info("started", extra={"fields": {"version": __version__, "targets": len(service.fleet.targets)}})
    notify_systemd("READY=1")
    await ended.wait()
    LOG.info("stopping")
    notify_systemd("STOPPING=1")
    watch.cancel()
    await listener.close()
    await service.stop(FINISH)
    await runner.cleanup()
    LOG.info("stopped")


def looked(live: LiveWebConfig | None) -> tuple[str, ...]:
    """Reload the web configuration where it has changed; return its errors (blocking)."""
    if live is None:
        return ()
    live.look()
    return live.error.errors if live.error else ()


async def reload_all(service: Service, live: LiveWebConfig | None) -> None:
    """Reload both configurations."""
    await service.reload(await asyncio.to_thread(looked, live))


async def watch_web_config(live: LiveWebConfig | None) -> None:
    """Reload the web configuration and its certificates when they change."""
    while live is not None:
        await asyncio.sleep(LOOK)
        await asyncio.to_thread(live.look)


def unhandled(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Log an exception that no caller caught; the program continues."""
    error = context.get("exception")
    if isinstance(error, ConnectionError | TimeoutError):
        return  # the client went away
    info = error if isinstance(error, BaseException) else None
    LOG.error("unhandled", extra={"fields": {"what": context.get("message", "")}}, exc_info=info)


def address_of(bound: socket.socket) -> str:
    """Return the address of a listening socket as a client writes it."""
    name = bound.getsockname()
    if not isinstance(name, tuple):
        return str(name)
    return f"[{name[0]}]:{name[1]}" if bound.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def notify_systemd(state: str) -> None:
    """Send a state to systemd, where it started the program (sd_notify(3), Type=notify)."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path.startswith(("/", "@")):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(path.replace("@", "\0", 1) if path.startswith("@") else path)
            notify.send(state.encode())
