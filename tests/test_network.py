"""What networks, firewalls and resolvers do to handshakes, in namespaces of our own with a real sshd behind."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.lab import network, zoo
from tests.lab.front_door import NEVER_SLOW, PLUGIN, Answer, check, wait_until
from tests.lab.network import LINK, Namespace

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("complete_zoo")]

CLOSED_PORT = "1"
BEYOND4, BEYOND6 = "198.51.100.9", "2001:db8:1::9"  # not on the link; a route to them is made where a test wants one
NETWORK4, NETWORK6 = "198.51.100.0/24", "2001:db8:1::/64"
NOBODY4, NOBODY6 = "192.0.2.99", "2001:db8::99"
HOSTS = "192.0.2.2 both.test\n2001:db8::2 both.test\n"
NSSWITCH = "hosts: files dns\n"


@pytest.fixture(scope="module")
def server(net: Namespace) -> Iterator[zoo.Server]:
    with zoo.server("openssh-9.2", address=["0.0.0.0", "::"], prefix=net.server.prefix) as running:  # noqa: S104
        yield running


@pytest.fixture(scope="module")
def v4(net: Namespace) -> Iterator[zoo.Server]:
    with zoo.server("openssh-9.2", address="0.0.0.0", prefix=net.server.prefix) as running:  # noqa: S104
        yield running


def probe(net: Namespace, host: str, port: object, *arguments: str) -> Answer:
    answer = check("-H", host, "-p", str(port), *NEVER_SLOW, *arguments, command=(*net.client.prefix, *PLUGIN))
    assert answer.err == ""
    return answer


def document(net: Namespace, host: str, port: object, *arguments: str) -> tuple[int, dict[str, Any]]:
    answer = probe(net, host, port, *arguments, "--output-format", "json")
    return answer.code, json.loads(answer.out)


def asked(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The handshakes that were asked for: without those that the plugin adds to tell causes apart."""
    return [handshake for handshake in told["handshakes"] if handshake["role"] != "recheck"]


def endings(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(handshake["role"], handshake["family"], handshake["ending"]) for handshake in asked(told)]


def outcomes(told: dict[str, Any]) -> set[tuple[str, str | None]]:
    return {(handshake["ending"], handshake["detail"]) for handshake in told["handshakes"]}


def unknown(sentence: str) -> tuple[int, str]:
    return 3, f"SSH UNKNOWN - {sentence}"


# --- answers to the SYN


@pytest.mark.parametrize("host", ["192.0.2.2", "2001:db8::2"])
def test_a_port_without_a_listener_is_refused(net: Namespace, host: str) -> None:
    code, told = document(net, host, CLOSED_PORT)
    assert (code, told["state"], told["counts"]["refused"]) == (2, "critical", 5)
    assert outcomes(told) == {("refused", "the port answered with RST")}
    assert told["early_close_ratio"] is None
    assert told["latency"] == {}


REJECTIONS = {
    "icmp-port-unreachable": "3/3 (port unreachable)",
    "icmp-admin-prohibited": "3/13 (administratively prohibited)",
    "icmp-host-prohibited": "3/10 (host prohibited)",
    "icmp-host-unreachable": "3/1 (host unreachable)",
    "icmp-net-unreachable": "3/0 (net unreachable)",
    "icmp-proto-unreachable": "3/2 (protocol unreachable)",
    "icmp6-port-unreachable": "1/4 (port unreachable)",
    "icmp6-adm-prohibited": "1/1 (administratively prohibited)",
    "icmp6-addr-unreachable": "1/3 (address unreachable)",
    "icmp6-no-route": "1/0 (no route)",
}


@pytest.mark.parametrize("way", REJECTIONS)
def test_a_firewall_that_answers_with_icmp_rejects_and_is_named_with_type_and_code(
    net: Namespace, server: zoo.Server, way: str
) -> None:
    tool, host = ("ip6tables", "2001:db8::2") if way.startswith("icmp6") else ("iptables", "192.0.2.2")
    with net.server.rule(tool, "INPUT", "-p", "tcp", "--dport", str(server.port), "-j", "REJECT", "--reject-with", way):
        code, told = document(net, host, server.port)
    assert (code, told["state"], told["counts"]["rejected"]) == (2, "critical", 5)
    assert outcomes(told) == {("rejected", f"ICMP {REJECTIONS[way]} from {host}")}


