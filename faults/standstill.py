"""Servers that accept and stay silent, or that cannot be reached."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from check_ssh_exchange.diagnosis.cause import Cause
from tests.lab import zoo
from tests.lab.exporter import nobody_listens

from .holding import SECOND_SOURCE, queued
from .scenario import Scenario, Target

BACKLOG = 128  # sshd's; the kernel takes one more


@contextmanager
def stopped(name: str, waiting: int = 0, *options: str) -> Iterator[Target]:
    """A stopped server, with `waiting` clients in its backlog."""
    with zoo.server(name) as server:
        os.kill(server.pid, signal.SIGSTOP)
        with queued(server, waiting, "127.0.0.3"):
            yield Target(server.address, server.port, ("-t", "4", *options))


@contextmanager
def denied(name: str) -> Iterator[Target]:
    """A server whose hosts.deny refuses every client; a refusal takes five seconds."""
    with zoo.copy(name) as chroot:
        (chroot.root / "etc/hosts.deny").write_text("ALL: ALL\n")
        with chroot.server() as server:
            yield Target(server.address, server.port)


@contextmanager
def closed_port() -> Iterator[Target]:
    """A port without a listener."""
    with nobody_listens() as target:
        address, port = target.split(":")
        yield Target(address, int(port))


@contextmanager
def healthy(name: str) -> Iterator[Target]:
    """A server as it is installed."""
    with zoo.server(name) as server:
        yield Target(server.address, server.port)


def scenarios() -> Iterator[Scenario]:
    """Yield all scenarios, the longest first."""
    servers = [name for name in zoo.RECIPES if name not in ("haproxy", "stunnel")]
    for name in servers:
        if name.startswith("openssh"):
            yield Scenario(
                f"hosts.deny, {name}", (Cause.ACCESS_DENIED,), partial(denied, name), local=Cause.ACCESS_DENIED
            )
    for name in servers:
        if name != "tinysshd":
            local = Cause.STALLED if name.startswith("openssh") else None
            yield Scenario(f"stopped, {name}", (Cause.STALLED,), partial(stopped, name), local=local)
    some = partial(stopped, "openssh-9.2", BACKLOG - 1)
    yield Scenario("stopped, backlog nearly full, openssh-9.2", (Cause.STALLED,), some)
    # A full backlog drops SYNs as a firewall does.
    full = partial(stopped, "openssh-9.2", BACKLOG + 10)
    causes = (Cause.STALLED, Cause.FILTERED)
    yield Scenario("stopped, backlog full, openssh-9.2", causes, full, says="backlog is full")
    more = partial(full, "-S", "127.0.0.1", "-S", SECOND_SOURCE, "--control-port", "9")
    title = "stopped, backlog full, two sources, control port answers, openssh-9.2"
    yield Scenario(title, causes, more, says="backlog is full")
    yield Scenario("closed port", (Cause.NOT_LISTENING,), closed_port)
    for name in servers:
        yield Scenario(f"healthy, {name}", (Cause.HEALTHY,), partial(healthy, name))
