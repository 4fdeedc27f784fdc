"""Binary packets before any key is in force (RFC 4253 section 6): length, padding, payload, no MAC."""

import struct
from enum import IntEnum
from functools import lru_cache

from ..ending import Reason
from .identification import Malformed

# RFC 4253 6.1: every implementation must take 35000 bytes in all and need take no more. The largest KEXINIT seen
# (OpenSSH 10.6, all host key types) has 1.6 kB.
MAX_PACKET = 35000
MIN_PACKET = 5  # padding length and at least four bytes of padding (RFC 4253 6)
BLOCK = 8  # the cipher "none" counts as eight bytes wide

_LENGTH = struct.Struct(">I")
_HEADER = struct.Struct(">IB")


class Message(IntEnum):
    """Message numbers that may come before NEWKEYS (RFC 4250 4.1.2, RFC 8308 2.3)."""

    DISCONNECT = 1
    IGNORE = 2
    UNIMPLEMENTED = 3
    DEBUG = 4
    EXT_INFO = 7
    KEXINIT = 20
    NEWKEYS = 21
    KEX_INIT = 30  # the first of the method's own: KEXDH_INIT, KEX_ECDH_INIT (RFC 4253 8, RFC 5656 4)


def take_packet(data: bytes) -> tuple[bytes, bytes] | None:
    """Return the first packet's payload and the bytes behind it, None while it is not complete.

    Raises Malformed for lengths that no valid packet has.
    """
    if len(data) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(data)
    if not MIN_PACKET <= length <= MAX_PACKET - _LENGTH.size:
        raise Malformed(Reason.BAD_PACKET, f"a packet length of {length}")
    if len(data) < _LENGTH.size + length:
        return None
    padding = data[_LENGTH.size]
    if padding < 4 or padding > length - 2:
        raise Malformed(Reason.BAD_PACKET, f"{padding} bytes of padding in a packet of {length}")
    return data[_HEADER.size : _LENGTH.size + length - padding], data[_LENGTH.size + length :]


def packet(payload: bytes) -> bytes:
    """Return `payload` as one packet, padded to eight bytes with zeros, as ssh(1) does before there is a key."""
    padding = BLOCK - (_HEADER.size + len(payload)) % BLOCK
    if padding < 4:
        padding += BLOCK
    return _HEADER.pack(1 + len(payload) + padding, padding) + payload + bytes(padding)


def string(value: bytes) -> bytes:
    """Return an RFC 4251 string: length and bytes."""
    return _LENGTH.pack(len(value)) + value


def take_string(data: bytes, start: int) -> tuple[bytes, int]:
    """Return the string that begins at `start` and the position behind it; raises Malformed when it is cut."""
    end = start + _LENGTH.size
    if end > len(data):
        raise Malformed(Reason.BAD_PACKET, "a message that ends inside a length")
    end += _LENGTH.unpack_from(data, start)[0]
    if end > len(data):
        raise Malformed(Reason.BAD_PACKET, "a string longer than its message")
    return data[start + _LENGTH.size : end], end


@lru_cache(16)
@lru_cache(4)  # we say the same in each handshake
def disconnect(reason: int, description: bytes) -> bytes:
    """Return SSH_MSG_DISCONNECT (RFC 4253 11.1) as a packet."""
    return packet(bytes((Message.DISCONNECT,)) + _LENGTH.pack(reason) + string(description) + string(b""))


def parse_disconnect(payload: bytes) -> tuple[int, bytes]:
    """Return reason and description of an SSH_MSG_DISCONNECT payload; raises Malformed."""
    if len(payload) < 1 + _LENGTH.size:
        raise Malformed(Reason.BAD_PACKET, "a disconnect message without a reason")
    description, _ = take_string(payload, 1 + _LENGTH.size)
    return _LENGTH.unpack_from(payload, 1)[0], description
