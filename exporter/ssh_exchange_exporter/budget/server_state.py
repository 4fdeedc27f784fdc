"""State per server: its lock, the budget of each source address, the software seen last and the last result."""

import asyncio
import time
from collections.abc import Iterable
from typing import NamedTuple

from check_ssh_exchange.report import Server

from ..configuration.configuration import Budget
from ..result import Result
from .source_budget import SourceBudget

MAX_SERVERS = 20_000


class ServerKey(NamedTuple):
    """A server, by its `plain` address: two names of one address are one server, two addresses of a name are two."""

    address: str
    port: int


class ServerState:
    """State of one server; `budgets` are by source address, `seen_at` is in monotonic seconds."""

    __slots__ = ("budgets", "key", "last", "lock", "routed_until", "seen_at", "server", "source", "waiting")

    def __init__(self, key: ServerKey) -> None:
        self.key = key
        self.lock = asyncio.Lock()
        self.waiting = 0  # probes that wait for the lock
        self.budgets: dict[str, SourceBudget] = {}
        self.server: Server | None = None
        self.last: Result | None = None
        self.seen_at = 0.0
        self.source = ""  # our address towards it, known until `routed_until` (monotonic seconds)
        self.routed_until = 0.0

    def is_idle(self, now: float) -> bool:
        """Return whether this entry holds no state worth keeping: no lock, and every budget full."""
        is_free = not self.lock.locked() and not self.waiting
        return is_free and all(budget.is_full(now) for budget in self.budgets.values())


class ServerStates:
    """State of all servers that were probed lately."""

    def __init__(self, size: Budget) -> None:
        self._size = size
        self._states: dict[ServerKey, ServerState] = {}

    def at(self, key: ServerKey) -> ServerState:
        """Return the state of a server."""
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= MAX_SERVERS:
                self._forget_some()
            state = self._states[key] = ServerState(key)
        state.seen_at = time.monotonic()
        return state

    def budget(self, state: ServerState, source: str) -> SourceBudget:
        """Return the budget of a source address at a server."""
        budget = state.budgets.get(source)
        if budget is None:
            budget = state.budgets[source] = SourceBudget(self._size.handshakes, self._size.per_second)
        return budget

    def resize(self, size: Budget) -> None:
        """Change the size of every budget; what was spent stays spent."""
        self._size = size
        now = time.monotonic()
        for state in self._states.values():
            for budget in state.budgets.values():
                budget.resize(size.handshakes, size.per_second, now)

    def _forget_some(self) -> None:
        now = time.monotonic()
        idle = sorted((state.seen_at, key) for key, state in self._states.items() if state.is_idle(now))
        for _, key in idle[: MAX_SERVERS // 10]:
            del self._states[key]

    async def acquire(self, keys: Iterable[ServerKey], seconds: float) -> list[ServerState]:
        """Wait until no other probe of these servers is under way, and lock them; `release` unlocks them.

        Raises TimeoutError where that takes longer than `seconds`.
        """
        states = [self.at(key) for key in sorted(set(keys))]  # in one order, or two probes wait for each other
        if not any(state.lock.locked() or state.waiting for state in states):
            return await _lock(states)  # at once, so that it needs no timer
        for state in states:
            state.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                return await _lock(states)
        finally:
            for state in states:
                state.waiting -= 1


async def _lock(states: list[ServerState]) -> list[ServerState]:
    locked: list[ServerState] = []
    try:
        for state in states:
            await state.lock.acquire()
            locked.append(state)
    except BaseException:
        release(locked)
        raise
    return states


def release(states: Iterable[ServerState]) -> None:
    """Unlock servers for the next probe."""
    for state in states:
        state.lock.release()
