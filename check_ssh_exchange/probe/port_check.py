"""Does a host live? One connection to another port, of which only the kernel's answer matters."""

import socket
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

    def leave(self) -> bool:
        """Send FIN and read what comes: the service behind the port is spared a RST as well."""
        try:  # noqa: SIM105 - importing contextlib costs a start of the plugin more than this line
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self.drain()

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
