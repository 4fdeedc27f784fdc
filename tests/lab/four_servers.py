"""Four hosts with an SSH server each, as a monitoring host sees them: healthy, throttled, banned and broken.

`with four_servers() as site` gives `site.client`, the network namespace of the monitoring host, and `site.servers`, one
namespace each; what is expected of both plugins is told with each. The client is 192.0.2.7, the monitor in the
definitions of contrib/. Its daemons run as `[*site.client.prefix, PROGRAM, ...]`, those of a server as
`[*server.host.prefix, PROGRAM, ...]`. There check_sshd_local sees the network of this server alone, but the processes
of the whole machine: give it `-p PORT`, which no other sshd of this machine listens on.
"""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from tests.lab import network, zoo
from tests.lab.network import LINK, SETTINGS, WARM_UP, Host

CLIENT, STRANGER = "192.0.2.7", "192.0.2.9"  # the second one holds the slots of the server that is throttled
ADDRESSES = {"healthy": "192.0.2.21", "throttled": "192.0.2.22", "banned": "192.0.2.23", "broken": "192.0.2.24"}
SLOTS = 3
WIDE = "100"  # MaxStartups: several daemons check one server at the same time
OPENSSH, NEW_OPENSSH = "openssh-9.2", "openssh-10.6"

# In the client's namespace: hold connections that do not log in until standard input ends.
HOLD = """
import socket, sys
source, address, port, count = sys.argv[1:]
held = []
while len(held) < int(count):
    connection = socket.create_connection((address, int(port)), 30, (source, 0))
    if connection.recv(256).startswith(b"SSH-"):
        held.append(connection)
    else:
        connection.close()
print("held", flush=True)
sys.stdin.read()
"""


class Expected(NamedTuple):
    """What a plugin says of a server.

    Its exit code, a regular expression of its status line without perfdata, and labels that its perfdata must have.
    """

    state: int
    line: str
    labels: tuple[str, ...]


class Monitored(NamedTuple):
    """A server: its host, where it listens, and what each plugin says of it: `local` of one with `--monitor CLIENT`."""

    name: str
    host: Host
    address: str
    port: int
    remote: Expected
    local: Expected


class Site(NamedTuple):
    """The monitoring host, and what it monitors by name."""

    client: Host
    servers: Mapping[str, Monitored]


COUNTED = ("handshakes", "completed", "failed")
TIMED = (*COUNTED, "early_close", "connect_p50", "banner_p50")
# Of check_sshd_local: what it reads from /proc. What it asks programs for is missing where the machine is too busy.
READ = ("listeners", "startups", "startups_drop", "backlog", "memory_available", "disk_used", "processes")
REMOTE = {
    "healthy": Expected(0, r"SSH OK - OpenSSH_9\.2p1 \(protocol 2\.0\), 5/5 handshakes, banner [\d.]+ ms", TIMED),
    "throttled": Expected(
        2, r'SSH CRITICAL - (\d+) of \1 handshakes turned away: MaxStartups throttling, "Exceeded MaxStartups"', COUNTED
    ),
    "banned": Expected(
        2, r"SSH CRITICAL - 5 of 5 handshakes rejected by ICMP: our address is banned by a firewall", COUNTED
    ),
    "broken": Expected(
        2,
        r"SSH CRITICAL - 5 of 5 handshakes closed without a word: (perhaps )?sshd accepts and its child dies at once",
        COUNTED,
    ),
}
LOCAL = {
    "healthy": Expected(0, r"SSHD OK - OpenSSH_9\.2p1 on 192\.0\.2\.21:\d+, \d of 100-100 startups", READ),
    "throttled": Expected(2, r"SSHD CRITICAL - MaxStartups full: 3 of 3-3 startups, all from 192\.0\.2\.9", READ),
    "banned": Expected(
        2,
        r"SSHD CRITICAL - the monitor 192\.0\.2\.7 is turned away by iptables table filter, chain INPUT, "
        r"which rejects it",
        READ,
    ),
    "broken": Expected(2, r"SSHD CRITICAL - /usr/lib/openssh/sshd-session is missing: every new connection dies", READ),
}


