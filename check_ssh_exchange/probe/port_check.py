"""Does a host live? One connection to another port, of which only the kernel's answer matters."""

import time

from ..ending import Depth, Ending
from ..report import Role
from ..wire.exchange import Exchange, Input
from .connection import Address, Connection, OnEnd

ANSWERED = frozenset({Ending.CLOSED, Ending.REFUSED, Ending.RESET})


class PortCheck(Connection):
    """A connection that has its answer as soon as it is established, or refused."""

    def __init__(self, address: Address, port: int, on_end: OnEnd, source: str) -> None:
        there = Address(address.family, (address.sockaddr[0], port, *address.sockaddr[2:]), address.text)
        super().__init__(there, Exchange(Depth.BANNER), Role.CONTROL, on_end, source)

    def _established(self) -> None:
        super()._established()
        self.exchange.on(Input.END_OF_STREAM, time.monotonic_ns())

    @property
    def took(self) -> float | None:
        """Return the seconds from SYN to the answer, None without one."""
        ended = self.exchange.ended_at
        if not self.has_answer or ended is None:
            return None
        return ((self.exchange.connected_at or ended) - self.started_at) / 1e9

    @property
    def has_answer(self) -> bool:
        """Return whether the host answered."""
        return self.exchange.ending in ANSWERED
