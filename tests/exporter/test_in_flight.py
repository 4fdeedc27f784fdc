"""Tasks shared by key."""

import asyncio

import pytest

from ssh_exchange_exporter.attempt import InFlight


def test_requests_share_a_task_until_it_ends() -> None:
    async def main() -> None:
        begun: list[int] = []
        release = asyncio.Event()

        async def work(number: int) -> int:
            begun.append(number)
            await release.wait()
            return number

        flights: InFlight[int] = InFlight()
        first, is_shared = flights.join("key", lambda: work(1))
        assert not is_shared
        again, is_shared = flights.join("key", lambda: work(2))
        assert is_shared
        other, is_shared = flights.join("other", lambda: work(3))
        assert not is_shared
        release.set()
        assert [await first, await again, await other] == [1, 1, 3]
        later, is_shared = flights.join("key", lambda: work(4))
        assert not is_shared
        assert await later == 4
        assert begun == [1, 3, 4]

    asyncio.run(main())


def test_a_failure_without_a_requester_is_not_reported_by_asyncio() -> None:
    async def main() -> None:
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

        async def work() -> int:
            raise ValueError("broken")

        flights: InFlight[int] = InFlight()
        flights.join("key", work)
        await asyncio.sleep(0.01)
        task, is_shared = flights.join("key", work)
        assert not is_shared
        with pytest.raises(ValueError, match="broken"):
            await task
        assert complaints == []

    asyncio.run(main())


def test_closing_waits_for_what_ends_in_time_and_cancels_the_rest() -> None:
    async def main() -> None:
        flights: InFlight[float] = InFlight()

        async def work(seconds: float) -> float:
            await asyncio.sleep(seconds)
            return seconds

        short, _ = flights.join("short", lambda: work(0.01))
        long, _ = flights.join("long", lambda: work(60.0))
        await flights.close(0.5)
        assert short.result() == 0.01
        assert long.cancelled()

    asyncio.run(main())
