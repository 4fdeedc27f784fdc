"""Nagios and NRPE with the shipped files on four servers: state, output and perfdata; and both plugins by hand."""

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.lab import daemons, nagios, nrpe, sudoers
from tests.lab.daemons import Printed
from tests.lab.four_servers import CLIENT, Expected, Monitored, Site, four_servers, missing
from tests.lab.front_door import PLUGIN, check
from tests.lab.monitored import need, parsed

pytestmark = pytest.mark.real

LOCAL = (sys.executable, "-m", "check_ssh_exchange.host")
NAMES = ("healthy", "throttled", "banned", "broken")
FILES = ("commands.cfg", "services.cfg", "sshd_local_nrpe.cfg")
SHIPPED_OPTIONS = ["-v", "--sudo", "--monitor", CLIENT]  # of the command in contrib/nrpe
Stored = dict[nagios.Key, nagios.Fields]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    if reason := missing():
        pytest.skip(reason)
    with four_servers() as made:
        yield made


def assert_is(expected: Expected, code: int, printed: Printed) -> None:
    assert code == expected.state, printed.out
    assert re.fullmatch(expected.line, printed.text, re.ASCII), printed.out
    assert set(expected.labels) <= set(parsed(printed.perfdata))


@pytest.mark.parametrize("name", NAMES)
def test_both_plugins_say_by_hand_what_is_expected_of_a_server(site: Site, name: str) -> None:
    server = site.servers[name]
    port = str(server.port)
    remote = check("-H", server.address, "-p", port, command=(*site.client.prefix, *PLUGIN))
    local = check("-p", port, "--monitor", CLIENT, command=(*server.host.prefix, *LOCAL))
    for expected, answer in ((server.remote, remote), (server.local, local)):
        assert_is(expected, answer.code, Printed(answer.out))
        assert answer.err == ""


# --- NRPE on each of them, and Nagios on the monitoring host


def on_port(text: str, port: int) -> str:
    """Return the command file of contrib/nrpe for a host on which the sshd of interest listens at this port."""
    return re.sub(r"^(command\[check_sshd_local\w*\]=.*)$", rf"\1 -p {port}", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def agents(site: Site, plugin: daemons.Installation) -> Iterator[Site]:
    """Run NRPE on every server; return the site."""
    need({**nrpe.PACKAGES, **sudoers.PACKAGES})
    with ExitStack() as stack:
        for server in site.servers.values():
            text = on_port(plugin.definition(nrpe.DEFINITION), server.port)
            prefix = sudoers.prefix(plugin, inside=server.host.prefix)
            place = (server.address, nrpe.PORT)
            stack.enter_context(nrpe.started(plugin, f"nrpe-{server.name}", text, place, CLIENT, prefix=prefix))
        yield site


@pytest.mark.parametrize("name", NAMES)
def test_nrpe_hands_on_what_the_host_itself_says(agents: Site, plugin: daemons.Installation, name: str) -> None:
    server = agents.servers[name]
    words = nagios.expanded("check_sshd_local_by_nrpe", server.address)
    code, output = nrpe.ask([*agents.client.prefix, *words])
    assert_is(server.local, code, Printed(output))
    assert "note: looked at as uid 0" in output  # by sudo
    assert output == plugin.printed([*SHIPPED_OPTIONS, "-p", str(server.port)], "check_sshd_local").out


@pytest.fixture(scope="module")
def stored(agents: Site, plugin: daemons.Installation) -> Iterator[Stored]:
    """Run Nagios until it has checked every service of every server once."""
    need(nagios.PACKAGES)
    hosts = [
        {
            "host_name": server.name,
            "address": server.address,
            "hostgroups": "+sshd-local-nrpe",
            "_SSH_PORT": server.port,
            "active_checks_enabled": 0,
        }
        for server in agents.servers.values()
    ]
    # A minute of theirs has 600 s here: nothing is checked twice.
    made = nagios.configured(
        plugin, "nagios", [*nagios.shipped(plugin, *FILES), nagios.site(*hosts)], interval_length=600
    )
    keys = [(name, service) for name in NAMES for service in ("ssh-exchange", "nrpe", "sshd-local")]
    with nagios.started(made, agents.client.prefix) as running:
        yield running.await_results(keys)


def assert_stores(fields: nagios.Fields, expected: Expected) -> None:
    """Nagios has the state, the whole text and the perfdata."""
    assert int(fields["current_state"]) == expected.state
    assert re.fullmatch(expected.line, fields["plugin_output"], re.ASCII), fields
    assert set(expected.labels) <= set(parsed(fields["performance_data"]))


@pytest.mark.parametrize("name", NAMES)
def test_nagios_stores_what_the_server_is_from_here(
    stored: Stored, plugin: daemons.Installation, site: Site, name: str
) -> None:
    server, fields = site.servers[name], stored[name, "ssh-exchange"]
    assert_stores(fields, server.remote)
    state = plugin.home / "state"
    printed = plugin.printed(["-v", "-H", server.address, "-p", str(server.port), "--state-file", str(state)])
    assert fields["performance_data"] == printed.perfdata
    assert_is(server.remote, int(fields["current_state"]), printed)


@pytest.mark.parametrize("name", NAMES)
def test_nagios_stores_what_the_server_says_of_itself(stored: Stored, site: Site, name: str) -> None:
    server: Monitored = site.servers[name]
    assert_stores(stored[name, "sshd-local"], server.local)
    assert "looked at as uid 0" in stored[name, "sshd-local"]["long_plugin_output"]
    agent = stored[name, "nrpe"]
    assert (agent["current_state"], agent["plugin_output"][:6]) == ("0", "NRPE v")
