"""Deadlines and floods, over real sockets."""

import asyncio
import contextlib
import logging
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssh_exchange_exporter.web.http_connection import Deadlines
from ssh_exchange_exporter.web.listener import origin
from ssh_exchange_exporter.web.sockets import bind

from .served import (
    GET,
    LARGE,
    PATIENT,
    TLS,
    Served,
    ask,
    client,
    comes_in,
    is_dropped,
    run,
    serving,
    tls,
    until,
)

# Seconds of a deadline before which a client here sends a whole request: it takes a millisecond, the rest is for a
# machine that stands still meanwhile.
ENOUGH = 2.0


def only(**short: float) -> Deadlines:
    return Deadlines(60, 60, 60, 60)._replace(**short)


def test_a_client_that_says_nothing_is_dropped() -> None:
    async def test() -> None:
        async with serving(deadlines=only(head=0.2)) as served:
            assert await is_dropped(await served.connect())
            await until(lambda: served.listener.open == 0)

    run(test)


def test_half_a_head_is_dropped_however_often_a_byte_comes() -> None:
    async def test() -> None:
        async with serving(deadlines=only(head=0.5)) as served:
            streams = await served.connect()
            streams[1].write(b"GET / HTTP/1.1\r\nX: ")

            async def drip() -> None:
                while True:
                    streams[1].write(b"x")
                    await asyncio.sleep(0.05)

            dripping = asyncio.create_task(drip())
            assert await is_dropped(streams)
            dripping.cancel()
            assert served.handled == []

    run(test)


def test_half_a_second_request_is_dropped() -> None:
    async def test() -> None:
        async with serving(deadlines=only(head=ENOUGH)) as served:
            streams = await served.connect()
            assert (await ask(streams)).status == 200
            streams[1].write(b"GET / HT")
            assert await is_dropped(streams)

    run(test)


def test_an_idle_connection_is_dropped() -> None:
    async def test() -> None:
        async with serving(deadlines=only(answer=ENOUGH)) as served:
            streams = await served.connect()
            assert (await ask(streams)).status == 200
            assert (await ask(streams)).status == 200
            assert await is_dropped(streams)
            await until(lambda: served.listener.open == 0)

    run(test)


@pytest.mark.parametrize("with_tls", [False, True])
def test_a_client_that_does_not_take_its_response_is_dropped(tmp_path: Path, signed: Path, with_tls: bool) -> None:
    live = tls(tmp_path, signed, TLS) if with_tls else None
    context = client(signed) if with_tls else None

    async def test() -> None:
        async with serving(live, deadlines=only(answer=0.3)) as served:
            for rest in (b"", b"Connection: close\r\n"):
                _, writer = await served.connect(context)
                writer.write(GET % (b"/large", rest))  # a stream that nobody reads stops taking after a while
                await until(lambda: served.listener.open == 1)
                await until(lambda: served.listener.open == 0)
                writer.transport.abort()

    run(test)


def test_a_handler_has_its_deadline() -> None:
    async def test() -> None:
        async with serving(deadlines=only(handling=0.2)) as served:
            streams = await served.connect()
            streams[1].write(GET % (b"/slow?seconds=3", b""))
            assert await is_dropped(streams)

    run(test)


def test_a_slow_handler_outlives_the_other_deadlines() -> None:
    async def test() -> None:
        async with serving(deadlines=Deadlines(ENOUGH, ENOUGH, 60, 60)) as served:
            streams = await served.connect()
            assert (await ask(streams, f"/slow?seconds={ENOUGH + 0.5}")).body == b"late"
            assert (await ask(streams)).body == b"hello"
            streams[1].close()

    run(test)


def test_a_large_response_is_taken_whole() -> None:
    async def test() -> None:
        async with serving() as served:
            assert len((await served.get("/large")).body) == LARGE

    run(test)


def test_nonsense_is_answered_with_400_and_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving() as served:
            for sent in (b"\0\1\2\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"):
                streams = await served.connect()
                streams[1].write(sent)
                async with asyncio.timeout(PATIENT):
                    assert b" 400 " in await streams[0].readline()
                assert await is_dropped(streams)
            assert (await served.get()).status == 200

    with caplog.at_level(logging.INFO):
        run(test)
    assert caplog.text == ""


@pytest.fixture
def idle_clients() -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    yield opened
    for each in opened:
        each.close()


async def flood(served: Served, number: int, opened: list[socket.socket]) -> None:
    def taken() -> int:
        return served.listener.open + served.listener.refused + served.listener.evicted

    before = taken()
    for _ in range(number):
        opened.append(socket.socket())
        opened[-1].settimeout(0)
        await asyncio.get_running_loop().sock_connect(opened[-1], ("127.0.0.1", served.port))
    await until(lambda: taken() - before >= number)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("with_tls", [False, True])
