"""A connection to a gearmand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

from .packet import Kind, Packet, Packets, ProtocolError, packed

CONNECT_SECONDS = 5.0
READ = 1 << 16


class Connection:
    """Sends packets and yields those that come. Raises OSError and ProtocolError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._packets = Packets()

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Connect. Raises OSError, TimeoutError included."""
        async with asyncio.timeout(CONNECT_SECONDS):
            return cls(*await asyncio.open_connection(host, port))

    def send(self, kind: Kind, *arguments: bytes) -> None:
        """Send a packet, unless the connection is being closed."""
        if not self._writer.is_closing():
            self._writer.write(packed(kind, *arguments))

    async def packets(self) -> AsyncIterator[Packet]:
        """Yield packets until the server closes the connection."""
        while data := await self._reader.read(READ):
            for packet in self._packets.feed(data):
                yield packet

    async def submit(self, queue: str, payload: bytes) -> None:
        """Submit a background job and wait until the server has it. Raises OSError and ProtocolError."""
        self.send(Kind.SUBMIT_JOB_BG, queue.encode(), b"", payload)
        await self._writer.drain()
        async for packet in self.packets():
            if packet.kind == Kind.JOB_CREATED:
                return
            if packet.kind == Kind.ERROR:
                raise ProtocolError(b" ".join(packet.arguments).decode("ascii", "backslashreplace"))
        raise ConnectionResetError("gearmand closed the connection")

    def close(self) -> None:
        """Close the connection at once."""
        self._writer.close()
