"""A scripted SSH server on loopback: every connection plays the next script, the last script repeats.

    with FakeSshd([FIN], HEALTHY) as server:   # the first client is closed at once, all others are served
        ...
    assert server.peers[1].received == b"what the second client sent"

A script is a list of steps. When it is over the server stays silent until the client leaves, so `[]` is a server that
never answers. It reads while it waits, so that its close is a FIN and not an accidental RST. A client that
leaves ends the script. The bytes are made here, not by the package under test.
"""

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Self

LEAVE_SECONDS = 30.0  # clients are gone when a server is left; the rest is for a busy machine
MAX_FLOOD = 64 << 20  # bytes; a client that reads more has no bound
MAX_GATHER_SECONDS = 60.0
CLIENT_IS_THERE = (1, 4, 5)  # linux/tcp_states.h: established, and the two in which only the server has sent a FIN

Step = Callable[["Peer"], None]
Script = Sequence[Step]


class Gone(Exception):
    """The connection is over: the client left, the script closed it, or the test ended."""


class Peer:
    """One accepted client: when it connected and left, what it sent and was sent, with monotonic times.

    `beside` has the numbers of the clients that were there when it was accepted.
    """

    def __init__(self, server: "FakeSshd", sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.opened = time.monotonic()
        self.closed: float | None = None
        self.heard: list[tuple[float, bytes]] = []
        self.said: list[tuple[float, bytes]] = []
        self.beside = [number for number, other in enumerate(server.peers) if not other.has_left]

    @property
    def has_left(self) -> bool:
        """Return whether the client has closed, as the kernel knows it: this thread may not have noticed yet."""
        try:
            return self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] not in CLIENT_IS_THERE
        except OSError:
            return True

    @property
    def received(self) -> bytes:
        return b"".join(data for _, data in self.heard)

    def play(self, script: Script) -> None:
        try:
            for step in script:
                step(self)
            self.listen()
        except (Gone, OSError):  # ECONNRESET, EPIPE, ENOTCONN: the client has left
            pass
        finally:
            self.closed = time.monotonic()
            self.sock.close()

    def listen(self, seconds: float | None = None, enough: int | None = None) -> None:
        """Read for `seconds` (None: until the client leaves) or until `enough` bytes have come in all."""
        until = None if seconds is None else time.monotonic() + seconds
        while enough is None or len(self.received) < enough:
            if not self._wait(select.POLLIN, until):
                return
            data = self.sock.recv(65536)
            if not data:
                raise Gone
            self.heard.append((time.monotonic(), data))

    def send(self, data: bytes) -> None:
        self.said.append((time.monotonic(), data))
        while data:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, None)

    def _wait(self, events: int, until: float | None) -> bool:
        poll = select.poll()
        poll.register(self.sock, events)
        poll.register(self.server.leaving, select.POLLIN)
        ready = poll.poll(None if until is None else max(0.0, until - time.monotonic()) * 1000)
        if any(descriptor == self.server.leaving for descriptor, _ in ready):
            raise Gone
        return bool(ready)


def send(data: bytes) -> Step:
    """Send in one segment."""
    return lambda peer: peer.send(data)


def drip(data: bytes, seconds: float) -> Step:
    """Send byte by byte with a pause behind each."""

    def step(peer: Peer) -> None:
        for position in range(len(data)):
            peer.send(data[position : position + 1])
            peer.listen(seconds)

    return step


def flood(data: bytes) -> Step:
    """Send the same again and again until the client leaves."""

    def step(peer: Peer) -> None:
        for _ in range(MAX_FLOOD // len(data)):
            peer.send(data)

    return step


def pause(seconds: float) -> Step:
    return lambda peer: peer.listen(seconds)


def hear(count: int) -> Step:
    """Wait until the client has sent `count` bytes in all."""
    return lambda peer: peer.listen(enough=count)


def gather(count: int) -> Step:
    """Wait until `count` clients are connected at once; give up, closing, after a bounded time."""

    def step(peer: Peer) -> None:
        until = time.monotonic() + MAX_GATHER_SECONDS
        while peer.server.most_open < count:
            if time.monotonic() > until:
                raise Gone
            peer.listen(0.005)

    return step


def FIN(peer: Peer) -> None:  # noqa: N802 - a step that needs no argument, named as on the wire
    peer.sock.shutdown(socket.SHUT_WR)


def RST(peer: Peer) -> None:  # noqa: N802
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Gone


def descriptors() -> dict[str, str]:
    """Return the open descriptors of this process and what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that listed them
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


class FakeSshd:
    """The server; a context manager that leaves no thread, and asserts that no descriptor was leaked meanwhile."""

    def __init__(self, *scripts: Script, address: str = "127.0.0.1") -> None:
        self.address = address
        self.peers: list[Peer] = []
        self.port = 0
        self.leaving = -1
        self._closing = -1
        self._scripts = scripts
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket
        self._before: dict[str, str] = {}

    @property
    def most_open(self) -> int:
        """How many clients were connected at once at most."""
        return max((len(peer.beside) + 1 for peer in self.peers), default=0)

    def __enter__(self) -> Self:
        self._before = descriptors()
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self._listener = socket.create_server((self.address, 0), family=family, backlog=512)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self.leaving, self._closing = os.eventfd(0), os.eventfd(0)
        self._start(self._accept)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        os.eventfd_write(self._closing, 1)
        until = time.monotonic() + LEAVE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        os.eventfd_write(self.leaving, 1)
        for thread in self._threads:
            thread.join(LEAVE_SECONDS)
        alive = [thread for thread in self._threads if thread.is_alive()]
        self._listener.close()
        os.close(self._closing)
        os.close(self.leaving)
        assert not alive, f"{len(alive)} threads of the scripted server are still alive"
        assert kind is not None or descriptors() == self._before

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._closing, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._listener.fileno() not in ready:  # closing, and no client waits
                return
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(self, sock)
            script = self._scripts[min(len(self.peers), len(self._scripts) - 1)]
            self.peers.append(peer)
            self._start(peer.play, script)


# --- bytes of a server


def packet(payload: bytes) -> bytes:
    """A binary packet before any key (RFC 4253 section 6), padded with zeros."""
    padding = 8 - (5 + len(payload)) % 8
    if padding < 4:
        padding += 8
    return struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


def string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def kexinit(*lists: bytes) -> bytes:
    """The payload of SSH_MSG_KEXINIT (RFC 4253 section 7.1)."""
    return b"\x14" + bytes(range(16)) + b"".join(map(string, lists)) + b"\0" + bytes(4)


def disconnect(reason: int, description: bytes) -> bytes:
    """The payload of SSH_MSG_DISCONNECT (RFC 4253 section 11.1)."""
    return b"\x01" + struct.pack(">I", reason) + string(description) + string(b"en")


def payloads(data: bytes) -> list[bytes]:
    """The payloads of a stream of whole packets."""
    found = []
    while data:
        length, padding = struct.unpack_from(">IB", data)
        assert len(data) >= 4 + length
        found.append(data[5 : 4 + length - padding])
        data = data[4 + length :]
    return found


LISTS = (b"curve25519-sha256,kex-b", b"ssh-ed25519", b"aes128-ctr,c2", b"c3", b"hmac-sha1", b"m2", b"none", b"none")
IDENTIFICATION = b"SSH-2.0-FakeSSH_1.0 for tests\r\n"
KEXINIT = packet(kexinit(*LISTS, b"", b""))
HEALTHY: Script = [send(IDENTIFICATION), send(KEXINIT)]
