"""The least a program in Python can do for many handshakes at once: an epoll loop without names, checks or records.

It makes the system calls of our engine, one for one, and does nothing with what they return.
"""

import os
import select
import socket
from contextlib import suppress

from check_ssh_exchange.ending import Depth
from check_ssh_exchange.probe import kernel
from check_ssh_exchange.probe.connection import EVENTS, READ_SIZE
from check_ssh_exchange.wire import kexinit
from check_ssh_exchange.wire.exchange import CLIENT_IDENTIFICATION, DISCONNECT
from check_ssh_exchange.wire.packet import disconnect, packet

STAMPS = 1 << 3 | 1 << 4  # SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE
TCP_INFO_LENGTH = 144
COOKIE = 16


def handshakes(address: tuple[str, int], count: int, depth: Depth = Depth.BANNER) -> None:
    """Make `count` handshakes at once, of depth banner or kexinit, hold them until all are answered, and leave."""
    poll = select.epoll()
    stamping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stamping.setsockopt(socket.SOL_SOCKET, kernel.SO_TIMESTAMPING, STAMPS)
    sockets = {}
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, kernel.SO_TIMESTAMPING, STAMPS)
        sock.connect_ex(address)
        sock.getsockname()
        descriptor = sock.fileno()
        sockets[descriptor] = sock
        poll.register(descriptor, EVENTS)
    _exchange(poll, sockets, depth)
    _leave(list(sockets.values()), depth)
    stamping.close()
    poll.close()


def _exchange(poll: select.epoll, sockets: dict[int, socket.socket], depth: Depth) -> None:
    is_all = depth is Depth.BANNER
    offer = CLIENT_IDENTIFICATION if is_all else CLIENT_IDENTIFICATION + packet(kexinit.build())
    connecting, asking = set(sockets), set(sockets)
    answered = 0
    while answered < len(sockets):
        for descriptor, mask in poll.poll(-1, 512):
            sock = sockets[descriptor]
            if descriptor in connecting:
                connecting.remove(descriptor)
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_LENGTH)
            if mask & select.EPOLLIN:
                sock.recvmsg(READ_SIZE, kernel.STAMP_SPACE)
                if descriptor not in asking:
                    answered += 1
                    continue
                asking.remove(descriptor)
                if is_all:
                    answered += 1
                else:
                    os.urandom(COOKIE)
                sock.send(offer, socket.MSG_NOSIGNAL)


def _leave(sockets: list[socket.socket], depth: Depth) -> None:
    farewell = disconnect(*DISCONNECT)
    for sock in sockets:
        if depth is Depth.BANNER:
            sock.shutdown(socket.SHUT_WR)
            _drain(sock)
        else:
            sock.send(farewell, socket.MSG_NOSIGNAL)
    for sock in sockets:
        if depth is Depth.BANNER:
            _drain(sock)
        sock.close()


def _drain(sock: socket.socket) -> None:
    with suppress(BlockingIOError):
        sock.recv(READ_SIZE)
