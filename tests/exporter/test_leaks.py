"""A day's worth of probes leaves nothing behind: no descriptor, no task, no memory."""

import asyncio
import gc
import os
import weakref
from pathlib import Path

from check_ssh_exchange.diagnosis import budget
from check_ssh_exchange.plan import Plan, Target
from check_ssh_exchange.probe.measurement import Measurement
from ssh_exchange_exporter.configuration.configuration import Configuration, load
from ssh_exchange_exporter.probe_request import ProbeRequest
from ssh_exchange_exporter.prober import Prober
from ssh_exchange_exporter.service import Service
from tests.lab.busy_server import answering

A_DAY = 24 * 60  # probes, one a minute
SERVERS = 24
WARM = 8 * SERVERS  # histories and caches are full, what is allocated once is


def configuration(place: Path) -> Configuration:
    (place / "c.yml").write_text("modules: {fast: {depth: banner, exempt: true, handshakes: 2, timeout: 5s}}")
    return load(str(place / "c.yml"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


async def probe(service: Service, port: int, times: int) -> None:
    module = service.configuration.modules["fast"]

    async def at(number: int) -> None:
        target = Target(f"127.0.0.{number}", port)
        for _ in range(times // SERVERS):
            response = await service.broker.probe(ProbeRequest(target, str(number), "fast", module), 5.0)
            assert response.is_probed
            assert len(response.result.report.handshakes) in (2, 3)
            await asyncio.sleep(0)

    await asyncio.gather(*(at(number) for number in range(1, SERVERS + 1)))


async def day(service: Service, port: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    await probe(service, port, WARM)
    await asyncio.sleep(6)  # deadlines of ended handshakes wait in the engine until they have come
    before = descriptors(), len(asyncio.all_tasks()), objects()
    await probe(service, port, A_DAY)
    await asyncio.sleep(6)
    return before, (descriptors(), len(asyncio.all_tasks()), objects())


def test_a_day_of_probes_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main(port: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        service = Service(None, configuration(tmp_path), history_limit=10)
        await service.start()
        try:
            return await day(service, port)
        finally:
            await service.stop(1.0)

    at_first = descriptors()
    with answering() as server:
        before, after = asyncio.run(main(server.port))
    assert after[0] <= before[0]
    assert after[1] <= before[1]
    assert after[2] < before[2] * 1.05 + 2000, (before, after)
    assert descriptors() == at_first


def test_a_run_that_is_over_is_let_go_at_once() -> None:
    async def main(port: int) -> None:
        prober = Prober()
        plan = Plan(handshakes=3)
        measurement = Measurement(Target("127.0.0.1", port), plan)
        await prober.resolve(measurement)
        assert (await prober.run(measurement, budget.policy(plan))).completed == 3
        run = weakref.ref(measurement.run)
        del measurement
        # Its timers (a second, the plan's ten) have not come, and the garbage collector has not been asked.
        assert run() is None
        prober.close()

    gc.disable()
    try:
        with answering() as server:
            asyncio.run(main(server.port))
    finally:
        gc.enable()
