"""The broker: shared probes, one probe of a server at a time, budgets, and responses without a probe."""

import asyncio
import logging
import os
import resource
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from check_ssh_exchange.ending import Ending
from ssh_exchange_exporter.budget.server_state import ServerKey
from ssh_exchange_exporter.configuration.allowed import Allowed
from ssh_exchange_exporter.configuration.configuration import load
from ssh_exchange_exporter.configuration.target import parse_target
from ssh_exchange_exporter.probe_request import ProbeRequest
from ssh_exchange_exporter.probe_response import ProbeResponse, ResponseKind
from ssh_exchange_exporter.service import Service
from tests.lab.fake_sshd import HEALTHY, FakeSshd, Peer, pause

from .served import until

T = TypeVar("T")
FRESH, SHARED, CACHED, DEFERRED, _, UNAVAILABLE = ResponseKind
SHARED_TOTAL = "ssh_exchange_exporter_probes_shared_total"
LONG = 20.0  # seconds; more than any of these runs takes


def served(place: Path, configuration: str, work: Callable[[Service], Awaitable[T]]) -> T:
    """Do some work with a service that has not begun to probe by itself."""
    (place / "c.yml").write_text(configuration)

    async def main() -> T:
        service = Service(None, load(str(place / "c.yml")), history_limit=10)
        try:
            return await work(service)
        finally:
            await service.stop(1.0)

    return asyncio.run(main())


def sentence(response: ProbeResponse) -> str:
    fault = response.result.report.fault
    return "" if fault is None else fault.sentence


async def probe(service: Service, target: str, module: str = "default", seconds: float = LONG) -> ProbeResponse:
    request = ProbeRequest(parse_target(target), target, module, service.configuration.modules[module])
    return await service.broker.probe(request, seconds)


def test_a_run_that_is_refused_costs_the_handshakes_it_has_made(tmp_path: Path) -> None:
    async def work(service: Service) -> list[ProbeResponse]:
        return [await probe(service, target, "large") for _ in range(3)]

    with FakeSshd(HEALTHY) as server:
        target = f"{server.address}:{server.port}"
        budget = "budget: {per_second: 0.001}\n"
        responses = served(tmp_path, f"{budget}modules: {{large: {{handshakes: 20, timeout: 20s}}}}", work)
        assert len(server.peers) == 1
    assert [response.kind for response in responses] == [FRESH, DEFERRED, DEFERRED]
    fault = responses[0].result.report.fault
    assert fault is not None
    assert fault.sentence.endswith("use handshakes: 15, or exempt: true when the server exempts this address")


@pytest.mark.parametrize("source", ["0:0:0:0:0:0:0:1", "::0001"])
def test_a_source_address_in_another_spelling_has_the_same_account(source: str, tmp_path: Path) -> None:
    async def work(service: Service) -> ProbeResponse:
        await probe(service, target, "bound")
        return await probe(service, target, "bound")

    with FakeSshd(HEALTHY, address="::1") as server:
        target = f"[::1]:{server.port}"
        modules = f"modules: {{bound: {{handshakes: 15, source_addresses: ['{source}']}}}}"
        response = served(tmp_path, modules, work)
        assert len(server.peers) == 15
    assert response.kind is DEFERRED


def test_an_ipv4_address_that_is_written_as_ipv6_is_the_same_server(tmp_path: Path) -> None:
    async def work(service: Service) -> ProbeResponse:
        await probe(service, f"127.0.0.1:{server.port}", "fifteen")
        return await probe(service, f"[::ffff:127.0.0.1]:{server.port}")

    with FakeSshd(HEALTHY) as server:
        response = served(tmp_path, "modules: {fifteen: {handshakes: 15}}", work)
        assert len(server.peers) == 15
    assert response.kind is DEFERRED


@contextmanager
def no_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)  # a new descriptor is always the lowest that is free
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_machine_out_of_descriptors_is_told_in_a_sentence_and_the_server_is_free_again(tmp_path: Path) -> None:
    async def work(service: Service) -> tuple[ProbeResponse, ProbeResponse]:
        with no_descriptors():
            without = await probe(service, target)
        return without, await probe(service, target)

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{closed.getsockname()[1]}"
        without, again = served(tmp_path, "{}", work)
    assert "no file descriptor left" in sentence(without)
    assert again.result.report.counts[Ending.REFUSED] == 5


def test_a_short_scrape_is_no_answer_to_one_with_time(tmp_path: Path) -> None:
    async def work(service: Service) -> tuple[ProbeResponse, ProbeResponse]:
        return await asyncio.gather(probe(service, target, seconds=0.5), probe(service, target, seconds=LONG))

    with FakeSshd([pause(0.8), *HEALTHY]) as server:
        target = f"{server.address}:{server.port}"
        _, patient = served(tmp_path, "modules: {default: {timeout: 20s}}", work)
    assert patient.result.report.completed == 5


