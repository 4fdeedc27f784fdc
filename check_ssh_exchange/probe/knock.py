"""Does a host live? One connection to a port of which the answer does not matter."""

import time

from ..ending import Depth, Ending
from ..wire.exchange import Exchange, Input
from .connection import Address, Connection, OnEnd

ANSWERED = frozenset({Ending.CLOSED, Ending.REFUSED, Ending.RESET})


class Knock(Connection):
    """A connection that has its answer as soon as it is established, or refused."""

    def __init__(self, lane: Address, port: int, on_end: OnEnd, source: str) -> None:
        address = Address(lane.family, (lane.sockaddr[0], port, *lane.sockaddr[2:]), lane.text)
        super().__init__(address, Exchange(Depth.BANNER), "control", on_end, source)

    def _established(self) -> None:
        super()._established()
        self.exchange.on(Input.END_OF_STREAM, time.monotonic_ns())

    @property
    def verdict(self) -> str:
        """Return what the host did, as the end of a sentence."""
        return "answered" if self.exchange.ending in ANSWERED else "did not answer"