@pytest.mark.parametrize(("tool", "host"), [("iptables", "192.0.2.2"), ("ip6tables", "2001:db8::2")])
def test_a_firewall_that_answers_with_rst_refuses_like_a_closed_port(
    net: Namespace, server: zoo.Server, tool: str, host: str
) -> None:
    reset = ["-j", "REJECT", "--reject-with", "tcp-reset"]
    with net.server.rule(tool, "INPUT", "-p", "tcp", "--dport", str(server.port), *reset):
        code, told = document(net, host, server.port)
    assert (code, told["counts"]["refused"], outcomes(told)) == (2, 5, {("refused", "the port answered with RST")})


@pytest.mark.parametrize(
    ("host", "rule", "outcome"),
    [
        ("192.0.2.2", "reject", ("rejected", "ICMP 3/3 (port unreachable) from 192.0.2.2")),
        ("2001:db8::2", "reject", ("rejected", "ICMP 1/4 (port unreachable) from 2001:db8::2")),
        ("2001:db8::2", "reject with tcp reset", ("refused", "the port answered with RST")),
    ],
)
def test_nft_rejects_as_iptables_does(
    net: Namespace, server: zoo.Server, host: str, rule: str, outcome: tuple[str, str]
) -> None:
    with net.server.nft("input", f"tcp dport {server.port} {rule}"):
        code, told = document(net, host, server.port)
    assert (code, outcomes(told)) == (2, {outcome})


@pytest.mark.parametrize(
    ("beyond", "through", "sender", "words"),
    [
        (BEYOND4, (NETWORK4, "via", "192.0.2.2"), "192.0.2.2", "3/0 (net unreachable)"),
        (BEYOND6, (NETWORK6, "via", "fe80::2", "dev", LINK), None, "1/0 (no route)"),
    ],
)
def test_a_router_without_a_route_rejects_in_its_own_name(
    net: Namespace, beyond: str, through: tuple[str, ...], sender: str | None, words: str
) -> None:
    # Linux has a second limit, for the IPv4 packets it has no route for, and answers but a few of a quick series.
    with net.client.route(*through):
        code, told = document(net, beyond, 22, "-n", "2")
    senders = [sender] if sender else net.server.ipv6
    assert (code, told["counts"]["rejected"]) == (2, 2)
    assert outcomes(told) <= {("rejected", f"ICMP {words} from {one}") for one in senders}


def test_a_firewall_on_the_way_rejects_in_its_own_name(net: Namespace) -> None:
    prohibit = ["-j", "REJECT", "--reject-with", "icmp-admin-prohibited"]
    with ExitStack() as stack:
        stack.enter_context(net.client.route(NETWORK4, "via", "192.0.2.2"))
        stack.enter_context(net.server.route(NETWORK4, "dev", LINK))
        stack.enter_context(net.server.rule("iptables", "FORWARD", *prohibit))
        code, told = document(net, BEYOND4, 22)
    assert (code, told["target"]["address"]) == (2, BEYOND4)
    assert outcomes(told) == {("rejected", "ICMP 3/13 (administratively prohibited) from 192.0.2.2")}


def test_our_own_firewall_rejects_in_our_name(net: Namespace, server: zoo.Server) -> None:
    with net.client.rule("iptables", "OUTPUT", "-p", "tcp", "--dport", str(server.port), "-j", "REJECT"):
        _, told = document(net, "192.0.2.2", server.port)
    assert outcomes(told) == {("rejected", "ICMP 3/3 (port unreachable) from 192.0.2.1")}


SEGMENTS = """
import sys
from check_ssh_exchange.measure import Plan, Target, measure
report = measure(Target(sys.argv[1], int(sys.argv[2])), Plan())
print({(str(h.ending), h.segments_in, h.icmp and tuple(h.icmp)) for h in report.handshakes})
"""


