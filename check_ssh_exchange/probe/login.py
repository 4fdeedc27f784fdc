"""The depths kex and login: asyncssh computes the keys, our engine carries the bytes and takes the times.

asyncssh gets no socket. It is handed a transport that is a Connection of the engine, so that connect, banner, KEXINIT
and NEWKEYS carry the kernel's stamps and every ending is named by the same table as at the other depths.
"""

import asyncio
import ctypes.util
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ..wire.exchange import CLIENT_IDENTIFICATION, FAREWELL, Exchange, Input, State
from ..wire.packet import Message
from .connection import Address, Connection
from .engine import Engine
from .fault import ProbeError
from .hosted import Host
from .plan import Plan, Target
from .run import Connect, Run

if TYPE_CHECKING:
    import asyncssh

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
# With host keys to check against asyncssh asks for the kinds that the file has; without, these, in OpenSSH's order.
HOST_KEYS = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256,ssh-rsa"
MACS = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512", "hmac-sha1"]


def _import_asyncssh() -> Any:
    # At import asyncssh looks for two optional libraries through ctypes.util.find_library, which runs ldconfig, gcc and
    # ld (seven processes, and a file in /tmp). Told that there are none, it does without their algorithms.
    find_library = ctypes.util.find_library
    ctypes.util.find_library = lambda name: None  # noqa: ARG005
    try:
        import asyncssh
    except ModuleNotFoundError as error:
        raise ProbeError(
            f"the depths kex and login need the Python module {error.name}: pip install 'check_ssh_exchange[login]'"
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
                    f"the private key {login.identity} has a passphrase, which nobody is here to type"
                ) from None
            raise ProbeError(f"cannot use the private key {login.identity}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


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
        on_end: Callable[[Connection], None],
        source: str,
        *,
        client: "Client",
    ) -> None:
        super().__init__(address, exchange, role, on_end, source)
        self._client = client
        self._transport = Transport(self)
        self._protocol: asyncio.Protocol | None = None
        self._task: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._unsaid: list[bytes] = []
        self._unseen: list[tuple[bytes, int]] = []
        self._has_keys = False

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
                cast("asyncssh.SSHClientConnection", protocol).disconnect(reason, words.decode())
            self._client.host.loop.call_soon(protocol.connection_lost, None)
        self.socket.close()

    # --- what asyncssh calls

    def say(self, data: bytes) -> None:
        """Take one packet, or the identification, from asyncssh."""
        if self.socket.fileno() < 0:
            return
        self._unsaid.append(data)
        # Before the keys a packet is length, padding length, message number (RFC 4253 6).
        if not self._has_keys and data[5:6] == bytes((Message.NEWKEYS,)) and self.exchange.kexinit is not None:
            self._has_keys = True
            key = cast("asyncssh.SSHClientConnection", self._protocol).get_server_host_key()
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


class Client:
    """What the connections of one run share."""

    def __init__(self, target: Target, plan: Plan, credentials: Credentials, host: Host) -> None:
        self.target = target
        self.plan = plan
        self.credentials = credentials
        self.host = host

    def connection(
        self, address: Address, exchange: Exchange, role: str, on_end: Callable[[Connection], None], source: str
    ) -> Connection:
        """Return a new connection for the run."""
        return LoginConnection(address, exchange, role, on_end, source, client=self)

    async def connect(self, connection: LoginConnection) -> None:
        """Let asyncssh go through key exchange and login over `connection`."""
        credentials = self.credentials
        await credentials.asyncssh.connect(
            self.target.host,
            self.target.port,
            tunnel=connection,
            config=None,
            known_hosts=credentials.known_hosts,
            username=credentials.user,
            client_keys=credentials.keys or None,
            agent_path=None,
            password=None,
            preferred_auth=["publickey"],
            gss_host=None,
            x509_trusted_certs=None,
            client_version=CLIENT_IDENTIFICATION[8:-2].decode(),
            server_host_key_algs=() if credentials.known_hosts else HOST_KEYS.split(","),
            kex_algs=KEX,
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            compression_algs=["none"],
        )

    def ended(self, connection: LoginConnection) -> None:
        """Tell the run, from the engine's step, of an ending that asyncssh has found."""
        if connection.is_ended:
            self.host.engine.call_at(0, lambda: self.host.engine.tell(connection))
            self.host.look()


def drive(engine: Engine, target: Target, plan: Plan, make_run: Callable[[Connect], Run], seconds: float) -> None:
    """Carry out a run at depth kex or login. Raises ProbeError for a key, host keys or a module that cannot be used."""
    credentials = Credentials(plan)

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        # What asyncssh's connections say after we have left them is nobody's business.
        loop.set_exception_handler(lambda *_: None)
        done = asyncio.Event()
        host = Host(engine, loop)
        run = make_run(Client(target, plan, credentials, host).connection)
        run.on_done = lambda _: done.set()
        run.start(seconds)
        host.look()
        if not run.is_done:
            await done.wait()
        host.close()

    asyncio.run(whole())
