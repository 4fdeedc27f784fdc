"""The depths kex and login: asyncssh computes the keys, our engine carries the bytes and takes the times.

asyncssh gets no socket. It is handed a transport that is a Connection of the engine, so that connect, banner, KEXINIT
and NEWKEYS carry the kernel's stamps and every ending is named by the same table as at the other depths.
"""

import asyncio
import contextlib
import ctypes.util
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from ..interrupt import SIGNALS, Interrupted, heed
from ..plan import Plan, Target
from ..wire.exchange import CLIENT_IDENTIFICATION, Exchange
from .carrier import LoginConnection
from .connection import Address, Connection
from .engine import Engine
from .fault import ProbeError
from .hosted import Host
from .run import Connect, Run

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


MOMENT = 0.05  # seconds; a server on the other side of the world needs more, and is no worse off than without


class Client:
    """What the connections of one run share."""

    def __init__(self, target: Target, plan: Plan, credentials: Credentials, host: Host) -> None:
        self.target = target
        self.plan = plan
        self.credentials = credentials
        self.host = host
        self._closing: set[socket.socket] = set()

    def connection(
        self, address: Address, exchange: Exchange, role: str, on_end: Callable[[Connection], None], source: str
    ) -> Connection:
        """Return a new connection for the run."""
        return LoginConnection(address, exchange, role, on_end, source, client=self)

    def close_in_a_moment(self, sock: socket.socket) -> None:
        """Close a socket when the server has had time to read our farewell.

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
        """Wait for the last farewells to be read, and close what is left."""
        if self._closing:
            await asyncio.sleep(MOMENT)

    def close(self) -> None:
        """Close what is left."""
        for sock in tuple(self._closing):
            self._close(sock)

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
            login_timeout=0,  # the engine has the deadline
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
    begun = time.monotonic()
    credentials = Credentials(plan)
    seconds -= time.monotonic() - begun  # asyncssh's import takes a fifth of a second

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        # What asyncssh's connections say after we have left them is nobody's business.
        loop.set_exception_handler(lambda *_: None)
        done = loop.create_future()

        # An Interrupted raised inside of a callback or task would be asyncio's to swallow.
        def end(reason: BaseException | None = None) -> None:
            if not done.done():
                done.set_exception(reason) if reason else done.set_result(None)

        for number in SIGNALS:
            loop.add_signal_handler(number, end, Interrupted(signal.Signals(number).name))
        host = Host(engine, loop)
        client = Client(target, plan, credentials, host)
        run = make_run(client.connection)
        run.on_done = lambda _: end()
        try:
            run.start(seconds)
            host.look()
            if not run.is_done:
                await done
            await client.leave()
        finally:
            host.close()
            run.stop()
            client.close()

    try:
        asyncio.run(whole())
    finally:
        heed()  # the loop has left the signals to their defaults
