"""The least a program in Python can do for many handshakes at once: an epoll loop without names, checks or records.

It makes the system calls of our engine, one for one, and does nothing with what they return.
"""

import select
import socket
from contextlib import suppress

from check_ssh_exchange.probe import kernel
from check_ssh_exchange.probe.connection import EVENTS, READ_SIZE
from check_ssh_exchange.wire.exchange import CLIENT_IDENTIFICATION

STAMPS = 1 << 3 | 1 << 4  # SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE
TCP_INFO_LENGTH = 144


def handshakes(address: tuple[str, int], count: int) -> None:
    """Make `count` handshakes of depth banner at once, hold them until all are answered, and leave by FIN."""
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
    connecting = set(sockets)
    answered = 0
    while answered < count:
        for descriptor, mask in poll.poll(-1, 512):
            sock = sockets[descriptor]
            if descriptor in connecting:
                connecting.remove(descriptor)
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_LENGTH)
            if mask & select.EPOLLIN:
                sock.recvmsg(READ_SIZE, kernel.STAMP_SPACE)
                sock.send(CLIENT_IDENTIFICATION, socket.MSG_NOSIGNAL)
                answered += 1
    for sock in sockets.values():
        sock.shutdown(socket.SHUT_WR)
        _drain(sock)
    for sock in sockets.values():
        _drain(sock)
        sock.close()
    stamping.close()
    poll.close()


def _drain(sock: socket.socket) -> None:
    with suppress(BlockingIOError):
        sock.recv(READ_SIZE)
