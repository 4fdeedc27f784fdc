"""Faults that let an SSH server drop some of its connections, or all, and what its host says of that."""

import socket
from contextlib import ExitStack

from tests.lab.network import run

from .faults_host import FaultyHost, again_and_again
from .faults_lab import Lab
from .faults_story import Ended, Fault, Holds, Sent, Silenced, Steps, Wait

SECONDS = 10.0
ROOMY = "100"


def healthy(target: str) -> list[Wait]:
    return [Holds(f'ssh_exchange_state{{target="{target}"}} == 0')]


def connect(lab: Lab, host: FaultyHost) -> socket.socket:
    """A connection to a host's sshd, from the client's namespace."""
    place = (host.address, host.sshd.port)
    return lab.inside.run(lambda: socket.create_connection(place, SECONDS, (lab.net.client.ipv4[1], 0)))


def hold(lab: Lab, host: FaultyHost, count: int) -> ExitStack:
    """Silent clients, each with a slot of its own; they leave when the stack is closed, at the latest with the lab."""
    slots = lab.stack.enter_context(ExitStack())
    for _ in range(count):
        connection = slots.enter_context(connect(lab, host))
        assert connection.recv(256).startswith(b"SSH-")
    return slots


def full(lab: Lab) -> Steps:
    """All slots of MaxStartups are held, and clients come again and again."""
    host = lab.host("full")
    sshd = host.install(logs=True)
    sshd.start(MaxStartups="4:100:4", LoginGraceTime="0", LogLevel="VERBOSE")  # which logs every drop
    host.look_inside("--only", "startups,log", "--state-file", str(host.home / "state"))
    lab.main.module("alone", handshakes=1)
    lab.main.watch(host.target, module="alone")
    place = host.target
    # The counter must be there before it counts.
    yield [*healthy(place), Holds(f'sshd_local_drops_total{{instance="{place}",reason="maxstartups"}} == 0')]
    slots = hold(lab, host, 4)
    with again_and_again(lambda: connect(lab, host).close(), 0.5):
        yield [
            Sent("SshExchangeDown", place),
            Sent("SshdLocalCritical", place),
            Sent("SshdLocalDrops", place),
            Silenced("SshExchangeTurnsConnectionsAway", place, "SshExchangeDown"),
            Silenced("SshExchangeEarlyCloseBurnsFast", place, "SshExchangeDown"),
            Silenced("SshdLocalStartupsHigh", place, "SshExchangeTurnsConnectionsAway"),
            Silenced("SshdLocalWarning", place, "SshdLocalDrops"),
        ]
    slots.close()
    yield [Ended(alert, place) for alert in ("SshExchangeDown", "SshdLocalCritical", "SshdLocalDrops")]


def filling(lab: Lab) -> Steps:
    """Silent clients hold more than half of the slots from which on sshd drops some."""
    host = lab.host("filling")
    sshd = host.install()
    sshd.start(MaxStartups="10:30:60", LoginGraceTime="0")
    host.look_inside("--only", "startups")
    yield [Holds(f'sshd_local_startups{{instance="{host.target}"}} < 2')]
    slots = hold(lab, host, 8)
    yield [Sent("SshdLocalStartupsHigh", host.target)]
    slots.close()
    yield [Ended("SshdLocalStartupsHigh", host.target)]


def nearly_enough(lab: Lab) -> Steps:
    """MaxStartups is a little too small for what comes at once: one connection of seventeen is dropped."""
    host = lab.host("nearly")
    host.install().start(MaxStartups=ROOMY)
    lab.main.module("sixteen", handshakes=16, concurrency=15)
    lab.main.watch(host.target, module="sixteen")
    yield healthy(host.target)
    host.sshd.start(MaxStartups="14:100:14")
    yield [Sent("SshExchangeTurnsConnectionsAway", host.target)]
    host.sshd.start(MaxStartups=ROOMY)
    yield [Ended("SshExchangeTurnsConnectionsAway", host.target)]


