"""contrib/icinga2/distributed, byte for byte: a master and two satellites, put in place by the lines of the README."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.lab import daemons, icinga_lan
from tests.lab.icinga import UNITS, kept
from tests.lab.icinga_lan import ADDRESSES, SERVERS
from tests.lab.icinga_nodes import Running, Site, blocks, need_nodes, warnings
from tests.lab.monitored import parsed

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

MASTER, A, B = ADDRESSES
CURL = Path("/usr/bin/curl")
ZONES = {MASTER: "master", A: "site-a", B: "site-b"}
FROM_A, FROM_B = (f"bastion.example!ssh-exchange from {satellite}" for satellite in (A, B))
SERVICES = {"web-a.example!ssh-exchange": A, "web-b.example!ssh-exchange": B, FROM_A: A, FROM_B: B}
OK = r"SSH OK - OpenSSH_9\.2p1 \(protocol 2\.0\), 5/5 handshakes, banner [\d.]+ ms"
BANNED = r"SSH CRITICAL - 5 of 5 handshakes rejected by ICMP: our address is banned by a firewall"
BAN = ("-s", ADDRESSES[A], "-d", SERVERS["bastion.example"], "-p", "tcp", "--dport", "22", "-j", "REJECT")


class Distributed(NamedTuple):
    """The nodes at work, the master's services after their first check, and what the nodes' shells printed."""

    running: Mapping[str, Running]
    services: Mapping[str, dict[str, Any]]
    printed: Mapping[str, str]
    asked: str  # what the README's last command printed on the master


@pytest.fixture(scope="module")
def distributed(plugin: daemons.Installation) -> Iterator[Distributed]:
    need_nodes({CURL: "curl"})
    if reason := icinga_lan.missing():
        pytest.skip(reason)
    first, satellite, master, last = blocks()
    lines = {A: satellite, B: satellite.replace("satellite-a", "satellite-b"), MASTER: master}
    site = Site(plugin, "distributed")
    nodes, running, printed = {}, {}, {}
    with ExitStack() as stack:
        lan = stack.enter_context(icinga_lan.lan())
        stack.enter_context(lan.servers.rule("iptables", "INPUT", *BAN))
        for name, script in lines.items():
            nodes[name] = site.node(name, ZONES[name], lan.nodes[name])
            for part in (first, script) if name == MASTER else (script,):
                done = nodes[name].shell(part)
                printed[name] = done.stdout + done.stderr
                assert done.returncode == 0, printed[name]
            running[name] = stack.enter_context(nodes[name].started())
        for name in (A, B):
            running[name].follow(MASTER, "ssh_exchange")
        # Each its own: in its first minute a satellite heeds no wish of its master for an earlier check.
        for daemon in running.values():
            daemon.api.check_now("Host")
            daemon.api.check_now("Service")
        running[MASTER].told("Host", SERVERS)
        services = running[MASTER].told("Service", SERVICES)
        asked = nodes[MASTER].shell(last.replace("USER:PASSWORD", f"test:{site.password}"))
        yield Distributed(running, services, printed, asked.stdout)


def result(distributed: Distributed, service: str) -> dict[str, Any]:
    found: dict[str, Any] = distributed.services[service]["last_check_result"]
    return found


def test_icinga_accepts_the_files_of_every_node(distributed: Distributed) -> None:
    warned = {name: warnings(text) for name, text in distributed.printed.items()}
    assert (warned[A], warned[B]) == ([], [])
    (only,) = warned[MASTER]
    assert re.match("warning/ApplyRule: Apply rule 'sshd-local' .* does not match anywhere!", only)


def test_each_satellite_gets_what_is_its_own_and_what_is_everyones(distributed: Distributed) -> None:
    for name, host in ((A, "web-a.example"), (B, "web-b.example")):
        api = distributed.running[name].api
        assert [found["name"] for found in api.get("objects/hosts")] == [host]
        assert [found["__name"] for found in api.get("objects/services")] == [f"{host}!ssh-exchange"]
        assert [found["__name"].split("!")[:2] for found in api.get("objects/dependencies")] == [[host, "ssh-exchange"]]
        assert {found["name"] for found in api.get("objects/checkcommands")} >= {"ssh_exchange", "sshd_local"}


def test_the_master_has_every_result_of_the_satellite_that_made_it(distributed: Distributed) -> None:
    assert {found["__name"] for found in distributed.running[MASTER].api.get("objects/services")} == {*SERVICES}
    assert {service: result(distributed, service)["check_source"] for service in SERVICES} == SERVICES
    hosts = {found["name"]: found for found in distributed.running[MASTER].api.get("objects/hosts")}
    sources = {name: found["last_check_result"]["check_source"] for name, found in hosts.items()}
    assert sources == {"bastion.example": MASTER, "web-a.example": A, "web-b.example": B}
    assert {found["state"] for found in hosts.values()} == {0}
    assert {*re.findall(r'"check_source":"([^"]*)"', distributed.asked)} == {A, B}


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_banned_from_one_site_is_served_from_the_other(distributed: Distributed, service: str) -> None:
    said = result(distributed, service)
    state, line = (2, BANNED) if service == FROM_A else (0, OK)
    assert re.fullmatch(line, said["output"].split("\n")[0].rstrip(), re.ASCII), said["output"]
    assert (said["exit_status"], distributed.services[service]["state"]) == (state, state)


@pytest.mark.parametrize("service", SERVICES)
def test_the_master_reads_every_value_of_the_perfdata(distributed: Distributed, service: str) -> None:
    printed = result(distributed, service)["performance_data"]
    items = parsed(" ".join(printed))
    assert items["completed"].value == ("0" if service == FROM_A else "5")
    values = distributed.running[MASTER].api.perfdata(printed)
    assert [value["label"] for value in values] == list(items)
    for value, item in zip(values, items.values(), strict=True):
        assert (value["value"], value["unit"]) == (float(item.value), UNITS[item.unit])
        assert (value["warn"], value["crit"]) == (kept(item.warn), kept(item.crit))