@contextmanager
def four_servers() -> Iterator[Site]:
    """Run the four servers."""
    with ExitStack() as stack:
        client, hosts = stack.enter_context(linked())
        servers = {
            name: Monitored(name, host, ADDRESSES[name], stack.enter_context(reserved()), REMOTE[name], LOCAL[name])
            for name, host in hosts.items()
        }
        ports = {name: server.port for name, server in servers.items()}
        for name in ("healthy", "banned"):
            stack.enter_context(zoo.server(OPENSSH, **place(hosts[name], ports[name], MaxStartups=WIDE)))
        slots = {"MaxStartups": f"{SLOTS}:100:{SLOTS}", "LoginGraceTime": "3600"}
        stack.enter_context(zoo.server(OPENSSH, **place(hosts["throttled"], ports["throttled"], **slots)))
        stack.enter_context(held(client, servers["throttled"]))
        ban = ("-s", CLIENT, "-p", "tcp", "--dport", str(ports["banned"]), "-j", "REJECT")
        stack.enter_context(hosts["banned"].rule("iptables", "INPUT", *ban))
        stack.enter_context(broken(hosts["broken"], ports["broken"]))
        yield Site(client, servers)


def missing() -> str | None:
    """Why they cannot be run here, as a sentence; None if they can."""
    return network.missing() or zoo.missing((OPENSSH, NEW_OPENSSH))


@contextmanager
def broken(host: Host, port: int) -> Iterator[None]:
    """Run an OpenSSH whose helper is missing since it was started: its listener accepts, and every connection dies.

    It has no penalties: for what its own fault ends, the client would be turned away in the end.
    """
    settings = place(host, port, MaxStartups=WIDE, PerSourcePenalties="no")
    with zoo.copy(NEW_OPENSSH) as chroot, chroot.server(**settings):
        (chroot.root / "usr/lib/openssh/sshd-session").unlink()
        yield


def place(host: Host, port: int, **options: str) -> zoo.Settings:
    """Return how to start an sshd on a host."""
    return {"prefix": host.prefix, "address": host.ipv4[0], "port": port, "options": options}


@contextmanager
def reserved() -> Iterator[int]:
    """Have a port to itself on this machine, for check_sshd_local tells the sshds of a machine apart by their ports."""
    with socket.socket() as holder:
        while True:
            port = zoo.free_port("127.0.0.1")
            with suppress(OSError):  # taken since
                holder.bind(("", port))  # without SO_REUSEADDR and without listening: it is in use for all others
                break
        yield port


@contextmanager
def held(client: Host, server: Monitored) -> Iterator[None]:
    """Have a stranger hold every slot of a server."""
    words = [STRANGER, server.address, str(server.port), str(SLOTS)]
    command = [*client.prefix, sys.executable, "-S", "-c", HOLD, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            yield
        finally:
            holder.kill()


@contextmanager
def linked() -> Iterator[tuple[Host, dict[str, Host]]]:
    """A namespace for the client and one for each server, linked to the client's alone."""
    unique = f"check-ssh-{os.getpid()}-{secrets.token_hex(3)}"
    with ExitStack() as undo:

        def host(name: str, *addresses: str) -> Host:
            made = Host(f"{unique}-{name}", (addresses[0], addresses[-1]), ("::1", "::1"), "fe80::1")
            network.run("ip", "netns", "add", made.name)
            undo.callback(network.run, "ip", "netns", "delete", made.name)
            network.set_all(made, SETTINGS)
            batch(made, "link set lo up")
            return made

        client = host("client", CLIENT, STRANGER)
        batch(client, *(f"address add {address}/32 dev lo" for address in client.ipv4))
        servers = {name: host(name, address) for name, address in ADDRESSES.items()}
        for number, server in enumerate(servers.values()):
            ours, address = f"link{number}", server.ipv4[0]
            batch(client, f"link add {ours} type veth peer name {LINK} netns {server.name}", f"link set {ours} up")
            batch(server, f"address add {address}/32 dev {LINK}", f"link set {LINK} up")
            batch(server, *(f"route add {one}/32 dev {LINK}" for one in client.ipv4))
            batch(client, f"route add {address}/32 dev {ours} src {CLIENT}")
        client.run(sys.executable, "-S", "-c", WARM_UP, *ADDRESSES.values())
        yield client, servers


def batch(host: Host, *lines: str) -> None:
    """Have ip(8) do this in a namespace."""
    network.run("ip", "-n", host.name, "-batch", "-", text="\n".join(lines))
