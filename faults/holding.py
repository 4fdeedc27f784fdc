"""Other clients, which hold a server's slots, earn a penalty or fill its backlog."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.lab.zoo import Server

OTHER, SECOND_SOURCE = "127.0.0.2", "127.0.0.4"
SECONDS = 60.0  # a server answers within milliseconds; the rest is for a busy machine
MOST_IN_A_HURRY = 1000  # a penalty counts when the server has reaped the child, which takes it a few handshakes
TRIES = 30  # for each slot: random early drop refuses most of them when a server is nearly full


@contextmanager
def held(server: Server, count: int, source: str = OTHER) -> Iterator[None]:
    """Hold this many unauthenticated connections, as silent clients do; replace each that is dropped."""
    with ExitStack() as stack:
        slots = 0
        for _ in range(TRIES * count):
            connection = socket.create_connection((server.address, server.port), SECONDS, (source, 0))
            if connection.recv(256).startswith(b"SSH-"):
                stack.enter_context(connection)
                slots += 1
            else:
                connection.close()
            if slots == count:
                break
        if slots < count:
            raise RuntimeError(f"only {slots} of {count} connections could be held")
        yield


@contextmanager
def queued(server: Server, count: int, source: str) -> Iterator[None]:
    """Connect this many times to a server that does not accept, or until its backlog is full."""
    with ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(0)
            connection.bind((source, 0))
            connection.connect_ex((server.address, server.port))
        yield


def hurry(server: Server, source: str) -> None:
    """Make short handshakes in sequence, each ending before authentication, until the server shuts us out."""
    for _ in range(MOST_IN_A_HURRY):
        with socket.create_connection((server.address, server.port), SECONDS, (source, 0)) as connection:
            if not connection.recv(256).startswith(b"SSH-"):
                return
            connection.sendall(b"SSH-2.0-hurry\r\n")
    raise RuntimeError(f"{source} is not shut out")
