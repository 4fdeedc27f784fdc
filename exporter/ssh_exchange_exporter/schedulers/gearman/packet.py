"""Gearman's binary protocol, as far as a worker and a client of background jobs need it. Pure.

A packet is a magic word, a type and a length (both big-endian), and arguments with NULs between; the last one is data
and may hold NULs itself (PROTOCOL in gearmand's sources).
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

HEADER = struct.Struct(">4sII")
REQUEST, RESPONSE = b"\0REQ", b"\0RES"
# Bytes kept of one packet. The core's job texts end at 10 MiB, ours have some hundred bytes; of a longer one only the
# beginning is kept, which holds the handle that refuses it.
MAX_KEPT = 1 << 16


class Kind(IntEnum):
    """The types of packets used here."""

    CAN_DO = 1
    PRE_SLEEP = 4
    NOOP = 6
    JOB_CREATED = 8
    NO_JOB = 10
    WORK_COMPLETE = 13
    WORK_FAIL = 14
    SUBMIT_JOB_BG = 18
    ERROR = 19
    SET_CLIENT_ID = 22
    GRAB_JOB_UNIQ = 30
    JOB_ASSIGN_UNIQ = 31


# Arguments of the packets that we read; others are passed over.
ARGUMENTS: dict[int, int] = {Kind.JOB_ASSIGN_UNIQ: 4, Kind.JOB_CREATED: 1, Kind.ERROR: 2}


class ProtocolError(Exception):
    """What came is not Gearman's protocol."""


class Packet(NamedTuple):
    """A packet from the server; of one that `is_cut` the end of the last argument is missing."""

    kind: int
    arguments: tuple[bytes, ...] = ()
    is_cut: bool = False


def packed(kind: Kind, *arguments: bytes) -> bytes:
    """Return a packet to the server."""
    data = b"\0".join(arguments)
    return HEADER.pack(REQUEST, kind, len(data)) + data


class Packets:
    """Packets from the bytes of a connection. However much comes, at most MAX_KEPT of a packet is kept."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0  # bytes of a packet that was too long, still to come

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield the packets that these bytes complete. Raises ProtocolError."""
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._buffer += data[skipped:]
        while (packet := self._next()) is not None:
            yield packet

    def _next(self) -> Packet | None:
        if len(self._buffer) < HEADER.size:
            return None
        magic, kind, length = HEADER.unpack_from(self._buffer)
        if magic != RESPONSE:
            raise ProtocolError("it does not answer as a gearmand does")
        kept = min(length, MAX_KEPT)
        end = HEADER.size + kept
        if len(self._buffer) < end:
            return None
        data = bytes(self._buffer[HEADER.size : end])
        dropped = min(length - kept, len(self._buffer) - end)
        del self._buffer[: end + dropped]
        self._skip = length - kept - dropped
        wanted = ARGUMENTS.get(kind, 0)
        arguments = tuple(data.split(b"\0", wanted - 1)) if wanted else ()
        return Packet(kind, arguments, is_cut=length > kept)
