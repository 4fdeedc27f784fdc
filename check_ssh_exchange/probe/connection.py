"""One timed socket: it carries bytes between the kernel and an Exchange, and says when things really happened.

The event loop reads late whenever it is busy, so a time taken where a read returns measures us, not the server. The
kernel stamps every segment as it comes in (CLOCK_REALTIME), and keeps the round trip of the SYN in TCP_INFO; both are
moved to the monotonic clock here, and nothing later looks at a wall clock.
"""

import errno
import select
import socket
import time
from collections.abc import Callable
from functools import partial
from sys import intern

from ..ending import Reason
from ..report import Role
from ..wire.exchange import Exchange, Input, State
from . import kernel
from .errors import NoDescriptors, ProbeError, UnusableAddress
from .kernel import Icmp, icmp_answer, request_stamps, stamp

# Large enough for an identification and the largest KEXINIT (1.6 kB) in one read.
READ_SIZE = 4096
MOST_READS = 64  # of what nobody will look at; a KEXINIT has 1.6 kB

SAME_MOMENT = 50_000  # nanoseconds; three reads of a clock take less than one thousand

_NO_SIGNAL = int(socket.MSG_NOSIGNAL)
_now, _wall = time.monotonic_ns, time.time_ns
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_TCP, _IPV6, _IN_PROGRESS = socket.IPPROTO_TCP, socket.AF_INET6, errno.EINPROGRESS

# Edge-triggered: a held connection stays quiet, and EPOLLOUT comes once, at establishment, without a change of mask.
# The price: after a readable edge we must read until the kernel has no more (see `_read`).
EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_FAILED = select.EPOLLERR | select.EPOLLHUP
_READABLE = select.EPOLLIN | select.EPOLLRDHUP | _FAILED

# What of connect()'s errors is this machine's doing.
_LOCAL = {
    errno.EADDRNOTAVAIL: "no free local port or address",
    errno.EACCES: "this machine's own policy forbids it",
    errno.EPERM: "this machine's own firewall forbids it",
    errno.EINVAL: "the address needs an interface (%eth0) or the route discards it",
    errno.EAFNOSUPPORT: "this machine does not speak that address family",
}

# These are about one address; another address of the host may do.
_UNUSABLE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

OnEnd = Callable[["Connection"], None]


class Address:
    """Where to connect, from where, and how it is written."""

    __slots__ = ("family", "port", "sockaddr", "text")

    def __init__(self, family: int, sockaddr: tuple[str, int] | tuple[str, int, int, int], text: str) -> None:
        self.family = family
        self.sockaddr = sockaddr
        self.text = text
        self.port = sockaddr[1]