def test_a_flood_of_idle_connections_leaves_the_door_serving(
    tmp_path: Path, signed: Path, with_tls: bool, idle_clients: list[socket.socket]
) -> None:
    live = tls(tmp_path, signed, TLS) if with_tls else None
    context = client(signed) if with_tls else None

    async def test() -> None:
        async with serving(live, most=64, most_each=48) as served:
            before = descriptors()
            await flood(served, 700, idle_clients)
            assert served.listener.open <= 48
            await until(lambda: descriptors() - before - 700 <= 64)
            for _ in range(3):
                assert (await served.get("/", context=context)).body == b"hello"

    run(test)


def test_taking_a_whole_backlog_leaves_the_loop_to_others(idle_clients: list[socket.socket]) -> None:
    async def test() -> None:
        sockets = bind("127.0.0.1:0")
        idle_clients.extend(socket.create_connection(sockets[0].getsockname()) for _ in range(300))
        async with serving(sockets=sockets, most_each=400) as served:
            for _ in range(5):
                await asyncio.sleep(0)
            assert served.listener.open < 100
            await until(lambda: served.listener.open == 300)

    run(test)


def test_connections_at_work_are_not_evicted_but_new_ones_closed(idle_clients: list[socket.socket]) -> None:
    async def test() -> None:
        lost: list[int] = []
        async with serving(most=4, lost=lambda: lost.append(1)) as served:
            working = [asyncio.create_task(served.get("/held")) for _ in range(4)]
            await until(lambda: sum(not connection.http.is_idle for connection in served.listener._connections) == 4)
            await flood(served, 20, idle_clients)
            assert served.listener.refused == len(lost) == 20
            served.go.set()
            assert [answer.body for answer in await asyncio.gather(*working)] == [b"late"] * 4
            assert (await served.get()).status == 200

    run(test)


def test_one_origin_cannot_take_all_places(idle_clients: list[socket.socket]) -> None:
    async def test() -> None:
        async with serving(most=100, most_each=10) as served:
            other = await asyncio.open_connection("127.0.0.1", served.port, local_addr=("127.0.0.2", 0))
            assert (await ask(other)).status == 200
            await flood(served, 50, idle_clients)
            assert served.listener.open == 11
            assert (await ask(other)).status == 200  # the longest idle one, but not of the flooder
            other[1].close()

    run(test)


def test_without_descriptors_the_door_waits_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving() as served:
            waiting = socket.socket()
            waiting.setblocking(False)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (waiting.fileno() + 1, hard))
            try:
                # Whatever is free below: nothing may be left.
                spare = []
                with contextlib.suppress(OSError):
                    while True:
                        spare.append(os.dup(waiting.fileno()))
                with contextlib.suppress(BlockingIOError):
                    waiting.connect(("127.0.0.1", served.port))
                await until(lambda: "cannot accept a connection: Too many open files" in caplog.text)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                for each in spare:
                    os.close(each)
            streams = await asyncio.open_connection(sock=waiting)
            assert (await ask(streams)).body == b"hello"
            streams[1].close()

    run(test)
    assert caplog.text.count("cannot accept a connection") == 1


def test_a_shut_door_takes_nobody_but_lets_requests_end() -> None:
    async def test() -> None:
        async with serving() as served:
            working = asyncio.create_task(served.get("/held"))
            await until(lambda: any(not connection.http.is_idle for connection in served.listener._connections))
            await served.listener.close()
            with pytest.raises(ConnectionRefusedError):
                await served.connect()
            served.go.set()
            assert (await working).body == b"late"

    run(test)


def test_a_thousand_connections_leave_nothing_behind(tmp_path: Path, signed: Path) -> None:
    live = tls(tmp_path, signed, TLS)
    context = client(signed)

    async def test() -> None:
        async with serving(live) as served:
            assert await comes_in(served, context)
            await until(lambda: served.listener.open == 0)
            before, tasks = descriptors(), len(asyncio.all_tasks())
            for _ in range(20):
                await asyncio.gather(*(comes_in(served, context) for _ in range(5)))
                for streams in [await served.connect() for _ in range(45)]:
                    streams[1].close()
            await until(lambda: served.listener.open == 0)
            await until(lambda: descriptors() <= before and len(asyncio.all_tasks()) <= tasks)

    run(test)


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::", 5, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
        ("", ""),
        (b"\0abc", ""),
    ],
)
def test_an_origin_is_an_ipv4_address_or_an_ipv6_network(address: object, whose: str) -> None:
    assert origin(address) == whose
