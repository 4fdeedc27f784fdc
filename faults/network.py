"""Firewalls, routes and names between us and a real server, in two network namespaces."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from check_ssh_exchange.diagnosis.cause import Cause
from tests.lab import network, zoo
from tests.lab.network import Namespace

from .plugin import run
from .scenario import Scenario, Skip, Target

SERVER = "openssh-9.2"
PORT, CONTROL_PORT = 22, 22222
SYN = ("-p", "tcp", "--dport", str(PORT), "--syn")
QUICK = ("-t", "4")
NAME = "both.example"

Wall = Callable[[Namespace], AbstractContextManager[object]]


@contextmanager
def linked(*addresses: str) -> Iterator[Namespace]:
    """Two namespaces; in the server's, an OpenSSH on these addresses (all of them) at port 22."""
    if reason := network.missing():
        raise Skip(reason)
    with Namespace() as pair:
        host = pair.server
        everywhere = addresses or (*host.ipv4, *host.ipv6)
        with zoo.server(SERVER, prefix=host.prefix, address=everywhere, port=PORT):
            yield pair


def target(pair: Namespace, *options: str, host: str | None = None) -> Target:
    """The server as the client's namespace sees it."""
    return Target(host or pair.server.ipv4[0], PORT, options, pair.client.prefix)


@contextmanager
def walled(wall: Wall, *options: str) -> Iterator[Target]:
    """A healthy server behind a wall."""
    with linked() as pair, wall(pair):
        yield target(pair, *options)


@contextmanager
def from_two_sources(wall: Wall, *options: str) -> Iterator[Target]:
    """A healthy server behind a firewall, probed from two source addresses."""
    with linked() as pair, wall(pair):
        yield target(pair, *QUICK, "-S", pair.client.ipv4[0], "-S", pair.client.ipv4[1], *options)


@contextmanager
def remembered(wall: Wall, *, has_second_source: bool = False) -> Iterator[Target]:
    """A healthy server behind a firewall that was added after a first run."""
    with linked() as pair, tempfile.TemporaryDirectory() as directory:
        sources = [word for address in pair.client.ipv4 for word in ("-S", address)] if has_second_source else []
        place = target(pair, *QUICK, "--state-file", str(Path(directory, "state")), *sources)
        before = run(place)
        if not before.is_served:
            raise RuntimeError(f"not served before the ban: {before.line}")
        with wall(pair):
            yield place


# --- walls


def rules(*many: tuple[str, ...], tool: str = "iptables") -> Wall:
    """Rules of the server's INPUT chain, the first one first."""

    @contextmanager
    def build(pair: Namespace) -> Iterator[None]:
        with ExitStack() as stack:
            for rule in reversed(many):
                stack.enter_context(pair.server.rule(tool, "INPUT", *rule))
            yield

    return build


def reject(how: str) -> Wall:
    """REJECT of one kind."""
    return rules((*SYN, "-j", "REJECT", "--reject-with", how))


def meter(pair: Namespace) -> AbstractContextManager[None]:
    """Three new connections a minute for each address, by nft."""
    rule = f"tcp dport {PORT} ct state new meter ssh {{ ip saddr limit rate over 3/minute burst 3 packets }} drop"
    return pair.server.nft("input", rule)


DROP = rules((*SYN, "-j", "DROP"))
RECENT = ("-m", "recent", "--name", "ssh")
COUNT = rules(
    (*SYN, *RECENT, "--update", "--seconds", "60", "--hitcount", "4", "-j", "DROP"),
    (*SYN, *RECENT, "--set"),
)
AT_ONCE = rules((*SYN, "-m", "connlimit", "--connlimit-above", "3", "-j", "REJECT", "--reject-with", "tcp-reset"))


@contextmanager
def drop_us(pair: Namespace) -> Iterator[None]:
    """DROP what comes from the first of our addresses."""
    with rules((*SYN, "-s", pair.client.ipv4[0], "-j", "DROP"))(pair):
        yield


@contextmanager
def drop_banners(pair: Namespace) -> Iterator[None]:
    """Let connections through and drop what the server says."""
    words = ("-p", "tcp", "--sport", str(PORT), "-m", "length", "--length", "61:", "-j", "DROP")
    with pair.server.rule("iptables", "OUTPUT", *words):
        yield


# --- routes and names


@contextmanager
def elsewhere(address: str, *, is_routed: bool = False) -> Iterator[Target]:
    """An address that no way leads to, by our own routes or by those of the router that we have for it."""
    with linked() as pair, ExitStack() as stack:
        if is_routed:
            stack.enter_context(pair.client.route(f"{address}/32", "via", pair.server.ipv4[0]))
        yield target(pair, "-t", "8", host=address)


