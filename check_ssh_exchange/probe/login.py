"""The depths kex and login: asyncssh computes the keys, our engine carries the bytes and takes the times.

asyncssh gets no socket. It is handed a transport that is a Connection of the engine, so that connect, banner, KEXINIT
and NEWKEYS carry the kernel's stamps and every ending is named by the same table as at the other depths.
"""

import asyncio
import contextlib
import ctypes.util
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from ..ending import Reason
from ..interrupt import SIGNALS, Interrupted, install_handlers
from ..plan import Plan, Policy, Target
from ..report import Role
from ..text import to_install
from ..wire import host_key
from ..wire.exchange import CLIENT_IDENTIFICATION, DISCONNECT, MAX_BEFORE_GOAL, Exchange, Input, State
from ..wire.packet import Message
from . import record
from .connection import Address, Connection, OnEnd
from .engine import Engine
from .errors import ProbeError
from .hosted import Host
from .measurement import Measurement

# What asyncssh offers would depend on the libraries of the machine it runs on, and with it what a server picks and how
# long that takes. These it always has; the elliptic curve comes first because it costs both sides least.
KEX = [
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha1",
]
CIPHERS = [
    "chacha20-poly1305@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes256-ctr",
    "aes128-cbc",
]
# With host keys to check against, asyncssh asks for the kinds that the file has; without, for these (OpenSSH's order).
HOST_KEYS = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256,ssh-rsa"
MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512", "hmac-sha1"]


_IMPORT = threading.Lock()


def _import_asyncssh() -> Any:
    # At import asyncssh looks for two optional libraries through ctypes.util.find_library, which runs ldconfig, gcc and
    # ld (seven processes, and a file in /tmp). Without an answer it does without their algorithms. The lock: a program
    # with threads may import twice at once, and the second must not take the replacement for the original.
    with _IMPORT:
        find_library = ctypes.util.find_library
        ctypes.util.find_library = lambda name: None  # noqa: ARG005
        try:
            with warnings.catch_warnings():  # an older asyncssh warns of what cryptography will drop
                warnings.simplefilter("ignore")
                import asyncssh
        except ModuleNotFoundError as error:
            module = error.name or "asyncssh"
            raise ProbeError(
                f"the depths kex and login need the Python module {module}: {to_install(module)}"
            ) from None
        finally:
            ctypes.util.find_library = find_library
        return asyncssh


