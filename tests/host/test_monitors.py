"""A monitor's address, however it is spelled, is one address to every item."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.hosts_access import DENY
from check_ssh_exchange.host.ip_address import plain
from check_ssh_exchange.host.judge import Outcome, judge
from check_ssh_exchange.host.options import parse
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.status_line import rights
from tests.host import asked
from tests.host.by_hand import Host

SPELLINGS = {
    "192.0.2.9": ("192.0.2.9", "::ffff:192.0.2.9", "::FFFF:c000:209"),
    "2001:db8::9": ("2001:db8::9", "2001:DB8::9", "2001:0db8:0:0::0009", "2001:db8::9%eth0"),
}
SPELLED = [(address, one) for address, spellings in SPELLINGS.items() for one in spellings]


def host(**more: Any) -> Host:
    """A host that has the second address itself, and turns the first away in every way."""
    made = asked.host(**more)
    program = "/usr/sbin/sshd"
    made.document["stats"][f"contains libwrap.so:{program}"] = {"found": True}
    denied = "sshd: 192.0.2.9 [2001:db8::9]\n"
    made.document["files"][DENY] = {"text": denied, "size": len(denied)}
    made.file("/var/lib/sshguard/blacklist.db", "1800000000|100|4|192.0.2.9\n1800000000|100|4|2001:db8::9\n")
    made.file("/proc/self/net/if_inet6", "20010db8000000000000000000000009 02 40 00 80 eth0\n")
    made.startup(20, 10, "192.0.2.9")
    return made


def about(*monitors: str) -> About:
    words = [word for one in monitors for word in ("--monitor", one)]
    return parse(words, lambda _: None, 0).about


def sentences(outcome: Outcome) -> list[str]:
    return [problem.sentence for one in outcome.judged for problem in one.problems]


@pytest.mark.parametrize(("address", "spelling"), SPELLED)
def test_every_item_says_the_same_of_each_spelling(address: str, spelling: str) -> None:
    seen = host().seen
    outcome = judge(seen, about(spelling))
    assert outcome.judged == judge(seen, About((address,))).judged
    assert f"the monitor {address} is banned by sshguard (/var/lib/sshguard/blacklist.db)" in sentences(outcome)
    assert any(f"denies the monitor {address}" in sentence for sentence in sentences(outcome))


def test_each_address_counts_once() -> None:
    assert about(*(spelling for _, spelling in SPELLED)).monitors == tuple(SPELLINGS)


@pytest.mark.parametrize(("address", "spelling"), SPELLED)
def test_a_snapshot_for_another_spelling_is_for_this_monitor(address: str, spelling: str) -> None:
    seen = host(monitors=[spelling]).seen
    assert seen.monitors == (address,)
    assert not [right for right in rights(judge(seen, about(spelling))) if "--monitor" in right]


@pytest.mark.parametrize("monitors", [None, "192.0.2.9", 5, {"192.0.2.9": 1}])
def test_a_hostile_list_of_monitors_names_none(monitors: object) -> None:
    assert Snapshot({"monitors": monitors}).monitors == ()


@given(st.ip_addresses())
def test_an_address_is_spelled_as_python_does(address: "ipaddress.IPv4Address | ipaddress.IPv6Address") -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    assert plain(str(address)) == plain(address.exploded.upper()) == str(mapped or address)


@pytest.mark.parametrize("text", ["", "web", "192.0.2", "1.2.3.4.5", "%eth0", "\0|"])
def test_what_is_no_address_stays(text: str) -> None:
    assert plain(text) == text