@pytest.mark.parametrize("host", ["192.0.2.2", "2001:db8::2"])
def test_a_rst_is_a_segment_that_came_in_and_an_icmp_answer_is_none(
    net: Namespace, server: zoo.Server, host: str
) -> None:
    port, kind = str(server.port), ((1, 4) if ":" in host else (3, 3))
    seen = [net.client.python(SEGMENTS, host, CLOSED_PORT)]
    with net.server.nft("input", f"tcp dport {port} reject"):
        seen.append(net.client.python(SEGMENTS, host, port))
    assert seen == [f"{ {('refused', 1, None)} }\n", f"{ {('rejected', 0, (*kind, host))} }\n"]


# --- no answer at all


@pytest.mark.parametrize("host", ["192.0.2.2", "2001:db8::2"])
def test_syns_that_are_dropped_time_out(net: Namespace, server: zoo.Server, host: str) -> None:
    with net.server.nft("input", f"tcp dport {server.port} drop"):
        code, told = document(net, host, server.port, "-t", "2")
    assert (code, told["state"], told["counts"]["connect_timeout"]) == (2, "critical", 5)
    assert told["perfdata"]["timeout"] == 5
    assert min(handshake["ended"] for handshake in told["handshakes"]) > 0.5


def test_a_firewall_that_lets_only_the_handshake_of_tcp_pass_leaves_no_banner(
    net: Namespace, server: zoo.Server
) -> None:
    with net.server.nft("output", f"tcp sport {server.port} meta length > 80 drop"):
        code, told = document(net, "192.0.2.2", server.port, "-t", "2")
    assert (code, told["state"], told["early_close_ratio"]) == (2, "critical", 0)
    assert {handshake["ending"] for handshake in told["handshakes"]} == {"banner_timeout"}
    assert len(asked(told)) == 5
    assert told["latency"] == {}


@pytest.mark.parametrize("host", [NOBODY4, NOBODY6])
def test_an_address_that_no_neighbour_has_is_unreachable(net: Namespace, host: str) -> None:
    code, told = document(net, host, 22)
    assert (code, told["state"], told["counts"]["unreachable"]) == (2, "critical", 5)
    assert outcomes(told) == {("unreachable", "no ARP or ND answer from the host or its gateway")}


@pytest.mark.parametrize("host", [BEYOND4, BEYOND6])
def test_an_address_without_a_route_is_unreachable_at_once(net: Namespace, host: str) -> None:
    code, told = document(net, host, 22)
    assert (code, told["state"], told["counts"]["unreachable"]) == (2, "critical", 5)
    assert outcomes(told) == {("unreachable", "no route to the address (ENETUNREACH)")}


def test_a_route_that_prohibits_is_our_own_fault_and_unknown(net: Namespace) -> None:
    with net.client.route("prohibit", NETWORK4):
        answer = probe(net, BEYOND4, 22)
    told = unknown(f"cannot connect to {BEYOND4}: this machine's own policy forbids it (EACCES)")
    assert (answer.code, answer.line) == told


# --- names with two families


def test_a_name_falls_back_to_the_family_that_works_and_the_endings_say_so(net: Namespace, v4: zoo.Server) -> None:
    with net.client.files(hosts=HOSTS, nsswitch_conf=NSSWITCH):
        code, told = document(net, "both.test", v4.port)
    first, *others = endings(told)
    assert first == ("baseline", "ipv6", "refused")
    assert others == [("baseline", "ipv4", "completed"), *4 * [("burst", "ipv4", "completed")]]
    assert (code, told["state"]) == (1, "warning")
    assert [told["target"][key] for key in ("host", "address", "source")] == ["both.test", "192.0.2.2", "192.0.2.1"]


def test_a_family_whose_syns_vanish_does_not_use_up_the_time_of_the_other(net: Namespace, v4: zoo.Server) -> None:
    with net.client.files(hosts=HOSTS, nsswitch_conf=NSSWITCH), net.server.nft("input", "meta nfproto ipv6 drop"):
        code, told = document(net, "both.test", v4.port, "-t", "6")
    first, *others = endings(told)
    assert first == ("baseline", "ipv6", "connect_timeout")
    assert others == [("baseline", "ipv4", "completed"), *4 * [("burst", "ipv4", "completed")]]
    assert (code, told["state"]) == (1, "warning")