def test_a_probe_that_waited_for_another_does_not_call_a_slow_server_a_dead_one(tmp_path: Path) -> None:
    async def work(service: Service) -> tuple[ProbeResponse, ProbeResponse]:
        return await asyncio.gather(probe(service, target, "one", 20.0), probe(service, target, "other", 3.0))

    with FakeSshd([pause(1.0), *HEALTHY]) as server:
        target = f"{server.address}:{server.port}"
        modules = "modules: {one: {handshakes: 2, timeout: 20s}, other: {handshakes: 2}}"
        one, other = served(tmp_path, modules, work)
    assert one.result.report.completed == 2
    assert other.result.report.counts[Ending.BANNER_TIMEOUT] == 0
    assert "another probe of this server was under way" in sentence(other)
    assert other.kind is UNAVAILABLE


def test_concurrent_requests_share_one_probe(tmp_path: Path) -> None:
    async def work(service: Service) -> list[ProbeResponse]:
        return await asyncio.gather(*(probe(service, target) for _ in range(3)))

    with FakeSshd([pause(0.2), *HEALTHY]) as server:
        target = f"{server.address}:{server.port}"
        responses = served(tmp_path, "modules: {default: {timeout: 20s}}", work)
        assert len(server.peers) == 5
    assert [response.kind for response in responses] == [FRESH, SHARED, SHARED]
    assert {response.result.number for response in responses} == {1}


def test_a_request_that_cannot_begin_in_time_gets_the_result_of_an_earlier_probe(tmp_path: Path) -> None:
    async def work(service: Service) -> tuple[ProbeResponse, ProbeResponse]:
        first = await probe(service, target, "other")
        held = service.servers.at(ServerKey("127.0.0.1", server.port))
        await held.lock.acquire()
        second = await probe(service, target, "other", 0.5)
        held.lock.release()
        return first, second

    with FakeSshd(HEALTHY) as server:
        target = f"{server.address}:{server.port}"
        first, second = served(tmp_path, "modules: {other: {handshakes: 2}}", work)
    assert (first.kind, second.kind) == (FRESH, CACHED)
    assert second.result.number == first.result.number
    assert second.age > 0


def test_what_was_not_probed_has_no_number_and_is_neither_logged_nor_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(service: Service) -> tuple[ProbeResponse, ProbeResponse]:
        held = service.servers.at(ServerKey("127.0.0.1", server.port))
        await held.lock.acquire()
        without = await probe(service, target, seconds=0.5)
        assert service.recent.recent() == []
        assert caplog.records == []
        held.lock.release()
        return without, await probe(service, target)

    with caplog.at_level(logging.DEBUG, "ssh_exchange_exporter"), FakeSshd(HEALTHY) as server:
        target = f"{server.address}:{server.port}"
        without, fresh = served(tmp_path, "{}", work)
    assert (without.kind, without.result.number) == (UNAVAILABLE, 0)
    assert (fresh.kind, fresh.result.number) == (FRESH, 1)


def test_a_request_over_budget_without_an_earlier_result_gets_a_placeholder(tmp_path: Path) -> None:
    async def work(service: Service) -> ProbeResponse:
        state = service.servers.at(ServerKey("127.0.0.1", server.port))
        service.servers.budget(state, "127.0.0.1").take(15, time.monotonic())
        return await probe(service, target)

    with FakeSshd(HEALTHY) as server:
        target = f"{server.address}:{server.port}"
        response = served(tmp_path, "budget: {per_second: 0.1}", work)
        assert len(server.peers) == 0
    assert (response.kind, response.result.number) == (DEFERRED, 0)
    assert 50 - LONG < response.wait <= 50
    assert sentence(response).startswith("the budget for this server is spent")


def test_a_background_target_counts_only_what_was_probed(tmp_path: Path) -> None:
    async def work(service: Service) -> None:
        held = service.servers.at(ServerKey("127.0.0.1", server.port))
        await held.lock.acquire()
        await service.start()
        (background,) = service.fleet.targets.values()
        first = background.due
        async with asyncio.timeout(LONG):
            while background.due == first:  # it gets its next turn when the first one has been given up
                await asyncio.sleep(0.05)
        assert background.result is None
        assert background.deferred == 0
        assert service.recent.recent() == []
        held.lock.release()
        async with asyncio.timeout(LONG):
            while background.result is None:
                await asyncio.sleep(0.1)
        assert background.result.number == 1

    with FakeSshd(HEALTHY) as server:
        target = f"{server.address}:{server.port}"
        modules = "modules: {default: {timeout: 300ms, handshakes: 1, depth: banner}}\n"
        served(tmp_path, f"{modules}background: [{{targets: ['{target}'], interval: 1s}}]", work)


