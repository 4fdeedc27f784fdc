"""Services that are not SSH servers, or unusual ones; the rarest are scripted."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from check_ssh_exchange.diagnosis.cause import Cause
from tests.lab import zoo

from .scenario import Scenario, Target

SERVE_SECONDS = 60.0
Service = Callable[[socket.socket], None]


@contextmanager
def serving(service: Service, *options: str) -> Iterator[Target]:
    """A stand-in: a thread for each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, args=(listener, service), daemon=True)
        thread.start()
        yield Target("127.0.0.1", listener.getsockname()[1], options)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def accept(listener: socket.socket, service: Service) -> None:
    """Serve until the listener is shut down."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(SERVE_SECONDS)
            service(connection)

    with suppress(OSError):
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def greet(words: bytes) -> Service:
    """Say something and wait for the client to go."""

    def service(connection: socket.socket) -> None:
        connection.sendall(words)
        while connection.recv(4096):
            pass

    return service


def drip(seconds: float) -> Service:
    """Send a random line every `seconds` seconds, as endlessh does."""

    def service(connection: socket.socket) -> None:
        for number in range(int(SERVE_SECONDS / seconds)):
            time.sleep(seconds)
            connection.sendall(b"%x\r\n" % (number * 2654435761 % 2**32))

    return service


def relay(port: int, seconds: float) -> Service:
    """Hand the client to a real server, after a while."""

    def service(connection: socket.socket) -> None:
        time.sleep(seconds)
        with socket.create_connection(("127.0.0.1", port), SERVE_SECONDS) as server:
            back = threading.Thread(target=pump, args=(server, connection), daemon=True)
            back.start()
            pump(connection, server)
            back.join()

    return service


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def late(seconds: float) -> Iterator[Target]:
    """A real server that answers late."""
    with zoo.server("openssh-9.2") as server, serving(relay(server.port, seconds)) as place:
        yield place


@contextmanager
def configured(name: str, options: Mapping[str, str]) -> Iterator[Target]:
    """A real server with these settings."""
    with zoo.server(name, options=options) as server:
        yield Target(server.address, server.port)


def scenarios() -> Iterator[Scenario]:
    """Yield all of them."""
    yield Scenario("tarpit, 10 s a line", (Cause.TARPIT,), partial(serving, drip(10), "-t", "25"))
    yield Scenario("tarpit, 1 s a line", (Cause.TARPIT,), partial(serving, drip(1), "-t", "6"))
    for name, words in {
        "mail server": b"220 mail.example ESMTP Postfix\r\n",
        "FTP server": b"220 (vsFTPd 3.0.3)\r\n",
        "IMAP server": b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
    }.items():
        yield Scenario(name, (Cause.NOT_SSH,), partial(serving, greet(words), "-t", "4"))
    old = partial(serving, greet(b"SSH-1.5-OpenSSH_1.2.3\r\n"), "-t", "4")
    yield Scenario("SSH protocol 1", (Cause.INCOMPATIBLE,), old)
    for name, options in {
        "key exchange": {"KexAlgorithms": "diffie-hellman-group1-sha1,diffie-hellman-group14-sha1"},
        "host key": {"HostKeyAlgorithms": "ssh-rsa"},
        "cipher": {"Ciphers": "3des-cbc,aes128-cbc"},
    }.items():
        place = partial(configured, "openssh-8.4", options)
        yield Scenario(f"obsolete {name} only, openssh-8.4", (Cause.INCOMPATIBLE,), place)
    yield Scenario("slow server", (Cause.SLOW,), partial(late, 1.5))