def nearly_enough_by_its_host(lab: Lab) -> Steps:
    """The same, where the host counts what it drops."""
    host = lab.host("counted")
    host.install(logs=True).start(MaxStartups=ROOMY)
    host.look_inside("--only", "startups,log", "--state-file", str(host.home / "state"))
    lab.main.module("sixteen", handshakes=16, concurrency=15)
    lab.main.watch(host.target, module="sixteen")
    drops = f'sshd_local_drops_total{{instance="{host.target}",reason="maxstartups"}}'
    yield [*healthy(host.target), Holds(f"{drops} == 0")]
    host.sshd.start(MaxStartups="14:100:14", LogLevel="VERBOSE")
    name = "SshdLocalDrops"
    yield [Sent(name, host.target), Silenced("SshExchangeTurnsConnectionsAway", host.target, name)]
    host.sshd.start(MaxStartups=ROOMY)
    yield [Ended(name, host.target)]


def too_small(lab: Lab) -> Steps:
    """MaxStartups is far too small for what comes at once."""
    host = lab.host("small")
    host.install().start(MaxStartups=ROOMY)
    lab.main.module("four", handshakes=4, concurrency=3)
    lab.main.watch(host.target, module="four")
    yield healthy(host.target)
    host.sshd.start(MaxStartups="2:100:2")
    fast, slow = "SshExchangeEarlyCloseBurnsFast", "SshExchangeEarlyCloseBurnsSlow"
    yield [
        Sent(fast, host.target),
        Silenced(slow, host.target, fast),
        Silenced("SshExchangeTurnsConnectionsAway", host.target, fast),
    ]
    host.sshd.start(MaxStartups=ROOMY)
    # The longer window still has what the shorter one has not.
    yield [Ended(fast, host.target), Sent(slow, host.target)]
    yield [Ended(slow, host.target)]


def too_small_and_unobserved(lab: Lab) -> Steps:
    """The same, and then the exporter ends."""
    host = lab.host("unobserved")
    host.install().start(MaxStartups=ROOMY)
    exporter = lab.exporter("short-lived")
    exporter.module("four", handshakes=4, concurrency=3)
    exporter.watch(host.target, module="four")
    yield healthy(host.target)
    host.sshd.start(MaxStartups="2:100:2")
    fast, slow, down = "SshExchangeEarlyCloseBurnsFast", "SshExchangeEarlyCloseBurnsSlow", "SshExchangeExporterDown"
    yield [Sent(fast, host.target), Silenced(slow, host.target, fast)]
    exporter.stop()
    yield [Sent(down, exporter.address), Silenced(slow, host.target, down)]
    host.sshd.start(MaxStartups=ROOMY)
    exporter.start()
    yield [Ended(down, exporter.address)]


def reset_by_chance(lab: Lab) -> Steps:
    """A firewall on the way resets every fifteenth connection, and says nothing."""
    host = lab.host("reset")
    host.install().start()
    lab.main.module("five", handshakes=5)
    lab.main.watch(host.target, module="five")
    yield healthy(host.target)
    address = f"ip daddr {host.address} tcp dport {host.sshd.port}"
    lines = [
        "table inet chance {",
        "chain input {",
        "type filter hook input priority 0",
        f"{address} tcp flags & (syn|ack) == syn ct mark set numgen inc mod 15",
        f"{address} tcp flags & (syn|ack) == ack ct mark 12 reject with tcp reset",
        "}",
        "}",
    ]
    run(*host.net.server.prefix, "nft", "-f", "-", text="\n".join(lines))
    yield [Sent("SshExchangeRandomEarlyDrop", host.target)]
    host.net.server.run("nft", "delete", "table", "inet", "chance")
    yield [Ended("SshExchangeRandomEarlyDrop", host.target)]


FAULTS: dict[Fault, tuple[str, ...]] = {
    full: ("SshdLocalCritical", "SshdLocalDrops"),
    filling: ("SshdLocalStartupsHigh",),
    nearly_enough: ("SshExchangeTurnsConnectionsAway",),
    nearly_enough_by_its_host: ("SshdLocalDrops",),
    too_small: ("SshExchangeEarlyCloseBurnsFast", "SshExchangeEarlyCloseBurnsSlow"),
    too_small_and_unobserved: ("SshExchangeExporterDown",),
    reset_by_chance: ("SshExchangeRandomEarlyDrop",),
}
