"""Handshakes without a socket, fed with bytes and an end."""

import struct
from collections.abc import Callable

from check_ssh_exchange.ending import Depth
from check_ssh_exchange.wire.exchange import Exchange
from tests.lab.fake_sshd import packet, string

NEWKEYS = packet(b"\x15")
IGNORE, UNIMPLEMENTED, DEBUG = (packet(bytes((number,)) + string(b"words")) for number in (2, 3, 4))
EXT_INFO = packet(b"\x07" + struct.pack(">I", 1) + string(b"server-sig-algs") + string(b"rsa-sha2-256"))

ENDS: dict[str, Callable[[Exchange], None]] = {
    "none": lambda _: None,
    "FIN": lambda exchange: exchange.end_of_stream(9),
    "RST": lambda exchange: exchange.reset(9),
    "deadline": lambda exchange: exchange.deadline(9),
}


def connected(depth: Depth = Depth.KEXINIT) -> Exchange:
    exchange = Exchange(depth)
    exchange.connected(1)
    return exchange


def after(*pieces: bytes, depth: Depth = Depth.KEXINIT) -> Exchange:
    exchange = connected(depth)
    for piece in pieces:
        exchange.receive(piece, 2)
    return exchange