@pytest.mark.parametrize(
    ("option", "code", "ending", "family"),
    [("-4", 0, "completed", "ipv4"), ("-6", 2, "refused", "ipv6"), ("-S192.0.2.11", 0, "completed", "ipv4")],
)
def test_an_option_chooses_the_family_of_a_name(
    net: Namespace, v4: zoo.Server, option: str, code: int, ending: str, family: str
) -> None:
    with net.client.files(hosts=HOSTS, nsswitch_conf=NSSWITCH):
        answered, told = document(net, "both.test", v4.port, option)
    assert answered == code
    assert endings(told) == [("baseline", family, ending), *4 * [("burst", family, ending)]]


@pytest.fixture
def ipv4_only() -> Iterator[tuple[Namespace, zoo.Server]]:
    """A monitor whose kernel has IPv6 switched off, as in many containers, and a server that listens on IPv4."""
    if reason := network.missing():
        pytest.skip(reason)
    with (
        Namespace() as made,
        zoo.server("openssh-9.2", address="0.0.0.0", prefix=made.server.prefix) as running,  # noqa: S104
    ):
        made.client.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1")
        yield made, running


def test_an_address_that_this_machine_cannot_use_hides_nothing_of_the_others(
    ipv4_only: tuple[Namespace, zoo.Server],
) -> None:
    net, v4 = ipv4_only
    with net.client.files(hosts=HOSTS, nsswitch_conf=NSSWITCH):
        code, told = document(net, "both.test", v4.port)
        closed_code, closed = document(net, "both.test", zoo.free_port())
        all_code, every = document(net, "both.test", v4.port, "--all-addresses")
        alone = probe(net, "2001:db8::2", v4.port)
    assert (code, told["counts"]["completed"]) == (0, 5)
    assert (closed_code, closed["diagnosis"]["cause"]) == (2, "not_listening")
    assert (closed["counts"]["refused"], closed["counts"]["unreachable"]) == (5, 1)
    assert all_code == 1
    fates = sorted((one["address"], one["ending"]) for one in asked(every))
    assert fates == [*5 * [("192.0.2.2", "completed")], ("2001:db8::2", "unreachable")]
    assert every["diagnosis"]["cause"] == "address_family"
    assert (alone.code, alone.line.partition(": ")[0]) == (3, "SSH UNKNOWN - cannot connect to 2001:db8::2")


def test_all_addresses_are_probed_and_listed(net: Namespace, server: zoo.Server, v4: zoo.Server) -> None:
    with net.client.files(hosts=HOSTS, nsswitch_conf=NSSWITCH):
        code, told = document(net, "both.test", server.port, "--all-addresses")
        broken_code, broken = document(net, "both.test", v4.port, "--all-addresses")
    places = {(h["address"], h["ending"]) for h in told["handshakes"]}
    assert (code, places) == (0, {("192.0.2.2", "completed"), ("2001:db8::2", "completed")})
    assert told["counts"]["completed"] == 10
    places = {(h["address"], h["ending"]) for h in broken["handshakes"]}
    assert (broken_code, places) == (1, {("192.0.2.2", "completed"), ("2001:db8::2", "refused")})
    assert Counter(family for _, family, _ in endings(broken)) == {"ipv4": 5, "ipv6": 5}


# --- paths that lose large packets


@pytest.mark.parametrize(
    ("hook", "rule"),
    [("input", "tcp dport {port} meta length > 1400 drop"), ("output", "tcp sport {port} meta length > 1100 drop")],
    ids=["ours", "the server's"],
)
def test_a_path_that_loses_large_packets_is_stalled_and_the_mtu_is_named_first(
    net: Namespace, hook: str, rule: str
) -> None:
    # A server of its own: what it cannot send it sends again, and it holds the connections meanwhile.
    with zoo.server("openssh-9.2", address="0.0.0.0", prefix=net.server.prefix) as server:  # noqa: S104
        # Segmentation offload shows nft one large packet where the wire has several of 1,500 bytes: the same to it.
        with net.server.nft(hook, rule.format(port=server.port)):
            code, told = document(net, "192.0.2.2", server.port, "-t", "4")
        assert (code, {h["ending"] for h in told["handshakes"]}) == (2, {"kexinit_timeout"})
        assert told["diagnosis"]["cause"] == "stalled"
        assert told["diagnosis"]["alternatives"][0].startswith("the path loses large packets")
        assert any("ping -c 3 -M do" in remedy for remedy in told["diagnosis"]["remedies"])


