"""The network of contrib/icinga2/distributed: a master, two satellites and what they monitor, at the shipped addresses.

Every node is a network namespace with a link to a bridge; the namespace of the bridge has the addresses of the servers.
"""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from tests.lab import network, zoo
from tests.lab.network import LINK, SETTINGS, Host

ADDRESSES = {
    "master.example": "192.0.2.10",
    "satellite-a.example": "198.51.100.10",
    "satellite-b.example": "203.0.113.10",
}
SERVERS = {"bastion.example": "192.0.2.21", "web-a.example": "198.51.100.21", "web-b.example": "203.0.113.21"}
BRIDGE, OPENSSH, PORT = "bridge0", "openssh-9.2", 22


class Lan(NamedTuple):
    """Node -> its namespace, and the namespace of all servers."""

    nodes: dict[str, Host]
    servers: Host


def missing() -> str | None:
    """Why it cannot be made here, as a sentence; None if it can."""
    return network.missing() or zoo.missing([OPENSSH])


@contextmanager
def lan() -> Iterator[Lan]:
    """Have the network, with an OpenSSH at every server's address, which all three nodes may check at once."""
    everywhere, wide = tuple(SERVERS.values()), {"MaxStartups": "100"}
    with (
        linked(ADDRESSES, everywhere) as made,
        zoo.server(OPENSSH, prefix=made.servers.prefix, address=everywhere, port=PORT, options=wide),
    ):
        yield made


@contextmanager
def linked(nodes: Mapping[str, str], servers: Sequence[str]) -> Iterator[Lan]:
    """A namespace for each node at its address, and one that has the addresses of all servers."""
    with ExitStack() as stack:
        bridge = stack.enter_context(namespace("servers", *servers))
        lines = [f"link add {BRIDGE} type bridge", f"link set {BRIDGE} up", f"route add default dev {BRIDGE}"]
        lines[2:2] = [f"address add {address}/32 dev {BRIDGE}" for address in servers]
        batch(bridge, *lines)
        made = {}
        for number, (name, address) in enumerate(nodes.items()):
            made[name] = stack.enter_context(namespace(f"node{number}", address))
            port = f"port{number}"
            batch(bridge, f"link add {port} type veth peer name {LINK} netns {made[name].name}")
            batch(bridge, f"link set {port} master {BRIDGE} up")
            up = [f"address add {address}/32 dev {LINK}", f"link set {LINK} up", f"route add default dev {LINK}"]
            batch(made[name], *up)
        yield Lan(made, bridge)


@contextmanager
def namespace(name: str, *addresses: str) -> Iterator[Host]:
    """A network namespace in which a daemon that runs on this machine finds itself at 127.0.0.1."""
    unique = f"check-ssh-{os.getpid()}-{secrets.token_hex(3)}-{name}"
    made = Host(unique, (addresses[0], addresses[-1]), ("::1", "::1"), "fe80::1")
    network.run("ip", "netns", "add", made.name)
    try:
        network.set_all(made, SETTINGS)
        batch(made, "link set lo up")
        yield made
    finally:
        network.run("ip", "netns", "delete", made.name)


def batch(host: Host, *lines: str) -> None:
    """Have ip(8) do this in a namespace."""
    network.run("ip", "-n", host.name, "-batch", "-", text="\n".join(lines))
