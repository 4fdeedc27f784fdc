"""Where the CPU of a background probe goes: the same handshakes made by one layer of the exporter after the other."""

import asyncio
import itertools
import socket
import time
from collections.abc import Awaitable, Callable

from check_ssh_exchange.diagnosis import budget
from check_ssh_exchange.ending import Depth
from check_ssh_exchange.plan import Target
from check_ssh_exchange.probe.connection import Address, Connection
from check_ssh_exchange.probe.engine import Engine
from check_ssh_exchange.probe.measurement import Measurement
from check_ssh_exchange.report import Report, Role
from check_ssh_exchange.wire.exchange import Exchange
from ssh_exchange_exporter.configuration.configuration import load
from ssh_exchange_exporter.probe_request import Origin, ProbeRequest
from ssh_exchange_exporter.service import Service
from tests.lab import busy_server as server

from . import loop
from .table import ratio, spread

AT_ONCE = 83  # probes; as many begin each half second of a fleet of 10,000
HANDSHAKES = 5
PLACES = 30 * AT_ONCE
SECONDS = 10.0
REST = 0.4  # the exporter leaves a server alone for 0.3 s after a probe
HOW = (
    "The last lines are measured apart, in one process: the same handshakes by the minimal loop, by the engine alone, "
    "by runs of five and their reports, by runs under asyncio, and by the broker, each with what the one before has."
)


def measure(port: int, rounds: int) -> list[tuple[str, str]]:
    """Return a line for each layer: what a handshake costs with it, and as a multiple of the minimal loop's."""
    return asyncio.run(_measure(port, rounds))


async def _measure(port: int, rounds: int) -> list[tuple[str, str]]:
    made = _Layers(port)
    layers: dict[str, Callable[[list[str]], Awaitable[None]]] = {
        "minimal loop": made.loop,
        "engine: connections, state tables, deadlines": made.engine,
        "runs: baseline, pause, burst, report": made.runs,
        "prober: the runs under asyncio": made.prober,
        "broker: locks, budget, diagnosis, verdict, history": made.broker,
    }
    taken: dict[str, list[float]] = {what: [] for what in layers}
    places = itertools.cycle([server.fresh_address() for _ in range(PLACES)])
    for number in range(rounds + 1):
        for what, layer in layers.items():
            addresses = [next(places) for _ in range(AT_ONCE)]
            begun = time.process_time()
            await layer(addresses)
            if number:  # the first round warms up
                taken[what].append((time.process_time() - begun) / AT_ONCE / HANDSHAKES * 1e6)
            await asyncio.sleep(REST)
    await made.service.stop(0.0)
    least = taken["minimal loop"]
    return [(f"CPU up to {what}, us", f"{spread(cpu, 0)}, {ratio(cpu, least):.2f}x") for what, cpu in taken.items()]


class _Layers:
    def __init__(self, port: int) -> None:
        configuration = load(None)
        self.service = Service(None, configuration, history_limit=100)
        self._module = configuration.modules["default"]
        self._plan = self._module.plan(SECONDS)
        self._port = port

    async def loop(self, addresses: list[str]) -> None:
        loop.handshakes((addresses[0], self._port), AT_ONCE * HANDSHAKES, Depth.KEXINIT)

    async def engine(self, addresses: list[str]) -> None:
        engine, address = Engine(), Address(socket.AF_INET, (addresses[0], self._port), addresses[0])
        ended: list[Connection] = []
        deadline = time.monotonic_ns() + int(SECONDS * 1e9)
        for _ in range(AT_ONCE * HANDSHAKES):
            engine.open(Connection(address, Exchange(Depth.KEXINIT), Role.BURST, ended.append), deadline)
        while len(ended) < AT_ONCE * HANDSHAKES:
            engine.step()
        for connection in ended:
            engine.close(connection)
        engine.shutdown()

    async def runs(self, addresses: list[str]) -> None:
        engine = Engine()
        measured = [Measurement(Target(address, self._port), self._plan) for address in addresses]
        for one in measured:
            one.resolve()
            one.make_run(engine, budget.policy(self._plan)).start(SECONDS)
        while not all(one.run is not None and one.run.is_done for one in measured):
            engine.step()
        _check([one.report() for one in measured])
        engine.shutdown()

    async def prober(self, addresses: list[str]) -> None:
        async def run(address: str) -> Report:
            measurement = Measurement(Target(address, self._port), self._plan)
            await self.service.prober.resolve(measurement)
            return await self.service.prober.run(measurement, budget.policy(self._plan))

        _check(await asyncio.gather(*map(run, addresses)))

    async def broker(self, addresses: list[str]) -> None:
        begun = []
        for address in addresses:
            target = Target(address, self._port)
            request = ProbeRequest(target, address, "default", self._module, Origin.BACKGROUND)
            begun.append(self.service.broker.begin(request, SECONDS)[0])
        _check([response.result.report for response in await asyncio.gather(*begun)])
        await asyncio.sleep(REST)  # what comes a moment after a run is a part of it


def _check(reports: list[Report]) -> None:
    made = sum(report.completed for report in reports)
    if made < 0.99 * HANDSHAKES * len(reports):
        raise RuntimeError(f"{made} of {HANDSHAKES * len(reports)} handshakes")
