"""The addresses of the host itself, in the network of one of its processes."""

import pytest

from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.door import Door
from check_ssh_exchange.host.findings import addresses
from check_ssh_exchange.host.own_addresses import own_addresses
from check_ssh_exchange.host.snapshot import Snapshot
from tests.host.by_hand import Host

# /proc/net/fib_trie of Linux 6.1, shortened; if_inet6 has its digits without colons.
TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.7
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
  |-- 127.0.0.1
     /32 host LOCAL
"""
INET6 = "20010db8000000000000000000000007 02 40 00 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n"


@pytest.mark.parametrize("process", [10, "self"])
def test_each_network_has_its_own(process: "int | str") -> None:
    made = Host()
    made.files({f"/proc/{process}/net/fib_trie": TRIE, f"/proc/{process}/net/if_inet6": INET6})
    assert own_addresses(made.seen, process) == {"192.0.2.7", "127.0.0.1", "2001:db8::7", "::1"}
    assert own_addresses(made.seen, 11) == set()


def test_what_is_no_address_is_left_out() -> None:
    made = Host()
    made.sshd(10)
    made.files({
        "/proc/10/net/fib_trie": "  |-- \0\x1b|\n  /32 host LOCAL\n  /32 host LOCAL\n  |-- 1.2.3\n  /32 host LOCAL\n",
        "/proc/10/net/if_inet6": "g\n\n" + "1" * 33 + "\n",
    })  # fmt: skip
    made.command("configuration of 10", "listenaddress 0.0.0.0:22\nlistenaddress [::]:22\n")
    assert own_addresses(made.seen, 10) == set()
    assert addresses.find(made.seen, About()).problems == ()


def test_this_host_has_loopback() -> None:
    door = Door()
    for name in ("fib_trie", "if_inet6"):
        door.read(f"/proc/self/net/{name}")
    assert "127.0.0.1" in own_addresses(Snapshot(door.document))
