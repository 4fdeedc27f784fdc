"""Runs under asyncio: the check's own engine, hosted by the loop through its epoll descriptor."""

import asyncio
import ipaddress
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from check_ssh_exchange.ending import Depth
from check_ssh_exchange.plan import Plan, Target
from check_ssh_exchange.probe.connection import Address, Connection
from check_ssh_exchange.probe.engine import Engine
from check_ssh_exchange.probe.fault import ProbeError
from check_ssh_exchange.probe.hosted import Host
from check_ssh_exchange.probe.policy import Policy
from check_ssh_exchange.probe.resolve import resolve
from check_ssh_exchange.probe.run import Connect, Run
from check_ssh_exchange.report import Report

RESOLVERS = 32  # names asked for at once; getaddrinfo blocks a thread each
GRACE = 2.0  # seconds that a run may be behind its own deadline before it is given up


class Prober:
    """Carries out any number of runs at once. To be made and used within one running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = Engine()
        self._host = Host(self._engine, self._loop)
        self._threads = ThreadPoolExecutor(RESOLVERS, "resolver")
        self.in_flight = 0

    async def addresses(self, target: Target, plan: Plan) -> list[Address]:
        """Return a target's addresses within the plan's timeout. Raises NameUnresolved or ProbeError."""
        arguments = (target.host, target.port, plan.family, plan.timeout)
        if is_literal(target.host):
            return resolve(*arguments)
        try:
            async with asyncio.timeout(plan.timeout + GRACE):  # the threads may all be waiting for a dead name server
                return await self._loop.run_in_executor(self._threads, resolve, *arguments)
        except TimeoutError:
            raise ProbeError(f"no resolver was free for {target.host} within {plan.timeout:.3g} s") from None

    async def run(
        self, target: Target, plan: Plan, addresses: list[Address], policy: Policy, resolved_in: float, seconds: float
    ) -> Report:
        """Carry out a plan within `seconds` and return what was measured. Never raises ProbeError: a report says it."""
        self.in_flight += 1
        try:
            if plan.depth in (Depth.KEX, Depth.LOGIN):
                return await self._log_in(target, plan, addresses, policy, resolved_in, seconds)
            run = Run(self._engine, target, plan, addresses, policy, Connection, resolved_in)
            return await self._ended(run, seconds)
        finally:
            self.in_flight -= 1

    async def _log_in(
        self, target: Target, plan: Plan, addresses: list[Address], policy: Policy, resolved_in: float, seconds: float
    ) -> Report:
        from check_ssh_exchange.probe.login import Client, Credentials

        begun = time.monotonic()
        try:
            # Not in a resolver's thread: those may all be waiting for a dead name server.
            credentials = await asyncio.to_thread(Credentials, plan)
        except ProbeError as fault:
            return Report(target.host, target.port, plan.depth, plan.handshakes, addresses[0].text, fault=str(fault))
        client = Client(target, plan, credentials, self._host)
        connect: Connect = client.connection
        run = Run(self._engine, target, plan, addresses, policy, connect, resolved_in)
        try:
            report = await self._ended(run, seconds - (time.monotonic() - begun))
            await client.leave()
            return report
        finally:
            client.close()

    async def _ended(self, run: Run, seconds: float) -> Report:
        done = asyncio.Event()
        run.on_done = lambda _: done.set()
        try:
            run.start(seconds)
            self._host.look()
            async with asyncio.timeout(seconds + GRACE):
                await done.wait()
            return run.report()
        except TimeoutError:
            return run.report()._replace(fault=f"the run did not end within {seconds:.3g} s")
        finally:
            run.stop()

    def close(self) -> None:
        """Close every socket; what is under way ends without a report."""
        self._host.close()
        self._engine.shutdown()
        self._threads.shutdown(wait=False, cancel_futures=True)


def source_towards(address: Address) -> str:
    """Return the address of ours that the system would use towards an address; "" when there is no way to it.

    Connecting a datagram socket looks the route up and sends nothing.
    """
    try:
        with socket.socket(address.family, socket.SOCK_DGRAM) as probe:
            probe.connect(address.sockaddr)
            return str(probe.getsockname()[0])
    except OSError:  # no way, no such address family here, or no descriptor left: the run will say so
        return ""


def is_literal(host: str) -> bool:
    """Return whether a host is an address, in brackets or not, with a scope id or not: there is nothing to ask for."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
