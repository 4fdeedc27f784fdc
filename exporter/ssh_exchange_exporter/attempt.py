"""Attempts to answer a request by a probe: their measurement and clock, and the work that is in flight, by key."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from check_ssh_exchange.plan import Plan
from check_ssh_exchange.probe.measurement import Measurement

from .probe_request import ProbeRequest

T = TypeVar("T")


class Attempt:
    """Begins with its construction and has its plan's time; `at` is that moment in seconds since the epoch."""

    __slots__ = ("_begun", "at", "measurement", "request")

    def __init__(self, request: ProbeRequest, plan: Plan) -> None:
        self.request = request
        self.measurement = Measurement(request.target, plan)
        self.at = time.time()
        self._begun = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._begun


class InFlight(Generic[T]):
    """Tasks that have not ended; requests with the same key share one. To be used within one running loop."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}
        self._awaited: dict[asyncio.Task[T], int] = defaultdict(int)

    def join(self, key: Hashable, begin: Callable[[], Coroutine[Any, Any, T]]) -> tuple[asyncio.Task[T], bool]:
        """Return the task of this key and whether it is an earlier request's; begin one where there is none."""
        task = self._tasks.get(key)
        is_shared = task is not None
        if task is None:
            task = self._tasks[key] = asyncio.create_task(begin())
            task.add_done_callback(lambda done: self._ended(key, done))
        self._awaited[task] += 1
        return task, is_shared

    def leave(self, task: asyncio.Task[T]) -> None:
        """Cancel a task that no other request has joined: the one that leaves was the only one to want its result."""
        self._awaited[task] -= 1
        if self._awaited[task] <= 0:
            task.cancel()

    def _ended(self, key: Hashable, task: asyncio.Task[T]) -> None:
        del self._tasks[key]
        del self._awaited[task]
        if not task.cancelled():
            task.exception()  # asyncio logs an exception that was never read, and every requester may have gone away

    async def close(self, seconds: float) -> None:
        """Wait up to `seconds` for the tasks to end, then cancel them."""
        tasks = set(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