@contextmanager
def half_dead(serves: str, wall: Wall | None, *options: str) -> Iterator[Target]:
    """A name with an address of both families, of which one is served."""
    with ExitStack() as stack:
        pair = stack.enter_context(linked(*Namespace().server._asdict()[serves]))
        host = pair.server
        stack.enter_context(pair.client.files(hosts=f"{host.ipv4[0]} {NAME}\n{host.ipv6[0]} {NAME}\n"))
        if wall is not None:
            stack.enter_context(wall(pair))
        yield target(pair, "-t", "6", *options, host=NAME)


@contextmanager
def nameless(wall: Wall | None) -> Iterator[Target]:
    """A name that no resolver knows: it refuses our question, or stays silent."""
    with linked() as pair, ExitStack() as stack:
        resolver = f"nameserver {pair.server.ipv4[0]}\noptions timeout:1 attempts:1\n"
        stack.enter_context(pair.client.files(hosts="127.0.0.1 localhost\n", resolv_conf=resolver))
        if wall is not None:
            stack.enter_context(wall(pair))
        yield target(pair, *QUICK, host="nobody.example")


DROP_V6 = rules((*SYN, "-j", "DROP"), tool="ip6tables")
DROP_NAMES = rules(("-p", "udp", "--dport", "53", "-j", "DROP"))


def scenarios() -> Iterator[Scenario]:
    """Yield all of them."""
    yield Scenario("no neighbour", (Cause.UNREACHABLE,), partial(elsewhere, "192.0.2.77"))
    for how in ("port", "host", "net", "proto"):
        wall = partial(walled, reject(f"icmp-{how}-unreachable"))
        yield Scenario(f"REJECT {how}-unreachable by the target", (Cause.BANNED,), wall)
    for how in ("admin", "host"):
        wall = partial(walled, reject(f"icmp-{how}-prohibited"))
        yield Scenario(f"REJECT {how}-prohibited by the target", (Cause.BANNED,), wall)
    yield Scenario("REJECT tcp-reset", (Cause.NOT_LISTENING,), partial(walled, reject("tcp-reset")), says="firewall")
    yield from dropped()
    yield from counted()
    yield Scenario("no route", (Cause.UNREACHABLE,), partial(elsewhere, "203.0.113.1"))
    routed = partial(elsewhere, "203.0.113.1", is_routed=True)
    yield Scenario("no route at the router", (Cause.UNREACHABLE,), routed)
    yield from families()
    yield Scenario("no resolver", (Cause.NAME_RESOLUTION,), partial(nameless, None))
    yield Scenario("silent resolver", (Cause.NAME_RESOLUTION,), partial(nameless, DROP_NAMES))


def dropped() -> Iterator[Scenario]:
    """DROP, and what else is known then."""
    yield Scenario("DROP", (Cause.FILTERED,), partial(walled, DROP, *QUICK))
    control = (*QUICK, "--control-port", str(CONTROL_PORT))
    yield Scenario("DROP, control port answers", (Cause.BANNED,), partial(walled, DROP, *control))
    yield Scenario("DROP, second source served", (Cause.BANNED,), partial(from_two_sources, drop_us))
    yield Scenario("DROP, second source dropped too", (Cause.FILTERED,), partial(from_two_sources, DROP))
    both = partial(from_two_sources, DROP, *control[2:])
    yield Scenario("DROP, second source dropped too, control port answers", (Cause.FILTERED,), both)
    yield Scenario("DROP, served before", (Cause.BANNED,), partial(remembered, DROP))
    both = partial(remembered, DROP, has_second_source=True)
    yield Scenario("DROP, both sources served before", (Cause.FILTERED,), both, says="served until")
    yield Scenario("server's words dropped", (Cause.STALLED,), partial(walled, drop_banners, *QUICK))


def counted() -> Iterator[Scenario]:
    """Limits of a firewall."""
    yield Scenario("iptables recent", (Cause.RATE_LIMIT,), partial(walled, COUNT, *QUICK))
    yield Scenario("nft meter", (Cause.RATE_LIMIT,), partial(walled, meter, *QUICK))
    limit = (Cause.PER_SOURCE_LIMIT,)
    yield Scenario("connlimit", limit, partial(walled, AT_ONCE, *QUICK), self_inflicted=True)
    yield Scenario("connlimit, two sources", limit, partial(from_two_sources, AT_ONCE), self_inflicted=True)


def families() -> Iterator[Scenario]:
    """One address family dead."""
    cause, every = (Cause.ADDRESS_FAMILY,), "--all-addresses"
    yield Scenario("IPv6 refused", cause, partial(half_dead, "ipv4", None))
    yield Scenario("IPv6 dropped", cause, partial(half_dead, "ipv4", DROP_V6))
    yield Scenario("IPv4 refused, all addresses", cause, partial(half_dead, "ipv6", None, every))
    yield Scenario("IPv4 dropped, all addresses", cause, partial(half_dead, "ipv6", DROP, every))
