"""Runs under asyncio: the engine of the plugin, hosted by the event loop through its epoll descriptor."""

import asyncio
import ipaddress
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from check_ssh_exchange.ending import Depth
from check_ssh_exchange.plan import Policy
from check_ssh_exchange.probe.connection import Address
from check_ssh_exchange.probe.engine import Engine
from check_ssh_exchange.probe.errors import ProbeError
from check_ssh_exchange.probe.hosted import Host
from check_ssh_exchange.probe.measurement import Measurement
from check_ssh_exchange.probe.run import Run
from check_ssh_exchange.report import Report

RESOLVERS = 32  # names resolved at once; getaddrinfo blocks a thread for each
GRACE = 2.0  # seconds that a run may exceed its deadline before it is abandoned


class NoResolver(ProbeError):
    """Every resolver was busy: nothing was asked about the name."""


class Prober:
    """Makes any number of runs at once. To be made and used within one running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = Engine()
        self._host = Host(self._engine, self._loop)
        self._threads = ThreadPoolExecutor(RESOLVERS, "resolver")
        self.in_flight = 0

    async def resolve(self, measurement: Measurement) -> list[Address]:
        """Return the target's addresses within the plan's timeout. Raises NameUnresolved, NoResolver or ProbeError."""
        host, timeout = measurement.target.host, measurement.plan.timeout
        if is_literal(host):
            return measurement.resolve()
        try:
            async with asyncio.timeout(timeout + GRACE):  # the threads may all be waiting for a dead name server
                return await self._loop.run_in_executor(self._threads, measurement.resolve)
        except TimeoutError:
            raise NoResolver(f"no resolver was free for {host} within {timeout:.3g} s") from None

    async def run(self, measurement: Measurement, policy: Policy) -> Report:
        """Carry out a measurement whose target is resolved. Never raises ProbeError: the report says it."""
        self.in_flight += 1
        try:
            if measurement.plan.depth in (Depth.KEX, Depth.LOGIN):
                return await self._log_in(measurement, policy)
            return await self._report(measurement, measurement.make_run(self._engine, policy))
        finally:
            self.in_flight -= 1

    async def _log_in(self, measurement: Measurement, policy: Policy) -> Report:
        from check_ssh_exchange.probe.login import Client, Credentials

        try:
            # Not in a resolver's thread: those may all be waiting for a dead name server.
            credentials = await asyncio.to_thread(Credentials, measurement.plan)
        except ProbeError as error:
            return measurement.failed(error)
        client = Client(measurement.target, measurement.plan, credentials, self._host)
        try:
            run = measurement.make_run(self._engine, policy, client.connection)
            report = await self._report(measurement, run)
            await client.leave()
            return report
        finally:
            client.close()

    async def _report(self, measurement: Measurement, run: Run) -> Report:
        seconds = measurement.seconds_left
        done: asyncio.Future[bool] = self._loop.create_future()
        run.on_done = lambda _: _tell(done, is_ended=True)
        end = time.monotonic_ns() + int((seconds + GRACE) * 1e9)
        late = self._engine.call_at(end, lambda: _tell(done, is_ended=False))
        try:
            run.start(seconds)
            self._host.look()
            if await done:
                return run.report()
            return measurement.failed(ProbeError(f"the run did not end within {seconds:.3g} s"))
        finally:
            late.cancel()
            run.stop()

    def close(self) -> None:
        """Close every socket; runs in progress end without a report."""
        self._host.close()
        self._engine.shutdown()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _tell(done: asyncio.Future[bool], *, is_ended: bool) -> None:
    if not done.done():
        done.set_result(is_ended)


def source_towards(address: Address) -> str:
    """Return the source address that the system would use towards an address; "" without a route.

    Connecting a datagram socket looks the route up and sends nothing.
    """
    try:
        with socket.socket(address.family, socket.SOCK_DGRAM) as probe:
            probe.connect(address.sockaddr)
            return str(probe.getsockname()[0])
    except OSError:  # no way, no such address family here, or no descriptor left: the run will say so
        return ""


@lru_cache(32_768)
def is_literal(host: str) -> bool:
    """Return whether a host is an IP address, with or without brackets or a scope id: it needs no resolver."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
