"""What is kept for each server: who probes it now, what each source of ours may still do to it, what it was last."""

import asyncio
import ipaddress
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from check_ssh_exchange.report import Server

from .budget.token_bucket import Allowance
from .configuration.configuration import Budget
from .result import Result

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


class Place(NamedTuple):
    """A server: two names of one address (a `plain` one) are one server, two addresses of one name are two."""

    address: str
    port: int


class Peer:
    """The server at a place."""

    __slots__ = ("allowances", "last", "lock", "place", "seen_at", "server")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.lock = asyncio.Lock()
        self.allowances: dict[str, Allowance] = {}
        self.server: Server | None = None
        self.last: Result | None = None
        self.seen_at = 0.0

    def is_idle(self, now: float) -> bool:
        """Return whether a new start would know as much: nobody is at it and no handshake counts any more."""
        return not self.lock.locked() and all(allowance.is_full(now) for allowance in self.allowances.values())


class Servers:
    """All servers that were probed of late."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._peers: dict[Place, Peer] = {}

    def at(self, place: Place) -> Peer:
        """Return the server at a place."""
        peer = self._peers.get(place)
        if peer is None:
            if len(self._peers) >= MOST_REMEMBERED:
                self._forget_some()
            peer = self._peers[place] = Peer(place)
        peer.seen_at = time.monotonic()
        return peer

    def allowance(self, peer: Peer, source: str) -> Allowance:
        """Return what a source of ours may still do to a server."""
        allowance = peer.allowances.get(source)
        if allowance is None:
            allowance = Allowance(self._budget.handshakes, self._budget.per_second, time.monotonic())
            peer.allowances[source] = allowance
        return allowance

    def set_budget(self, budget: Budget) -> None:
        """Take over another budget; what was spent stays spent."""
        self._budget = budget
        for peer in self._peers.values():
            for allowance in peer.allowances.values():
                allowance.resize(budget.handshakes, budget.per_second, time.monotonic())

    def _forget_some(self) -> None:
        now = time.monotonic()
        idle = sorted((peer.seen_at, place) for place, peer in self._peers.items() if peer.is_idle(now))
        for _, place in idle[: MOST_REMEMBERED // 10]:
            del self._peers[place]

    async def hold(self, places: Iterable[Place]) -> list[Peer]:
        """Wait until nobody else is at these servers; `release` lets the next one go to them."""
        peers = [self.at(place) for place in sorted(set(places))]  # in one order, or two wait for each other
        held: list[Peer] = []
        try:
            for peer in peers:
                await peer.lock.acquire()
                held.append(peer)
        except BaseException:
            release(held)
            raise
        return peers


def release(peers: Iterable[Peer]) -> None:
    """Let the next one go to these servers."""
    for peer in peers:
        peer.lock.release()