def test_a_run_that_is_cancelled_unlocks_its_server_and_stays_spent(tmp_path: Path) -> None:
    async def work(service: Service) -> None:
        request = asyncio.create_task(probe(service, target))
        await until(lambda: server.peers)
        state = service.servers.at(ServerKey("127.0.0.1", server.port))
        assert state.lock.locked()
        await service.broker.close(0.0)
        assert not state.lock.locked()
        assert service.servers.budget(state, "127.0.0.1").left(time.monotonic()) == pytest.approx(10, abs=0.1)
        with pytest.raises(asyncio.CancelledError):
            await request

    with FakeSshd([pause(5.0), *HEALTHY]) as server:
        target = f"{server.address}:{server.port}"
        served(tmp_path, "budget: {per_second: 0.001}\nmodules: {default: {timeout: 20s}}", work)


def test_a_target_does_not_count_what_another_module_saw_of_its_server(tmp_path: Path) -> None:
    async def work(service: Service) -> None:
        try:
            first = asyncio.create_task(probe(service, target, "fifteen"))
            await until(lambda: server.peers)
            waiting = asyncio.create_task(probe(service, target))
            await asyncio.sleep(0)  # it has begun
            await service.start()  # the target is due within a second, and shares the probe that waits
            await until(lambda: service.own.registry.get_sample_value(SHARED_TOTAL) == 1)
        finally:
            go.set()
        await asyncio.gather(first, waiting)
        (background,) = service.fleet.targets.values()
        await until(lambda: background.deferred)
        assert background.result is None
        assert sum(background.counters.endings.values()) == 0

    go = threading.Event()

    def hold(peer: Peer) -> None:
        go.wait(LONG)

    with FakeSshd([hold, *HEALTHY]) as server:
        target = f"{server.address}:{server.port}"
        modules = "modules: {default: {timeout: 20s}, fifteen: {handshakes: 15, timeout: 20s}}\n"
        budget = "budget: {per_second: 0.001}\n"
        served(tmp_path, f"{modules}{budget}background: [{{targets: ['{target}'], interval: 1s}}]", work)


def test_the_bytes_of_a_run_are_for_who_asked_for_them_and_not_kept(tmp_path: Path) -> None:
    async def work(service: Service) -> tuple[ProbeResponse, ProbeResponse]:
        module = service.configuration.modules["fifteen"]
        request = ProbeRequest(parse_target(target), target, "fifteen", module, trace=True)
        return await service.broker.probe(request, LONG), await probe(service, target, "fifteen")

    with FakeSshd(HEALTHY) as server:
        target = f"{server.address}:{server.port}"
        asked, later = served(tmp_path, "modules: {fifteen: {handshakes: 15}}", work)
    assert all(handshake.wire for handshake in asked.result.report.handshakes)
    assert later.kind is DEFERRED
    assert later.result.report.completed == 15
    assert not any(handshake.wire for handshake in later.result.report.handshakes)


def test_questions_under_different_lists_of_allowed_targets_share_no_probe(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("{}")
    module = load(str(tmp_path / "c.yml")).modules["default"]

    def key(allowed: Allowed | None) -> tuple[object, ...]:
        return ProbeRequest(parse_target("a"), "a", "default", module, allowed=allowed).key

    before, after = Allowed(["10.0.0.0/8"]), Allowed(["192.168.0.0/16"])
    assert key(before) != key(after)
    assert key(before) == key(before)
    assert key(Allowed([])) == key(None)


def test_a_large_run_gets_its_turn_among_small_ones(tmp_path: Path) -> None:
    async def work(service: Service) -> bool:
        async def small() -> None:
            while True:
                await probe(service, target, "small")
                await asyncio.sleep(0.1)

        await probe(service, target, "large")
        crowd = asyncio.create_task(small())
        for _ in range(60):
            await asyncio.sleep(0.5)
            if (await probe(service, target, "large")).kind is FRESH:
                crowd.cancel()
                return True
        return False

    with FakeSshd(HEALTHY) as server:
        target = f"{server.address}:{server.port}"
        modules = "modules: {small: {handshakes: 2, depth: banner}, large: {handshakes: 6, depth: banner}}\n"
        assert served(tmp_path, f"budget: {{handshakes: 6, per_second: 3}}\n{modules}", work)
