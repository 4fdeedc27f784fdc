"""Just enough of pcap, Ethernet, IPv4 and TCP to see when a segment passed."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_FILE_HEADER = 24
_NANOSECONDS = 0xA1B23C4D  # the magic number of a file with stamps in nanoseconds, written by a machine like ours
_RECORD = struct.Struct("=IIII")  # seconds, nanoseconds, bytes kept, bytes on the wire
_ETHERNET, _LINK_HEADER, _IPV4, _TCP = 1, 14, b"\x08\x00", 6
SYN, ACK = 0x02, 0x10


class Segment(NamedTuple):
    """A TCP segment: when it passed in nanoseconds, from and to (address, port), its flags and its payload's start."""

    at: int
    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    flags: int
    payload: bytes


def segments(data: bytes) -> Iterator[Segment]:
    """Return the TCP segments of a pcap file. Raises ValueError for a file of another kind."""
    magic, link = struct.unpack_from("=I16xI", data)
    if magic != _NANOSECONDS or link != _ETHERNET:
        raise ValueError("no pcap file of Ethernet frames with stamps in nanoseconds")
    offset = _FILE_HEADER
    while offset + _RECORD.size <= len(data):
        seconds, nanoseconds, kept, _ = _RECORD.unpack_from(data, offset)
        offset += _RECORD.size
        frame = data[offset : offset + kept]
        offset += kept
        if frame[12:14] == _IPV4 and frame[_LINK_HEADER + 9] == _TCP:
            yield _segment(seconds * 1_000_000_000 + nanoseconds, frame[_LINK_HEADER:])


def _segment(at: int, packet: bytes) -> Segment:
    tcp = packet[(packet[0] & 0x0F) * 4 :]
    source, destination = struct.unpack_from("!HH", tcp)
    payload = tcp[(tcp[12] >> 4) * 4 :]
    return Segment(at, (packet[12:16], source), (packet[16:20], destination), tcp[13], payload)
