"""Every file of contrib/icinga2 is accepted by this machine's Icinga and by Debian's newest, and means what it says."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ssh_exchange_exporter.flags import PORT
from tests.lab import daemons, icinga_lan, icinga_newest, network
from tests.lab.icinga_nodes import FILES, OWN, Node, Release, Site, blocks, warnings
from tests.lab.network import Host

pytestmark = pytest.mark.real

UNMATCHED = r"warning/ApplyRule: Apply rule '{}' .* does not match anywhere!"
STATE_FILE = "/var/lib/icinga2/check_ssh_exchange"
SITE = """const SshExchangeRunbook = "https://monitor.example/runbook/"
"""
# What a host says of itself is not hidden by what the services set.
HOSTS = """
object Host "own.example" {
	check_command = "hostalive"
	address6 = "2001:db8::30"
	vars.os = "Linux"
	vars.agent_endpoint = NodeName
	vars.ssh_exchange_state_file = "/srv/state"
	vars.sshd_local_sudo = false
}
object Host "bare.example" { check_command = "hostalive"; address = "192.0.2.31" }
object Host "windows.example" { check_command = "hostalive"; address = "192.0.2.32"; vars.os = "Windows" }
object Host "nowhere.example" { check_command = "dummy"; vars.os = "Linux" }
"""


@pytest.fixture(scope="module", params=icinga_newest.RELEASES)
def site(request: pytest.FixtureRequest, plugin: daemons.Installation) -> Site:
    release: Release = icinga_newest.chosen(request.param, plugin)
    return Site(plugin, f"files-{request.param}", release)


def put(node: Node, *names: str) -> None:
    for name in names:
        node.put(FILES / name, "zones.d", "master")


def test_the_newest_is_newer(site: Site) -> None:
    done = site.fresh_node("version.example", "master").shell("icinga2 --version")
    (major, minor) = map(int, re.findall(r"version: r(\d+)\.(\d+)", done.stdout)[0])
    assert (major, minor) >= (2, 13)
    if site.release is not OWN:
        assert (major, minor) >= (2, 16)


def test_the_lines_of_the_readme_work_on_a_node_as_the_package_leaves_it(site: Site) -> None:
    node = site.fresh_node("fresh.example", "master")
    done = node.shell(blocks()[0])
    assert done.returncode == 0, done.stdout + done.stderr
    (only,) = warnings(done.stdout + done.stderr)
    assert re.match(UNMATCHED.format("sshd-local"), only)
    assert (node.home / "data/check_ssh_exchange").owner() == daemons.USER
    commands = node.etc / "zones.d/global-templates/ssh_exchange/commands.conf"
    commands.write_text(commands.read_text().replace("repeat_key", "repeat_keys", 1))
    assert node.shell("icinga2 daemon -C").returncode == 1


def test_the_distributed_files_are_accepted(site: Site) -> None:
    first, satellite, master, _ = blocks()
    for name, zone in (("satellite-a", "site-a"), ("satellite-b", "site-b")):
        done = site.node(f"{name}.example", zone).shell(satellite.replace("satellite-a", name))
        assert (done.returncode, warnings(done.stdout + done.stderr)) == (0, [])
    node = site.node("master.example", "master")
    assert node.shell(first).returncode == 0
    done = node.shell(master)
    (only,) = warnings(done.stdout + done.stderr)
    assert re.match(UNMATCHED.format("sshd-local"), only)
    assert done.returncode == 0
    counted = dict(map(reversed, re.findall(r"Instantiated (\d+) (\w+)", done.stdout)))
    assert {name: counted[name] for name in ("Hosts", "Services", "Dependencies")} == {
        "Hosts": "3", "Services": "4", "Dependencies": "4",
    }  # fmt: skip


@pytest.fixture(scope="module")
def nowhere() -> Iterator[Host]:
    """A network of nothing but loopback: what runs there reaches none of the examples' addresses."""
    if reason := network.missing():
        pytest.skip(reason)
    with icinga_lan.namespace("nowhere", "127.0.0.1") as made:
        yield made


@pytest.fixture(scope="module")
def services(site: Site, nowhere: Host) -> Mapping[str, dict[str, Any]]:
    """The services of the example hosts and of ours, as Icinga made them."""
    node = site.node("examples.example", "master", nowhere)
    put(node, "commands.conf", "services.conf", "hosts.conf")
    node.write(HOSTS, "zones.d", "master", "ours.conf")
    code, output = node.validate()
    assert (code, warnings(output)) == (0, [])
    with node.started() as running:
        return {found["__name"]: found for found in running.api.get("objects/services")}


def test_the_example_hosts_have_the_services_that_they_ask_for(services: Mapping[str, dict[str, Any]]) -> None:
    remote = {f"{name}.example!ssh-exchange" for name in ("web", "git", "bastion", "db", "mail", "own")}
    assert {*services} == remote | {f"{name}.example!sshd-local" for name in ("db", "mail", "own")}
    assert services["db.example!sshd-local"]["command_endpoint"] == "db.example"
    for name, found in services.items():
        assert (found["check_interval"], found["retry_interval"]) == (60, 60), name
        assert found["notes_url"] == f"http://127.0.0.1:{PORT}/runbook/"


def test_what_a_host_says_is_not_hidden(services: Mapping[str, dict[str, Any]]) -> None:
    variables = {name: found["vars"] or {} for name, found in services.items()}
    assert variables["web.example!ssh-exchange"] == {"ssh_exchange_state_file": STATE_FILE}
    assert variables["own.example!ssh-exchange"] == {}
    assert variables["db.example!sshd-local"] == {"sshd_local_sudo": True}
    assert (variables["mail.example!sshd-local"], variables["own.example!sshd-local"]) == ({}, {})


def test_constants_name_another_place_for_the_runbook(site: Site, nowhere: Host) -> None:
    node = site.node("elsewhere.example", "master", nowhere)
    put(node, "commands.conf", "services.conf")
    node.write(
        'object Host "web" { check_command = "dummy"; address = "192.0.2.1"; vars.os = "Linux" }', "conf.d", "web.conf"
    )
    constants = (node.etc / "constants.conf").read_text()
    node.write(constants + SITE, "constants.conf")
    with node.started() as running:
        (found,) = running.api.get("objects/services")
    assert found["notes_url"] == "https://monitor.example/runbook/"