# --- resolvers


@pytest.mark.timing
def test_a_resolver_that_never_answers_ends_in_unknown_within_the_timeout(net: Namespace) -> None:
    silence = net.server.nft("input", "udp dport 53 drop")
    with silence, net.client.files(resolv_conf="nameserver 192.0.2.2\n", nsswitch_conf=NSSWITCH):
        begun = time.monotonic()
        answer = probe(net, "name.test", 22, "-t", "1.5")
        took = time.monotonic() - begun
    assert (answer.code, answer.line) == unknown("no answer from the resolver for name.test within 1.5 s")
    assert 1.5 <= took < 5  # the C library would wait for 10 s


def test_a_resolver_that_is_not_there_ends_in_unknown(net: Namespace) -> None:
    with net.client.files(resolv_conf="nameserver 192.0.2.2\n", nsswitch_conf=NSSWITCH):
        answer = probe(net, "name.test", 22)
    assert (answer.code, answer.line) == unknown("name.test does not resolve: temporary failure in name resolution")


# --- source addresses and scopes


@pytest.mark.parametrize(("host", "sources"), [("192.0.2.2", "ipv4"), ("2001:db8::2", "ipv6")])
def test_a_handshake_comes_from_the_source_address_asked_for(
    net: Namespace, server: zoo.Server, host: str, sources: str
) -> None:
    for source in getattr(net.client, sources):
        code, told = document(net, host, server.port, "-S", source)
        assert (code, told["counts"]["completed"], told["target"]["source"]) == (0, 5, source)
        assert {handshake["source"] for handshake in told["handshakes"]} == {source}
        for handshake in told["handshakes"]:
            said = f"from {source} port {handshake['source_port']}:11:"
            wait_until(lambda: said in server.log())  # noqa: B023 - sshd's children write after we have gone


def test_the_second_source_is_a_second_witness_of_a_limit_per_source(net: Namespace) -> None:
    options, sources = {"PerSourceMaxStartups": "3"}, net.client.ipv4
    with zoo.server("openssh-9.2", address="192.0.2.2", prefix=net.server.prefix, options=options) as limited:
        code, told = document(net, "192.0.2.2", limited.port, "-S", sources[0], "-S", sources[1])
    assert (code, told["state"]) == (1, "warning")
    assert {handshake["source"] for handshake in asked(told)} == {sources[0]}
    rechecks = {(h["source"], h["ending"]) for h in told["handshakes"] if h["role"] == "recheck"}
    assert rechecks == {(source, "completed") for source in sources}


@pytest.mark.parametrize(("host", "source"), [("192.0.2.2", "192.0.2.77"), ("2001:db8::2", "2001:db8::77")])
def test_a_source_address_that_is_not_ours_is_unknown(
    net: Namespace, server: zoo.Server, host: str, source: str
) -> None:
    answer = probe(net, host, server.port, "-S", source)
    sentence = f"cannot use the source address {source}: Cannot assign requested address"
    assert (answer.code, answer.line) == unknown(sentence)


@pytest.mark.parametrize(
    ("host", "more"),
    [(f"fe80::2%{LINK}", ()), (f"[fe80::2%{LINK}]", ()), (f"fe80::2%{LINK}", ("-S", f"fe80::1%{LINK}"))],
)
def test_a_link_local_address_is_probed_through_its_interface(
    net: Namespace, server: zoo.Server, host: str, more: tuple[str, ...]
) -> None:
    code, told = document(net, host, server.port, *more)
    assert (code, told["counts"]["completed"], told["target"]["source"]) == (0, 5, "fe80::1")
    assert {handshake["address"] for handshake in told["handshakes"]} == {f"fe80::2%{LINK}"}


def test_a_link_local_address_without_its_interface_is_unknown(net: Namespace, server: zoo.Server) -> None:
    answer = probe(net, "fe80::2", server.port)
    sentence = "cannot connect to fe80::2: the address needs an interface (%eth0) or the route discards it (EINVAL)"
    assert (answer.code, answer.line) == unknown(sentence)
