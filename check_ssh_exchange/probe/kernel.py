"""What the kernel knows about a TCP connection: TCP_INFO, receive stamps, the error queue."""

import errno
import socket
import struct

from ..values import NamedTuple

# linux/tcp.h, struct tcp_info: tcpi_rtt stands at 68, tcpi_total_retrans at 100, tcpi_segs_out and tcpi_segs_in at 136
# and 140 (since Linux 4.2; an older kernel returns a shorter struct, then they are unknown).
_TCP_INFO_LENGTH = 144
_TCP, _TCP_INFO = socket.IPPROTO_TCP, socket.TCP_INFO
_RTT = struct.Struct("=68xI28xI")
_SEGMENTS_IN = struct.Struct("=140xI")

# asm-generic/socket.h and linux/net_tstamp.h; the socket module does not name them.
SO_TIMESTAMPING = 37
_SOCKET = int(socket.SOL_SOCKET)
_STAMPS = 1 << 3 | 1 << 4  # receive stamps in software; report them
_TIMESPEC = struct.Struct("=qq")
STAMP_SPACE = socket.CMSG_SPACE(3 * _TIMESPEC.size)

IPV6_RECVERR = 25  # linux/in6.h
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # linux/errqueue.h, struct sock_extended_err; the offender follows
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3

_NANOSECONDS = 1_000_000_000


class Icmp(NamedTuple):
    """An ICMP or ICMPv6 answer to our SYN, and the address it came from."""

    type: int
    code: int
    sender: str

    def __str__(self) -> str:
        name = _ICMP_NAMES.get((":" in self.sender, self.type, self.code))
        return f"ICMP {self.type}/{self.code}{f' ({name})' if name else ''} from {self.sender}"


# RFC 792 and 1812 for ICMP, RFC 4443 for ICMPv6; the key's first part says whether it is ICMPv6.
_ICMP_NAMES = {
    (False, 3, 0): "net unreachable",
    (False, 3, 1): "host unreachable",
    (False, 3, 2): "protocol unreachable",
    (False, 3, 3): "port unreachable",
    (False, 3, 9): "net prohibited",
    (False, 3, 10): "host prohibited",
    (False, 3, 13): "administratively prohibited",
    (True, 1, 0): "no route",
    (True, 1, 1): "administratively prohibited",
    (True, 1, 3): "address unreachable",
    (True, 1, 4): "port unreachable",
    (True, 1, 5): "failed policy",
    (True, 1, 6): "reject route",
}


def read_tcp_info(sock: socket.socket) -> bytes:
    """Read TCP_INFO as it stands now."""
    return sock.getsockopt(_TCP, _TCP_INFO, _TCP_INFO_LENGTH)


def round_trip(raw: bytes) -> tuple[int, int]:
    """Return the round trip in nanoseconds, 0 when unknown, and the number of retransmitted segments."""
    rtt, retransmits = _RTT.unpack_from(raw)
    return rtt * 1000, retransmits


def segments_in(raw: bytes) -> int | None:
    """Return how many segments have come in; None where the kernel does not tell."""
    return _SEGMENTS_IN.unpack_from(raw)[0] if len(raw) >= _TCP_INFO_LENGTH else None


def request_stamps(sock: socket.socket) -> None:
    """Ask for software receive stamps; where the kernel has none, reads simply come without."""
    try:  # noqa: SIM105 - suppress() costs more than the system call, once for each handshake
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, _STAMPS)
    except OSError:
        pass


def request_icmp6(sock: socket.socket) -> None:
    """Ask for ICMPv6 answers in the error queue; where the kernel has none, they simply stay unknown."""
    try:  # noqa: SIM105 - importing contextlib costs a start of the plugin more than this line
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    except OSError:
        pass


def stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    """Return the receive stamp in nanoseconds of CLOCK_REALTIME, 0 when there is none."""
    for level, kind, data in ancillary:
        if kind == SO_TIMESTAMPING and level == _SOCKET:
            seconds: int
            nanoseconds: int
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return seconds * _NANOSECONDS + nanoseconds
    return 0


def icmp_answer(sock: socket.socket) -> Icmp | None:
    """Take the ICMP answer off the socket's error queue, None when there is none.

    IPv4 fills the queue unasked; an IPv6 socket must have set IPV6_RECVERR before it connected.
    """
    try:
        _, ancillary, _, _ = sock.recvmsg(0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    except OSError:
        return None
    for level, _, data in ancillary:
        if level not in (socket.IPPROTO_IP, socket.IPPROTO_IPV6) or len(data) < _EXTENDED_ERROR.size:
            continue
        _, origin, kind, code, *_ = _EXTENDED_ERROR.unpack_from(data)
        if origin in (_ORIGIN_ICMP, _ORIGIN_ICMP6):
            return Icmp(kind, code, _offender(data[_EXTENDED_ERROR.size :]))
    return None


def _offender(sockaddr: bytes) -> str:
    """Return the address in a struct sockaddr_in or sockaddr_in6; "" when it is of no known family."""
    (family,) = struct.unpack_from("=H", sockaddr) if len(sockaddr) >= 2 else (0,)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, sockaddr[4:8])
    if family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, sockaddr[8:24])
    return ""


def error_name(number: int) -> str:
    """Return the name of an errno, as ECONNREFUSED."""
    return errno.errorcode.get(number, f"errno {number}")
