"""What is kept for each server: who probes it now, what each source of ours may still do to it, what it was last."""

import asyncio
import ipaddress
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from check_ssh_exchange.report import Server

from ..configuration.configuration import Budget
from ..result import Result
from .token_bucket import Allowance

MOST_REMEMBERED = 20_000


@lru_cache(4096)
def plain(address: str) -> str:
    """Return an address as the other end sees it, whichever of its spellings is given; "" as it is."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    # ::ffff:192.0.2.1 goes over IPv4, and the server sees IPv4.
    return str((isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped) or found)


class ServerKey(NamedTuple):
    """A server: two names of one address (a `plain` one) are one server, two addresses of one name are two."""

    address: str
    port: int


class ServerState:
    """What is kept of one server."""

    __slots__ = ("allowances", "key", "last", "lock", "seen_at", "server")

    def __init__(self, key: ServerKey) -> None:
        self.key = key
        self.lock = asyncio.Lock()
        self.allowances: dict[str, Allowance] = {}
        self.server: Server | None = None
        self.last: Result | None = None
        self.seen_at = 0.0

    def is_idle(self, now: float) -> bool:
        """Return whether a new start would know as much: nobody is at it and no handshake counts any more."""
        return not self.lock.locked() and all(allowance.is_full(now) for allowance in self.allowances.values())


class ServerStates:
    """All servers that were probed of late."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._states: dict[ServerKey, ServerState] = {}

    def at(self, key: ServerKey) -> ServerState:
        """Return the state of a server."""
        state = self._states.get(key)
        if state is None:
            if len(self._states) >= MOST_REMEMBERED:
                self._forget_some()
            state = self._states[key] = ServerState(key)
        state.seen_at = time.monotonic()
        return state

    def allowance(self, state: ServerState, source: str) -> Allowance:
        """Return what a source of ours may still do to a server."""
        allowance = state.allowances.get(source)
        if allowance is None:
            allowance = Allowance(self._budget.handshakes, self._budget.per_second, time.monotonic())
            state.allowances[source] = allowance
        return allowance

    def set_budget(self, budget: Budget) -> None:
        """Take over another budget; what was spent stays spent."""
        self._budget = budget
        for state in self._states.values():
            for allowance in state.allowances.values():
                allowance.resize(budget.handshakes, budget.per_second, time.monotonic())

    def _forget_some(self) -> None:
        now = time.monotonic()
        idle = sorted((state.seen_at, key) for key, state in self._states.items() if state.is_idle(now))
        for _, key in idle[: MOST_REMEMBERED // 10]:
            del self._states[key]

    async def acquire(self, keys: Iterable[ServerKey]) -> list[ServerState]:
        """Wait until nobody else is at these servers; `release` lets the next one go to them."""
        states = [self.at(key) for key in sorted(set(keys))]  # in one order, or two wait for each other
        held: list[ServerState] = []
        try:
            for state in states:
                await state.lock.acquire()
                held.append(state)
        except BaseException:
            release(held)
            raise
        return states


def release(states: Iterable[ServerState]) -> None:
    """Let the next one go to these servers."""
    for state in states:
        state.lock.release()
