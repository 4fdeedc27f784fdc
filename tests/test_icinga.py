"""The plugin under Icinga 2: what the API has is what it said, and the CheckCommand fits it."""

import argparse
import re
from collections.abc import Iterator
from typing import Any

import pytest

from contrib.generate import COMMANDS, Command, options
from tests.lab import daemons
from tests.lab.icinga import DEFINITION, NODE, PACKAGES, UNITS, Api, Configuration, icinga, kept, service_objects
from tests.lab.monitored import HOST, LINES, STATES, assert_in_order, need, parsed

pytestmark = pytest.mark.real

PREFIX = "ssh_exchange_"


@pytest.fixture(scope="module")
def api(plugin: daemons.Installation, servers: dict[str, int]) -> Iterator[Api]:
    need(PACKAGES)
    services: dict[str, dict[str, object]] = {name: {"port": servers[name]} for name in STATES}
    services["silent"]["timeout"] = 3
    services["six"] = {"port": servers["six"]}
    services["arrays"] = {
        "port": str(servers["fake"]),
        "handshakes": 3,
        "timeout": 7.5,
        "depth": "banner",
        "warning": ["banner_p50=3", "connect_p50=@1:2.5"],
        "critical": "banner_p50=~:4",
        "state": ["closed=ok", "slow=ok"],
        "source": ["127.0.0.1", "127.0.0.2"],
        "remote_version": ["FakeSSH_1.0", "it's a $$HOME"],
        "all_addresses": True,
        "exempt": True,
        "verbose": False,
    }
    options = plugin.home / "options.ini"
    options.write_text("[bastion]\nhandshakes=2\n")
    services["file"] = {"port": servers["fake"], "extra_opts": f"bastion@{options}", "verbose": False}
    services["overrun"] = {"port": servers["silent"], "timeout": 60}
    variables = {
        name: {f"{PREFIX}{key}": value for key, value in service.items()} for name, service in services.items()
    }
    variables["six"]["check_ipv6"] = True
    variables["arrays"]["check_ipv4"] = True
    # Long enough to have begun, on a machine under load too; and SIGKILL follows SIGTERM after a tenth of this.
    variables["overrun"]["check_timeout"] = 10
    with icinga(plugin, variables) as running:
        yield running


def words(api: Api, name: str) -> list[str]:
    """Return the arguments that Icinga gave the plugin."""
    given: list[str] = result(api, name)["command"][1:]
    return given


def result(api: Api, name: str) -> dict[str, Any]:
    found: dict[str, Any] = api.services[name]["last_check_result"]
    return found


def test_icinga_accepts_the_definition_and_would_not_accept_a_wrong_one(plugin: daemons.Installation) -> None:
    need(PACKAGES)
    definition = DEFINITION.read_text("utf-8")
    service = service_objects({"any": {"ssh_exchange_port": 22}})
    code, output = Configuration(plugin, "right", definition, service).validate()
    assert (code, re.findall(r"(?:warning|critical)/.*", output)) == (0, [])
    wrong = definition.replace("repeat_key", "repeat_keys", 1)
    code, output = Configuration(plugin, "wrong", wrong, service).validate()
    assert code == 1
    assert "Attribute 'arguments' -> '--warning' -> 'repeat_keys': Invalid attribute" in output


def test_icinga_accepts_the_services_and_gives_them_to_the_hosts_that_want_them(plugin: daemons.Installation) -> None:
    need(PACKAGES)
    services = (DEFINITION.parent / "services.conf").read_text("utf-8")
    hosts = """
object Host "both" { check_command = "dummy"; address = "192.0.2.1"; vars.os = "Linux"; vars.agent_endpoint = "here" }
object Host "one" { check_command = "dummy"; address = "192.0.2.2"; vars.os = "Linux" }
object Host "none" { check_command = "dummy"; address = "192.0.2.3"; vars.os = "Windows" }
"""
    made = Configuration(plugin, "services", DEFINITION.read_text("utf-8"))
    zone = made.home / "etc" / "zones.d" / NODE  # a service on an agent needs the zone of what is here
    zone.mkdir(parents=True)
    (zone / "services.conf").write_text(services + hosts)
    made.daemon.append(f"-DZonesDir={zone.parent}")
    code, output = made.validate()
    assert (code, re.findall(r"(?:warning|critical)/.*", output)) == (0, [])
    counted = re.findall(r"Instantiated (\d+) (\w+)", output)
    assert {("3", "Services"), ("3", "Hosts"), ("3", "Dependencies")} <= {*counted}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_arguments_of_the_definition_are_the_options_of_the_plugin(api: Api, command: Command) -> None:
    (read,) = api.get(f"objects/checkcommands/{command.name}")
    arguments: dict[str, dict[str, Any]] = read["arguments"]
    actions = {word: action for action in command.parser._actions for word in action.option_strings}
    assert not set(arguments) - set(actions)
    defined = {actions[argument].dest for argument in arguments}
    assert len(defined) == len(arguments)
    assert defined == {action.dest for action in options(command)}
    is_remote = command.name == "ssh_exchange"
    for_people = {"help", "version", "output_format", "explain", "runbook" if is_remote else "collect"}
    assert {action.dest for action in actions.values()} - defined == for_people
    for argument, definition in arguments.items():
        action = actions[argument]
        is_list = isinstance(action, argparse._AppendAction)
        assert ("set_if" in definition, definition.get("repeat_key", False)) == (action.nargs == 0, is_list), argument
        assert definition["description"]
        name = {"hostname": "address"}.get(action.dest, action.dest)
        assert definition.get("value", definition.get("set_if")) == f"${command.name}_{name}$"
        if "set_if" in definition:
            assert f"{command.name}_{name}" in read["vars"]
    required = [argument for argument, definition in arguments.items() if definition.get("required")]
    assert required == (["--hostname"] if is_remote else [])