class Connection:
    """A handshake on its socket. All times are monotonic nanoseconds."""

    __slots__ = (
        "_tcp_info",
        "_unsent",
        "address",
        "deadline",
        "exchange",
        "fault",
        "icmp",
        "on_end",
        "role",
        "socket",
        "source",
        "source_port",
        "started_at",
        "trace",
        "wanted_source",
        "wave",
    )

    def __init__(
        self, address: Address, exchange: Exchange, role: Role, on_end: Callable[["Connection"], None], source: str = ""
    ) -> None:
        self.address = address
        self.exchange = exchange
        self.role = role
        self.on_end: OnEnd | None = on_end  # None once it was called
        self.wanted_source = source
        self.wave = 0
        self.source = source
        self.source_port = 0
        self.started_at = 0
        self.deadline = 0  # the engine's
        self.icmp: Icmp | None = None
        self.fault: ProbeError | None = None
        self.trace: list[tuple[int, str, bytes]] | None = None
        self._tcp_info = b""
        self._unsent = b""
        self.socket: socket.socket

    def start(self) -> None:
        """Open the socket and send the SYN. Raises NoDescriptors or ProbeError for what this machine refuses us."""
        address = self.address
        try:
            self.socket = sock = socket.socket(address.family, _STREAM, _TCP)
        except OSError as error:
            raise _local_error(error, address.text) from None
        try:
            request_stamps(sock)
            if address.family == _IPV6:
                kernel.request_icmp6(sock)
            if self.wanted_source:
                self._bind(sock)
            self.started_at = _now()
            failed = sock.connect_ex(address.sockaddr)
            if failed and failed != _IN_PROGRESS:
                self._connect_failed(failed)
            source, self.source_port = sock.getsockname()[:2]
            self.source = "" if source in _UNSPECIFIED else intern(source)  # an exporter keeps thousands of them
        except BaseException:
            sock.close()
            raise

    def _bind(self, sock: socket.socket) -> None:
        try:
            # Without this a bind takes a port that no other connection uses, and ports run out under many checks.
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            # A link-local address needs its interface, which only getaddrinfo reads out of fe80::1%eth0.
            found = socket.getaddrinfo(self.wanted_source, 0, self.address.family, 0, 0, socket.AI_NUMERICHOST)
            sock.bind(found[0][4])
        except OSError as error:
            raise ProbeError(f"cannot use the source address {self.wanted_source}: {error.strerror or error}") from None

    @property
    def is_ended(self) -> bool:
        """Whether the handshake has its ending, or we ourselves failed (the socket may be held open beyond it)."""
        return self.exchange.ending is not None or self.fault is not None

    @property
    def segments_in(self) -> int | None:
        """How many segments had come in when the connection was established or failed; None before, or unknown."""
        return kernel.segments_in(self._tcp_info)

    def ready(self, mask: int) -> None:
        """Take what epoll reported. Raises ProbeError when this machine itself forbids the connection."""
        if self.exchange.connected_at is None:
            if mask & _FAILED and not self._was_established():
                error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self._connect_failed(error or errno.ECONNREFUSED)
                return
            self._established()
        if self._unsent and mask & select.EPOLLOUT:
            self.send(b"")
        if mask & _READABLE:
            self._read(mask)

    def _was_established(self) -> bool:
        # A loop that is late may learn of SYN-ACK and RST at once. SO_ERROR would tell, and by telling take the error
        # away from the read that must find it behind the server's last words; the kernel's counts tell without that.
        raw = kernel.read_tcp_info(self.socket)
        return kernel.round_trip(raw)[0] > 0 or (kernel.segments_in(raw) or 0) > 1

    def _established(self) -> None:
        self._tcp_info = raw = kernel.read_tcp_info(self.socket)
        rtt, retransmits = kernel.round_trip(raw)
        # The kernel measured SYN to SYN-ACK itself. After a retransmitted SYN it measures the last one only (Karn),
        # so then the time at which the loop noticed is closer to what a client waited.
        took = rtt if rtt and not retransmits else _now() - self.started_at
        exchange = self.exchange
        exchange.connected(self.started_at + took)
        if exchange.outgoing:
            self._answer()

    def _read(self, mask: int) -> None:
        exchange, sock = self.exchange, self.socket
        while True:
            try:
                data, ancillary, _, _ = sock.recvmsg(READ_SIZE, kernel.STAMP_SPACE)
            except BlockingIOError:
                return
            except OSError as error:
                what = "was reset" if error.errno == errno.ECONNRESET else "broke"
                detail = f"the connection {what} ({kernel.error_name(error.errno or 0)})"
                self._lost(partial(exchange.reset, time.monotonic_ns(), detail))
                return
            now, wall = _now(), _wall()
            if _now() - now > SAME_MOMENT:
                now, wall = _clocks()
            if not data:
                self._lost(partial(exchange.end_of_stream, now))
                return
            if ancillary:
                stamped = stamp(ancillary)
                if stamped and stamped < wall:
                    now -= wall - stamped
            self._received(data, now)
            if exchange.outgoing:
                self._answer()
            # A read shorter than its buffer has emptied the socket (epoll(7)); only a FIN can still wait behind it.
            if exchange.ending is not None or (len(data) < READ_SIZE and not mask & select.EPOLLRDHUP):
                return

    def _lost(self, tell: Callable[[], None]) -> None:
        """The connection is gone; `tell` tells the exchange."""
        tell()

    def _received(self, data: bytes, at: int) -> None:
        if self.trace is not None:
            self.trace.append((at, "<", data))
        exchange = self.exchange
        connected_at = exchange.connected_at
        exchange.receive(data, at if connected_at is None or at > connected_at else connected_at)

    def _answer(self) -> None:
        exchange = self.exchange
        data, exchange.outgoing = exchange.outgoing, b""
        now = _now()
        if exchange.kexinit is None or exchange.sent_at is None:
            exchange.sent_at = now
        if exchange.kexinit is not None and exchange.asked_at is None:
            exchange.asked_at = now
        self.send(data)

    def send(self, data: bytes) -> None:
        """Send, keeping what the kernel does not take now. A failure is left to the reading side to name."""
        if self.trace is not None and data:
            self.trace.append((_now(), ">", data))
        if self._unsent:
            data = self._unsent + data
        try:
            sent = self.socket.send(data, _NO_SIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The server has gone. Its last words, FIN or RST are still to be read, and they tell more than EPIPE.
            sent = len(data)
        self._unsent = data[sent:] if sent < len(data) else b""

    def expire(self) -> None:
        """The deadline has come."""
        if self.exchange.state is State.CONNECTING:
            self._tcp_info = kernel.read_tcp_info(self.socket)
        self.exchange.deadline(time.monotonic_ns())

    def leave(self) -> bool:
        """Send SSH_MSG_DISCONNECT where one is due, and FIN; return whether that closed the socket.

        A socket that is closed while the server still sends, or with something of it unread, answers with a RST, and
        not every listener survives ECONNRESET. So this one stays until the server has closed too: see `drain`.
        """
        packet = self.exchange.disconnect_packet()
        if packet:
            self.send(packet)
        if not self.exchange.is_answer_due:
            self.socket.close()
            return True
        try:  # noqa: SIM105 - importing contextlib costs a start of the plugin more than this line
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self.drain()

    def drain(self) -> bool:
        """Read and forget what has come; return whether the server has closed, and with it our socket."""
        try:
            for _ in range(MOST_READS):
                if not self.socket.recv(READ_SIZE):
                    break
            else:
                return False  # a server that floods us; its next segment is the next event
        except BlockingIOError:
            return False
        except OSError:
            pass
        self.socket.close()
        return True

    def _connect_failed(self, error: int) -> None:
        self._tcp_info = kernel.read_tcp_info(self.socket)
        self.icmp = icmp = icmp_answer(self.socket)
        now = time.monotonic_ns()
        on = self.exchange.on
        if error == errno.ETIMEDOUT:
            on(Input.DEADLINE, now, "the kernel gave up resending the SYN", Reason.SYN_UNANSWERED)
        elif icmp and not self._is_neighbour_failure(icmp):
            on(Input.REJECTED, now, str(icmp), Reason.ICMP)
        elif error in (errno.ECONNREFUSED, errno.ECONNRESET):
            # A RST is a segment that came in; an ICMP message is not. Without an error queue this still tells them.
            if self.segments_in == 0:
                on(Input.REJECTED, now, f"ICMP ({kernel.error_name(error)})", Reason.ICMP)
            else:
                on(Input.REFUSED, now, "the port answered with RST", Reason.RST)
        elif error == errno.ENOPROTOOPT:
            on(Input.REJECTED, now, "ICMP (protocol unreachable)", Reason.ICMP)
        elif error in _LOCAL:
            kind = UnusableAddress if error in _UNUSABLE else ProbeError
            raise kind(f"cannot connect to {self.address.text}: {_LOCAL[error]} ({kernel.error_name(error)})")
        elif icmp:
            on(Input.UNREACHABLE, now, "no ARP or ND answer from the host or its gateway", Reason.NO_NEIGHBOUR)
        else:
            on(Input.UNREACHABLE, now, f"no route to the address ({kernel.error_name(error)})", Reason.NO_ROUTE)

    def end_as_unusable(self, error: UnusableAddress) -> None:
        """End without a connection: this machine cannot use the address, and the host may have others."""
        now = time.monotonic_ns()
        if not self.started_at:  # socket() itself has failed; the engine closes what it finds here
            self.started_at = now
            self.socket = socket.socket()
            self.socket.close()
        self.exchange.on(Input.UNREACHABLE, now, str(error), Reason.UNUSABLE_ADDRESS)

    def _is_neighbour_failure(self, icmp: Icmp) -> bool:
        # When no neighbour answers ARP or ND, Linux writes "host unreachable" to itself: the sender is our own
        # address and not the target's.
        own = self.socket.getsockname()[0]
        return (icmp.type, icmp.code) in ((3, 1), (1, 3)) and icmp.sender == own != self.address.sockaddr[0]


def _clocks() -> tuple[int, int]:
    """Read the monotonic and the wall clock at the same moment, so that a step of the wall clock cannot enter."""
    # A process that loses the CPU between two reads has it back milliseconds later, and would blame the server.
    for _ in range(3):
        now, wall = time.monotonic_ns(), time.time_ns()
        if time.monotonic_ns() - now <= SAME_MOMENT:
            break
    return now, wall


_UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104 - what a socket without a route has for an address

_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h


def _local_error(error: OSError, target: str) -> ProbeError:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        limit = "this process has" if error.errno == errno.EMFILE else "this machine has"
        return NoDescriptors(f"{limit} no file descriptor left for a handshake (ulimit -n)")
    kind = UnusableAddress if error.errno in _UNUSABLE else ProbeError
    return kind(f"cannot open a socket for {target}: {_LOCAL.get(error.errno or 0, error.strerror or error)}")
