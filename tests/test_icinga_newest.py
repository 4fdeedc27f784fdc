"""The shipped files run by Debian's newest Icinga and by this machine's, against four servers with an agent on each."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest

from tests.lab import daemons, four_servers, icinga_newest
from tests.lab.four_servers import CLIENT, Expected, Monitored
from tests.lab.icinga import UNITS, kept
from tests.lab.icinga_nodes import OWN, Node, Release, Running, Site, blocks, need_nodes
from tests.lab.monitored import parsed

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

MASTER, ZONE, GLOBAL = "monitor.example", "master", "global-templates"
NAMES = list(four_servers.ADDRESSES)
COLLECTED = "throttled"  # what is wrong with it, any user can see
PROGRAMS = {"ssh-exchange": "remote", "sshd-local": "local"}  # service -> what is expected of it
SNAPSHOT = "/var/lib/icinga2/snapshot.json"  # where user nagios may read it; the timer writes below /run
GONE = "192.0.2.99"  # nobody has this address until a test takes it


class Monitoring(NamedTuple):
    """The master at work, and its services after their first check."""

    site: four_servers.Site
    master: Running
    services: Mapping[str, dict[str, Any]]


@pytest.fixture(scope="module", params=icinga_newest.RELEASES)
def release(request: pytest.FixtureRequest, plugin: daemons.Installation) -> Release:
    return icinga_newest.chosen(request.param, plugin)


@pytest.fixture(scope="module")
def servers() -> Iterator[four_servers.Site]:
    need_nodes()
    if reason := four_servers.missing():
        pytest.skip(reason)
    with four_servers.four_servers() as made:
        yield made


@pytest.fixture(scope="module")
def monitoring(plugin: daemons.Installation, servers: four_servers.Site, release: Release) -> Iterator[Monitoring]:
    site = Site(plugin, "own" if release is OWN else "newest", release)
    agents = []
    with ExitStack() as stack:
        master = site.node(MASTER, ZONE, servers.client)
        furnish(master, servers)
        running = stack.enter_context(master.started())
        running.api.check_now("Host")
        for server in servers.servers.values():  # they connect to the master, which only listens
            agent = site.node(agent_of(server), agent_of(server), server.host)
            agent.write(zones(f'host = "{CLIENT}"', member(server)), "zones.conf")
            agents.append(stack.enter_context(agent.started()))
            if server.name == COLLECTED:
                assert agent.shell(f"/usr/lib/nagios/plugins/check_sshd_local --collect >{SNAPSHOT}").returncode == 0
        for follower in agents:
            follower.follow(MASTER, "sshd_local")
        running.told("Host", [*NAMES, "gone"])
        wanted = [*(f"{name}!{service}" for name in NAMES for service in PROGRAMS), "collected!sshd-local"]
        yield Monitoring(servers, running, running.checked("Service", wanted))


def furnish(master: Node, servers: four_servers.Site) -> None:
    """Put the shipped files where the README has them put, and the hosts where only the master has them."""
    done = master.shell(blocks()[0])
    assert done.returncode == 0, done.stdout + done.stderr
    master.write(zones("", *map(member, servers.servers.values())), "zones.conf")
    hosts = [*map(host, servers.servers.values()), collected(servers.servers[COLLECTED])]
    gone = f'object Host "gone" {{ check_command = "hostalive"; address = "{GONE}"; max_check_attempts = 1; '
    hosts.append(gone + 'vars.os = "Linux"; vars.ping_packets = 1; vars.ping_timeout = 2 }\n')
    master.write("".join(hosts), "zones.d", ZONE, "hosts.conf")


def agent_of(server: Monitored) -> str:
    return f"{server.name}.example"


def endpoint(name: str, settings: str) -> str:
    return f'object Endpoint "{name}" {{ {settings} }}\n'


def zone(name: str, member: str, settings: str = "") -> str:
    return f'object Zone "{name}" {{ endpoints = [ "{member}" ]; {settings} }}\n'


def member(server: Monitored) -> str:
    name = agent_of(server)
    return endpoint(name, "") + zone(name, name, f'parent = "{ZONE}"')


def zones(of_the_master: str, *members: str) -> str:
    everywhere = f'object Zone "{GLOBAL}" {{ global = true }}\n'
    return "".join((endpoint(MASTER, of_the_master), zone(ZONE, MASTER), *members, everywhere))


def host(server: Monitored) -> str:
    """A host as hosts.conf shows one."""
    return f"""object Host "{server.name}" {{
	check_command = "hostalive"
	address = "{server.address}"
	vars.os = "Linux"
	vars.agent_endpoint = "{agent_of(server)}"
	vars.sshd_local_monitor = [ "{CLIENT}" ]
	vars.sshd_local_port = {server.port}
	vars.ssh_exchange_port = {server.port}
}}
"""


def collected(server: Monitored) -> str:
    """A host whose agent judges what root has collected, as hosts.conf shows one."""
    return f"""object Host "collected" {{
	check_command = "hostalive"
	address = "{server.address}"
	vars.agent_endpoint = "{agent_of(server)}"
	vars.sshd_local_snapshot = "{SNAPSHOT}"
	vars.sshd_local_critical = [ "snapshot_age=300" ]
	vars.sshd_local_port = {server.port}
}}
"""


def expected(monitoring: Monitoring, name: str, service: str) -> Expected:
    found: Expected = getattr(monitoring.site.servers[name], PROGRAMS[service])
    return found


def result(monitoring: Monitoring, name: str, service: str) -> dict[str, Any]:
    found: dict[str, Any] = monitoring.services[f"{name}!{service}"]["last_check_result"]
    return found


@pytest.mark.parametrize("service", PROGRAMS)
@pytest.mark.parametrize("name", NAMES)
def test_icinga_has_the_state_and_the_line(monitoring: Monitoring, name: str, service: str) -> None:
    said, wanted = result(monitoring, name, service), expected(monitoring, name, service)
    line = said["output"].split("\n")[0].rstrip()
    assert re.fullmatch(wanted.line, line, re.ASCII), said["output"]
    assert (said["exit_status"], said["state"]) == (wanted.state, wanted.state)
    assert monitoring.services[f"{name}!{service}"]["state"] == wanted.state


@pytest.mark.parametrize("service", PROGRAMS)
@pytest.mark.parametrize("name", NAMES)
def test_icinga_reads_every_value_of_the_perfdata(monitoring: Monitoring, name: str, service: str) -> None:
    printed = result(monitoring, name, service)["performance_data"]
    items = parsed(" ".join(printed))
    assert set(expected(monitoring, name, service).labels) <= set(items)
    values = monitoring.master.api.perfdata(printed)
    assert [value["label"] for value in values] == list(items)
    for value, item in zip(values, items.values(), strict=True):
        assert (value["value"], value["unit"], value["counter"]) == (float(item.value), UNITS[item.unit], False)
        read = [value[key] for key in ("warn", "crit", "min", "max")]
        assert read == [kept(text) for text in (item.warn, item.crit, item.low, item.high)]


@pytest.mark.parametrize("name", NAMES)
def test_the_master_shakes_hands_and_the_agent_looks_at_its_host(monitoring: Monitoring, name: str) -> None:
    remote, local = (result(monitoring, name, service) for service in PROGRAMS)
    server = monitoring.site.servers[name]
    assert (remote["check_source"], local["check_source"]) == (MASTER, agent_of(server))
    given = {
        "--hostname": server.address,
        "--port": str(server.port),
        "--state-file": "/var/lib/icinga2/check_ssh_exchange",
    }
    words = remote["command"][1:]
    assert {word: words[words.index(word) + 1] for word in given} == given
    state = monitoring.master.log.parent / "data" / "check_ssh_exchange"
    assert any(server.address in file.name for file in state.iterdir())


def test_the_agent_judges_a_snapshot_without_sudo(monitoring: Monitoring) -> None:
    said, wanted = result(monitoring, "collected", "sshd-local"), monitoring.site.servers[COLLECTED].local
    assert re.fullmatch(wanted.line, said["output"].split("\n")[0].rstrip(), re.ASCII), said["output"]
    given = ["--critical", "snapshot_age=300", "--port", str(monitoring.site.servers[COLLECTED].port)]
    assert said["command"][1:] == [*given, "--snapshot", SNAPSHOT, "-v"]


def test_a_host_that_is_down_is_not_checked_until_it_is_up(monitoring: Monitoring) -> None:
    master, name = monitoring.master, "gone!ssh-exchange"

    def service() -> dict[str, Any]:
        return master.api.get(f"objects/services/{name}")[0]

    assert master.api.get("objects/hosts/gone")[0]["state"] == 1
    asked = master.api.check_now("Service", [name], force=False)
    master.until(lambda: service()["next_check"] > asked or None)  # Icinga puts off what a dependency forbids
    assert service()["last_check_result"] is None
    client = monitoring.site.client
    client.run("ip", "address", "add", f"{GONE}/32", "dev", "lo")
    try:
        up = time.time()
        master.api.check_now("Host", ["gone"])
        master.until(lambda: master.api.get("objects/hosts/gone")[0]["state"] == 0 or None)
        master.api.check_now("Service", [name], force=False)
        said = master.until(lambda: service()["last_check_result"])
        assert said["execution_start"] > up
        assert said["output"].startswith("SSH CRITICAL - 5 of 5 handshakes refused: nothing listens on that port")
    finally:
        client.run("ip", "address", "delete", f"{GONE}/32", "dev", "lo")