@pytest.mark.parametrize("name", STATES)
def test_icinga_has_the_state_and_every_word_that_the_plugin_printed(
    api: Api, plugin: daemons.Installation, name: str
) -> None:
    printed, said = plugin.printed(words(api, name)), result(api, name)
    assert (said["exit_status"], api.services[name]["state"]) == (STATES[name], STATES[name])
    assert re.fullmatch(LINES[name], printed.text, re.ASCII)
    assert printed.long_text
    # Icinga leaves the blank that stood before the perfdata.
    assert said["output"] == f"{printed.text} \n{printed.long_text}"
    assert said["performance_data"] == printed.perfdata.split(" ")


@pytest.mark.parametrize("name", [*STATES, "arrays", "overrun"])
def test_icinga_reads_every_value_of_the_perfdata(api: Api, plugin: daemons.Installation, name: str) -> None:
    items = parsed(plugin.printed(words(api, name)).perfdata)
    assert_in_order(list(items))
    values = api.perfdata(result(api, name)["performance_data"])
    assert [value["label"] for value in values] == list(items)
    for value, item in zip(values, items.values(), strict=True):
        assert value["type"] == "PerfdataValue"
        assert (value["value"], value["unit"], value["counter"]) == (float(item.value), UNITS[item.unit], False)
        read = [value[key] for key in ("warn", "crit", "min", "max")]
        assert read == [kept(text) for text in (item.warn, item.crit, item.low, item.high)]


def test_icinga_passes_a_host_its_family_numbers_and_arrays(
    api: Api, servers: dict[str, int], plugin: daemons.Installation
) -> None:
    port = str(servers["fake"])
    assert words(api, "healthy") == ["--hostname", HOST, "--port", str(servers["healthy"]), "-v"]
    assert words(api, "six") == ["--hostname", "::1", "--port", str(servers["six"]), "--use-ipv6", "-v"]
    assert words(api, "arrays") == [
        "--all-addresses",
        *("--critical", "banner_p50=~:4", "--depth", "banner", "--exempt", "--handshakes", "3", "--hostname", HOST),
        *("--port", port, "--remote-version", "FakeSSH_1.0", "--remote-version", "it's a $HOME"),
        *("--source", "127.0.0.1", "--source", "127.0.0.2", "--state", "closed=ok", "--state", "slow=ok"),
        *("--timeout", "7.500000", "--use-ipv4", "--warning", "banner_p50=3", "--warning", "connect_p50=@1:2.5"),
    ]
    for name, asked in (("six", 5), ("arrays", 3), ("file", 2)):
        served = rf"SSH OK - FakeSSH_1\.0 \(protocol 2\.0\), {asked}/{asked} handshakes, banner [\d.]+ ms"
        assert re.fullmatch(served, plugin.printed(words(api, name)).text, re.ASCII)
        assert result(api, name)["exit_status"] == 0
    options = f"--extra-opts=bastion@{plugin.home}/options.ini"
    assert words(api, "file") == [options, "--hostname", HOST, "--port", port]


def test_a_run_that_icinga_ends_says_so(api: Api, plugin: daemons.Installation) -> None:
    printed, said = plugin.printed(words(api, "overrun")), result(api, "overrun")
    assert printed.text == "SSH UNKNOWN - interrupted by SIGTERM after 0 of 5 handshakes, 1 still open"
    assert said["output"].split("\n")[0] == f"<Timeout exceeded.>{printed.text} "
    assert said["performance_data"] == printed.perfdata.split(" ")
    assert api.services["overrun"]["state"] == 3
