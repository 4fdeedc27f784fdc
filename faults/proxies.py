"""Load balancers and TLS in front of a server, or of none."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from check_ssh_exchange.diagnosis.cause import Cause
from tests.lab import zoo
from tests.lab.chroots import cache

from .scenario import Scenario, Target

SERVER = "openssh-9.2"
HAPROXY = """global
    log stdout format raw local0
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout queue {queue}
    retries {retries}
frontend ssh
    bind 127.0.0.1:{port}{bind}
    {frontend}
    default_backend ssh
backend ssh
    server one 127.0.0.1:{backend} {server}
"""
STUNNEL = """foreground = yes
pid =
[ssh]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{backend}
cert = /etc/cert.pem
key = /etc/key.pem
"""


@contextmanager
def balanced(
    *,
    lives: bool = True,
    retries: int = 3,
    queue: str = "5s",
    bind: str = "",
    frontend: str = "",
    server: str = "",
    seconds: str = "8",
    settles: float = 0.0,
) -> Iterator[Target]:
    """HAProxy in front of a server that lives or not."""
    with ExitStack() as stack:
        backend = zoo.free_port("127.0.0.1")
        if lives:
            backend = stack.enter_context(zoo.server(SERVER)).port
        port = zoo.free_port("127.0.0.1")
        config = HAPROXY.format(
            queue=queue, retries=retries, port=port, bind=bind, frontend=frontend, backend=backend, server=server
        )
        stack.enter_context(zoo.server("haproxy", config=config, port=port))
        time.sleep(settles)
        yield Target("127.0.0.1", port, ("-t", seconds))


@contextmanager
def queueing_full() -> Iterator[Target]:
    """HAProxy with its only connection in use, which queues all others for five seconds."""
    with ExitStack() as stack:
        place = stack.enter_context(balanced(server="maxconn 1", seconds="10"))
        stack.enter_context(socket.create_connection((place.host, place.port), 10)).recv(256)
        yield place


@contextmanager
def wrapped() -> Iterator[Target]:
    """Stunnel in front of a server: TLS on the port."""
    port = zoo.free_port("127.0.0.1")
    with zoo.server(SERVER) as server:
        config = STUNNEL.format(port=port, backend=server.port)
        with zoo.server("stunnel", config=config, port=port):
            yield Target("127.0.0.1", port, ("-t", "4"))


@contextmanager
def tls() -> Iterator[Target]:
    """A TLS server of OpenSSL's."""
    zoo.build(["stunnel"])
    port, etc = zoo.free_port("127.0.0.1"), cache() / "stunnel/etc"
    command = [
        "openssl",
        "s_server",
        "-accept",
        f"127.0.0.1:{port}",
        "-cert",
        etc / "cert.pem",
        "-key",
        etc / "key.pem",
    ]
    with running([str(word) for word in (*command, "-quiet")], port):
        yield Target("127.0.0.1", port, ("-t", "4"))


@contextmanager
def web() -> Iterator[Target]:
    """Python's web server."""
    port = zoo.free_port("127.0.0.1")
    with running([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)], port):
        yield Target("127.0.0.1", port, ("-t", "4"))


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server that is one process in the foreground."""
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=silent, stderr=silent) as process:
        try:
            deadline = time.monotonic() + zoo.START_SECONDS
            while not any(found == port for _, found in zoo.listening(process.pid)):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not listen")
                time.sleep(0.01)
            yield
        finally:
            process.kill()


def scenarios() -> Iterator[Scenario]:
    """Yield all of them."""
    proxy = (Cause.PROXY,)
    for retries in (1, 3):
        place = partial(balanced, lives=False, retries=retries, seconds="10")
        yield Scenario(f"HAProxy, dead backend, {retries} retries", proxy, place)
    # After five seconds libwrap closes, too.
    slow = (Cause.PROXY, Cause.ACCESS_DENIED)
    place = partial(balanced, lives=False, retries=5, seconds="10")
    yield Scenario("HAProxy, dead backend, 5 retries", slow, place, says="load balancer")
    yield Scenario("HAProxy, queue of 5 s", slow, queueing_full, says="load balancer")
    checked = partial(balanced, lives=False, server="check inter 100 fall 1", settles=1.0)
    # A listener that cannot fork closes as fast, and as silently.
    yield Scenario("HAProxy, all backends down", (Cause.PROXY, Cause.SERVER_FAULT), checked, says="load balancer")
    rejecting = partial(balanced, frontend="tcp-request connection reject")
    yield Scenario("HAProxy rejects", proxy, rejecting)
    yield Scenario("HAProxy expects PROXY protocol", proxy, partial(balanced, bind=" accept-proxy", seconds="4"))
    yield Scenario("HAProxy sends PROXY protocol to sshd", proxy, partial(balanced, server="send-proxy"))
    queueing = partial(balanced, server="maxconn 2", queue="1s")
    yield Scenario("HAProxy, server maxconn 2", proxy, queueing)
    # Queued connections that are not accepted look like a stopped server.
    waiting = partial(balanced, frontend="maxconn 2", seconds="4")
    yield Scenario("HAProxy, frontend maxconn 2", (Cause.PROXY, Cause.STALLED), waiting, says="maxconn")
    yield Scenario("stunnel", proxy, wrapped)
    yield Scenario("openssl s_server", proxy, tls)
    yield Scenario("web server", (Cause.NOT_SSH,), web)
