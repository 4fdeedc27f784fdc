"""Nothing is left behind: no descriptor by the probe, no namespace by its tests."""

import json
from pathlib import Path

import pytest

from tests.lab import network, zoo
from tests.lab.network import Namespace

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("complete_zoo", "namespaces")]


@pytest.fixture(scope="module")
def namespaces() -> None:
    if reason := network.missing():
        pytest.skip(reason)


DESCRIPTORS = """
import json, os, sys
from check_ssh_exchange.ending import Depth
from check_ssh_exchange.measure import Plan, Target, measure
from check_ssh_exchange.plan import Login

def open_files():
    return sorted((number, os.readlink(f"/proc/self/fd/{number}")) for number in os.listdir("/proc/self/fd")
                  if os.path.exists(f"/proc/self/fd/{number}"))

port, user, identity = int(sys.argv[1]), *sys.argv[2:]
login = Plan(depth=Depth.LOGIN, login=Login(user, identity), handshakes=2)
absent = Plan(depth=Depth.LOGIN, login=Login(user, "/nonexistent"))
quick = Plan(timeout=0.5)
cases = [("192.0.2.2", port, Plan()), ("2001:db8::2", port, Plan(depth=Depth.BANNER)), ("192.0.2.2", port, login),
         ("192.0.2.2", port, absent), ("192.0.2.2", port, Plan(sources=("192.0.2.77",))), ("192.0.2.2", 1, Plan()),
         ("198.51.100.9", 22, Plan()), ("192.0.2.99", 22, quick), ("192.0.2.12", port, Plan())]
seen = []
for turn in range(2):
    for host, number, plan in cases:
        report = measure(Target(host, number), plan)
        seen.append(sorted({str(h.ending) for h in report.handshakes}) or ["fault"])
    if turn == 0:
        before = open_files()
print(json.dumps([seen[-len(cases):], before == open_files(), len(before)]))
"""


def test_measuring_again_leaves_the_descriptors_as_they_were() -> None:
    rejecting = "ip daddr 192.0.2.12 reject"
    with (
        Namespace() as net,
        zoo.server("openssh-9.2", address=["192.0.2.2", "2001:db8::2"], prefix=net.server.prefix) as server,
        net.server.nft("input", rejecting),
    ):
        seen, same, count = json.loads(
            net.client.python(DESCRIPTORS, str(server.port), server.user, str(server.identity))
        )
    # Unreachable once the kernel has given up resolving that neighbour, which may be in the middle of a run.
    no_neighbour = {*seen.pop(7)}
    assert no_neighbour
    assert no_neighbour <= {"connect_timeout", "unreachable"}
    assert seen == [["completed"], ["completed"], ["completed"], ["fault"], ["fault"], ["refused"], ["unreachable"],
                    ["rejected"]]  # fmt: skip
    assert same
    assert count == 3  # standard input, output and error


def test_namespaces_are_apart_and_gone_afterwards_even_after_a_failure() -> None:
    names: list[str] = []

    def fail() -> None:
        with Namespace() as first, Namespace() as second, second.client.files(hosts="192.0.2.2 name.test\n"):
            names.extend(host.name for made in (first, second) for host in (made.client, made.server))
            assert [name for name in names if not Path("/run/netns", name).exists()] == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(set(names)) == 4
    assert [name for name in names if Path("/run/netns", name).exists() or Path("/etc/netns", name).exists()] == []
