"""A Connection whose client side is asyncssh; it carries bytes and times, the table of the wire names the ending."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..wire.exchange import FAREWELL, MAX_BEFORE_GOAL, Exchange, Input, State
from ..wire.packet import Message
from .connection import Address, Connection, OnEnd
from .fault import ProbeError

if TYPE_CHECKING:
    from .login import Client


class Transport(asyncio.Transport):
    """What asyncssh takes for a socket: its bytes go to a LoginConnection."""

    def __init__(self, connection: "LoginConnection") -> None:
        super().__init__()
        self._connection = connection
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, once the server has spoken."""
        if not self._is_closing:
            self._connection.say(bytes(data))

    def close(self) -> None:
        """Hang up: asyncssh has found a reason, and its task will tell it."""
        self._is_closing = True

    abort = close

    def is_closing(self) -> bool:
        """Return whether asyncssh has hung up."""
        return self._is_closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the peer's or our own address."""
        connection = self._connection
        if name == "peername":
            return connection.address.sockaddr
        return (connection.source, connection.source_port) if name == "sockname" else default


class LoginConnection(Connection):
    """A Connection whose client side is asyncssh. Nothing is sent before the server's identification has come."""

    def __init__(
        self,
        address: Address,
        exchange: Exchange,
        role: str,
        on_end: OnEnd,
        source: str,
        *,
        client: "Client",
    ) -> None:
        super().__init__(address, exchange, role, on_end, source)
        self._client = client
        self._transport = Transport(self)
        self._protocol: Any = None  # an asyncssh.SSHClientConnection
        self._task: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._unsaid: list[bytes] = []
        self._unseen: list[tuple[bytes, int]] = []
        self._has_keys = False
        self._heard = 0

    # --- what the engine calls

    def _established(self) -> None:
        super()._established()
        # A key exchange is a dialogue of small packets; Nagle's algorithm makes each wait for a delayed ACK (40 ms).
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._task = self._client.host.loop.create_task(self._log_in())

    def ready(self, mask: int) -> None:
        """Take what epoll reported, unless asyncssh has hung up: the rest answers that, and its task has the reason."""
        if not self._transport.is_closing():
            super().ready(mask)

    def _received(self, data: bytes, at: int) -> None:
        # asyncssh goes on for as long as a server sends; so would the read that feeds it, and no deadline is looked at.
        self._heard += len(data)
        if self._heard > MAX_BEFORE_GOAL:
            self._transport.close()
            self.exchange.on(Input.MALFORMED, at, f"more than {MAX_BEFORE_GOAL} bytes before the goal")
            return
        self._unseen.append((data, at))
        if self._protocol is None:
            self._early.append(data)
        else:
            self._protocol.data_received(data)
        self._see()

    def _see(self) -> None:
        # The server's NEWKEYS says that the server is content. It counts when asyncssh is too: when it has checked the
        # host key and its signature and has sent NEWKEYS itself, which may be a moment after these bytes came.
        while self._unseen and (self._has_keys or self.exchange.state is not State.AWAITING_NEWKEYS):
            super()._received(*self._unseen.pop(0))
        self._speak()

    def _speak(self) -> None:
        if self._unsaid and self.exchange.identification is not None:
            if self.exchange.sent_at is None:
                self.exchange.sent_at = time.monotonic_ns()
            data, self._unsaid = b"".join(self._unsaid), []
            self.send(data)

    def close(self) -> None:
        """Take leave of the server where keys are in force, and close."""
        protocol, self._protocol = self._protocol, None
        if self._task is not None:
            self._task.cancel()
        if protocol is not None:
            if self._has_keys and not self._transport.is_closing():
                reason, words = FAREWELL
                protocol.disconnect(reason, words.decode())
            self._client.host.loop.call_soon(protocol.connection_lost, None)
        self._client.close_in_a_moment(self.socket)

    # --- what asyncssh calls

    def say(self, data: bytes) -> None:
        """Take one packet, or the identification, from asyncssh."""
        if self.socket.fileno() < 0:
            return
        self._unsaid.append(data)
        # Before the keys a packet is length, padding length, message number (RFC 4253 6).
        if not self._has_keys and data[5:6] == bytes((Message.NEWKEYS,)) and self.exchange.kexinit is not None:
            self._has_keys = True
            key = self._protocol.get_server_host_key() if self._protocol else None
            self.host_key = key.get_fingerprint() if key else None
            self._client.host.loop.call_soon(self._see_and_tell)
        self._speak()

    def _see_and_tell(self) -> None:
        if self.socket.fileno() >= 0 and not self.is_ended:
            self._see()
            self._client.ended(self)

    async def create_connection(
        self, factory: Callable[[], asyncio.Protocol], _host: str, _port: int
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Be the tunnel that asyncssh connects through."""
        self._protocol = protocol = factory()
        protocol.connection_made(self._transport)
        for data in self._early:
            protocol.data_received(data)
        self._early.clear()
        return self._transport, protocol

    # --- the login itself

    async def _log_in(self) -> None:
        client = self._client
        asyncssh = client.credentials.asyncssh
        fault: ProbeError | None = None
        ending: tuple[Input, str] | None = None
        try:
            await client.connect(self)
        except asyncssh.PermissionDenied:
            fault = ProbeError(
                f"the key exchange was completed, but the server does not accept the key "
                f"{client.plan.login.identity} for user {client.credentials.user}"
            )
        except asyncssh.HostKeyNotVerifiable:
            ending = Input.MALFORMED, f"the host key is not in {client.plan.login.known_hosts}"
        except asyncssh.DisconnectError as error:
            # 2, 3 and 9 (protocol error, key exchange failed, host key) are what asyncssh itself finds.
            ending = Input.MALFORMED if error.code in (2, 3, 9) else Input.DISCONNECT, error.reason
        except (OSError, ValueError) as error:
            ending = Input.MALFORMED, str(error)
        if self.is_ended:
            return
        if fault is not None:
            self.fault = fault
        elif ending is not None:
            self.exchange.on(ending[0], time.monotonic_ns(), ending[1])
        else:
            self._see()
            self.exchange.logged_in(time.monotonic_ns())
        client.ended(self)