class Credentials:
    """Key and host keys, read once before the first handshake. Raises ProbeError for what cannot be used."""

    def __init__(self, plan: Plan) -> None:
        self.asyncssh = asyncssh = _import_asyncssh()
        login = plan.login
        self.user = login.user or "check_ssh_exchange"
        try:
            self.known_hosts = asyncssh.read_known_hosts(login.known_hosts) if login.known_hosts else None
        except (OSError, ValueError) as error:
            raise ProbeError(f"cannot use the host keys in {login.known_hosts}: {_reason(error)}") from None
        try:
            self.keys = [asyncssh.read_private_key(login.identity)] if login.identity else []
        except (OSError, ValueError) as error:
            if "Passphrase must be specified" in str(error):  # a KeyImportError, as for any key that it cannot read
                raise ProbeError(
                    f"the private key {login.identity} has a passphrase, which a check cannot type"
                ) from None
            raise ProbeError(f"cannot use the private key {login.identity}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _host_keys(exchange: Exchange) -> list[str]:
    """Return the host key algorithms to offer, those that this handshake asks for first."""
    wanted = [name.decode().replace("-cert-v01@openssh.com", "") for name in exchange.host_key_algorithms]
    known = HOST_KEYS.split(",")
    return list(dict.fromkeys([*(name for name in wanted if name in known), *known]))


MOMENT = 0.05  # seconds; a server on the other side of the world needs more, and is no worse off than without


class Client:
    """What the connections of one run share."""

    def __init__(self, target: Target, plan: Plan, credentials: Credentials, host: Host) -> None:
        self.target = target
        self.plan = plan
        self.credentials = credentials
        self.host = host
        self._closing: set[socket.socket] = set()

    def connection(self, address: Address, exchange: Exchange, role: Role, on_end: OnEnd, source: str) -> Connection:
        """Return a new connection for the run."""
        return LoginConnection(address, exchange, role, on_end, source, client=self)

    def close_later(self, sock: socket.socket) -> None:
        """Close a socket when the server has had time to read our SSH_MSG_DISCONNECT.

        After a login a server has more to say (DEBUG, its other host keys). Closed with that unread, the socket would
        be reset, and the server would log a broken pipe in place of a disconnect.
        """
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        # The descriptor may live on; to the engine, which knows connections by their sockets' numbers, it must not.
        own = sock.dup()
        sock.close()
        self._closing.add(own)
        self.host.loop.call_later(MOMENT, self._close, own)

    def _close(self, sock: socket.socket) -> None:
        self._closing.discard(sock)
        sock.close()

    async def leave(self) -> None:
        """Wait until servers have read the last SSH_MSG_DISCONNECT, and close what is left."""
        if self._closing:
            await asyncio.sleep(MOMENT)

    def close(self) -> None:
        """Close what is left."""
        for sock in tuple(self._closing):
            self._close(sock)

    async def connect(self, connection: "LoginConnection") -> None:
        """Let asyncssh go through key exchange and login over `connection`."""
        credentials = self.credentials

        class Watcher(credentials.asyncssh.SSHClient):  # type: ignore[name-defined,misc]
            """Notes the host key that is not among the known ones."""

            def validate_host_public_key(self, _host: str, _address: str, _port: int, key: Any) -> bool:
                connection.exchange.host_key = host_key.parse(key.public_data)
                return False

        await credentials.asyncssh.connect(
            self.target.host,
            self.target.port,
            tunnel=connection,
            client_factory=Watcher,
            config=None,
            known_hosts=credentials.known_hosts,
            username=credentials.user,
            client_keys=credentials.keys or None,
            agent_path=None,
            password=None,
            preferred_auth=["publickey"],
            gss_host=None,
            x509_trusted_certs=None,
            login_timeout=0,  # the engine has the deadline
            client_version=CLIENT_IDENTIFICATION[8:-2].decode(),
            server_host_key_algs=() if credentials.known_hosts else _host_keys(connection.exchange),
            kex_algs=KEX,
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            compression_algs=["none"],
        )

    def report(self, connection: "LoginConnection") -> None:
        """Report to the run, from the engine's step, an ending that asyncssh has found."""
        if connection.is_ended:
            self.host.engine.call_at(0, lambda: self.host.engine.report(connection))
            self.host.look()


class Transport(asyncio.Transport):
    """What asyncssh takes for a socket: its bytes go to a LoginConnection."""

    def __init__(self, connection: "LoginConnection") -> None:
        super().__init__()
        self._connection = connection
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, once the server has spoken."""
        if not self._is_closing:
            self._connection.send_packet(bytes(data))

    def close(self) -> None:
        """Stop sending and reading: asyncssh has found a reason, and its task will report it."""
        self._is_closing = True

    abort = close

    def is_closing(self) -> bool:
        """Return whether asyncssh has closed the transport."""
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
        role: Role,
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
        self._unread_by_client: list[bytes] = []
        self._unsent_packets: list[bytes] = []
        self._unread: list[tuple[bytes, int]] = []
        self._has_keys = False
        # Whether the last packet that asyncssh sent is a DISCONNECT. Behind the keys it cannot be read: there it is any
        # packet sent since the last bytes came.
        self._has_disconnected = False
        self._received_bytes = 0

    # --- what the engine calls

    def _established(self) -> None:
        super()._established()
        # A key exchange is a dialogue of small packets; Nagle's algorithm makes each wait for a delayed ACK (40 ms).
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._task = self._client.host.loop.create_task(self._log_in())

    def ready(self, mask: int) -> None:
        """Take what epoll reported, unless asyncssh has closed: the rest answers that, and its task has the reason."""
        if not self._transport.is_closing():
            super().ready(mask)

    def _received(self, data: bytes, at: int) -> None:
        # asyncssh goes on for as long as a server sends; so would the read that feeds it, and no deadline is looked at.
        self._received_bytes += len(data)
        if self._received_bytes > MAX_BEFORE_GOAL:
            self._transport.close()
            self.exchange.on(
                Input.MALFORMED, at, f"more than {MAX_BEFORE_GOAL} bytes before the goal", Reason.TOO_MUCH_DATA
            )
            return
        self._unread.append((data, at))
        if self._protocol is None:
            self._unread_by_client.append(data)
        else:
            if self._has_keys:
                self._has_disconnected = False
            self._protocol.data_received(data)
        self._read_on()

    def _lost(self, tell: Callable[[], None]) -> None:
        # Behind the keys only asyncssh reads a DISCONNECT, and its task tells of it some rounds of the loop later.
        if self._has_keys:
            self._client.host.loop.call_later(MOMENT, self._tell, tell)
        else:
            tell()

    def _tell(self, tell: Callable[[], None]) -> None:
        if not self.is_ended and self.socket.fileno() >= 0:
            tell()
            self._client.report(self)

    def _read_on(self) -> None:
        # The server's NEWKEYS says that the server is content. It counts when asyncssh is too: when it has checked the
        # host key and its signature and has sent NEWKEYS itself, which may be a moment after these bytes came.
        while self._unread and (self._has_keys or self.exchange.state is not State.AWAITING_NEWKEYS):
            super()._received(*self._unread.pop(0))
        self._flush()

    def _flush(self) -> None:
        if self._unsent_packets and (self.exchange.speaks_first or self.exchange.identification is not None):
            if self.exchange.sent_at is None:
                self.exchange.sent_at = time.monotonic_ns()
            data, self._unsent_packets = b"".join(self._unsent_packets), []
            self.send(data)

    def leave(self) -> bool:
        """Send SSH_MSG_DISCONNECT where keys are in force, and hand the socket to the client, which closes it."""
        protocol, self._protocol = self._protocol, None
        if self._task is not None:
            self._task.cancel()
        if protocol is not None:
            if self._has_keys and not self._transport.is_closing():
                reason, words = DISCONNECT
                protocol.disconnect(reason, words.decode())
            self._client.host.loop.call_soon(protocol.connection_lost, None)
        self._client.close_later(self.socket)
        return True

    # --- what asyncssh calls

    def send_packet(self, data: bytes) -> None:
        """Take one packet, or the identification, from asyncssh."""
        if self.socket.fileno() < 0:
            return
        self._unsent_packets.append(data)
        # Before the keys a packet is length, padding length, message number (RFC 4253 6).
        self._has_disconnected = self._has_keys or data[5:6] == bytes((Message.DISCONNECT,))
        if not self._has_keys and data[5:6] == bytes((Message.KEX_INIT,)):
            self.exchange.asked_at = time.monotonic_ns()
        if not self._has_keys and data[5:6] == bytes((Message.NEWKEYS,)) and self.exchange.kexinit is not None:
            self._has_keys = True
            self._client.host.loop.call_soon(self._read_on_and_report)
        self._flush()

    def _read_on_and_report(self) -> None:
        if self.socket.fileno() >= 0 and not self.is_ended:
            self._read_on()
            self._client.report(self)

    async def create_connection(
        self, factory: Callable[[], asyncio.Protocol], _host: str, _port: int
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Be the tunnel that asyncssh connects through."""
        self._protocol = protocol = factory()
        protocol.connection_made(self._transport)
        for data in self._unread_by_client:
            protocol.data_received(data)
        self._unread_by_client.clear()
        return self._transport, protocol

    # --- the login itself

    async def _log_in(self) -> None:
        client = self._client
        asyncssh = client.credentials.asyncssh
        fault: ProbeError | None = None
        ending: tuple[Input, str, Reason] | None = None
        try:
            await client.connect(self)
        except asyncssh.PermissionDenied:
            fault = ProbeError(
                f"the key exchange was completed, but the server does not accept the key "
                f"{client.plan.login.identity} for user {client.credentials.user}"
            )
        except asyncssh.HostKeyNotVerifiable:
            shown = record.host_key(self.exchange.host_key).fingerprint if self.exchange.host_key else "a host key"
            detail = f"the server showed {shown}, which is not in {client.plan.login.known_hosts}"
            ending = Input.MALFORMED, detail, Reason.HOST_KEY
        except asyncssh.DisconnectError as error:
            # 2, 3 and 9 (protocol error, key exchange failed, host key) are what asyncssh itself finds, and then says
            # to the server. What the server sent as a DISCONNECT of its own comes as the same exception.
            is_ours = error.code in (2, 3, 9) and self._has_disconnected
            what = (Input.MALFORMED, Reason.KEY_EXCHANGE) if is_ours else (Input.DISCONNECT, Reason.DISCONNECT)
            ending = what[0], error.reason, what[1]
        except (OSError, ValueError) as error:
            ending = Input.MALFORMED, str(error), Reason.KEY_EXCHANGE
        except Exception as error:  # noqa: BLE001 - a task's exception would be lost, and the run would wait in vain
            ending = Input.MALFORMED, f"asyncssh failed: {type(error).__name__}: {error}", Reason.KEY_EXCHANGE
        if self.is_ended:
            return
        if fault is not None:
            self.fault = fault
        elif ending is not None:
            what_ended, detail, reason = ending
            self.exchange.on(what_ended, time.monotonic_ns(), detail, reason)
        else:
            self._read_on()
            self.exchange.logged_in(time.monotonic_ns())
        client.report(self)


def drive(engine: Engine, measurement: Measurement, policy: Policy) -> None:
    """Carry out a run at depth kex or login. Raises ProbeError for a key, host keys or a module that cannot be used."""
    credentials = Credentials(measurement.plan)  # asyncssh's import takes a fifth of a second of the time

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        # What asyncssh's connections say after we have left them is of no interest. The engine's errors go to `end`.
        loop.set_exception_handler(lambda *_: None)
        done = loop.create_future()

        # asyncio would swallow an Interrupted raised inside a callback or task.
        def end(reason: BaseException | None = None) -> None:
            if not done.done():
                done.set_exception(reason) if reason else done.set_result(None)

        for number in SIGNALS:
            loop.add_signal_handler(number, end, Interrupted(signal.Signals(number).name))
        host = Host(engine, loop, end)
        client = Client(measurement.target, measurement.plan, credentials, host)
        run = measurement.make_run(engine, policy, client.connection)
        run.on_done = lambda _: end()
        try:
            run.start(measurement.seconds_left)
            host.look()
            if not run.is_done:
                await done
            await client.leave()
        finally:
            host.close()
            run.stop()
            client.close()
            # The loop leaves the signals to their defaults when it closes. One that comes then waits for our handlers.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    try:
        asyncio.run(whole())
    finally:
        install_handlers()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
