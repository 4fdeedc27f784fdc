"""resident.conf with a real Icinga: a master and an agent ask their exporters, an older agent runs the plugin."""

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from tests.lab import daemons, four_servers, icinga_lan, icinga_newest, icinga_resident, zoo
from tests.lab.four_servers import Expected, Monitored
from tests.lab.icinga import literal
from tests.lab.icinga_nodes import OWN, Node, Running, Site, blocks, need_nodes, warnings
from tests.lab.icinga_resident import CURL, Resident, read
from tests.lab.monitored import COUNTERS, parsed
from tests.lab.network import Host

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

MASTER, NEW, OLD = "master.example", "new.example", "old.example"
NODES = {MASTER: "192.0.2.10", NEW: "192.0.2.11", OLD: "192.0.2.12"}
RESIDENT = (MASTER, NEW)
ZONE, COMMAND, STATE = "master", "ssh_exchange_resident", "/var/lib/icinga2/check_ssh_exchange"
SERVERS = {**four_servers.ADDRESSES, "refused": "192.0.2.25", "silent": "192.0.2.26"}
COMPARED = {name: four_servers.REMOTE[name] for name in ("healthy", "throttled", "banned")}
COMPARED["refused"] = Expected(
    2, "SSH CRITICAL - 5 of 5 handshakes refused: nothing listens on that port", ("handshakes",)
)
SECONDS_OF_A_CHECK = 15.0  # half of what Icinga would wait; a check takes half a second where the machine is idle

ODD = '"$$(id)" |a=1 ;\\ é <b>'
# Custom variables of every kind -> what Icinga makes of them, and the plugin's parser of that.
EVERY: dict[str, Any] = {
    "port": 22,
    "ipv4": True,
    "ipv6": False,
    "timeout": 7.5,
    "handshakes": "2",
    "concurrency": 1,
    "pause": 0.001,
    "depth": "banner",
    "warning": ["banner_p50=3", "connect_p50=@1:2.5"],
    "critical": ["banner_p50=~:4"],
    "state": ["closed=ok", "slow=ok"],
    "remote_version": ["OpenSSH_9.*", "it's a $$HOME"],
    "remote_protocol": "2.0",
    "all_addresses": True,
    "max_startups": "10:30:60",
    "window": "15m",
    "exempt": True,
    "verbose": False,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "every": EVERY,
    "lists": {"warning": [], "state": ["slow=ok"], "critical": "banner_p50=60", "handshakes": 1, "exempt": 1},
    "flags": {"ipv4": "1", "exempt": 0, "all_addresses": False, "verbose": 1, "handshakes": 1, "timeout": "9"},
    "text": {"remote_version": ODD, "handshakes": 1, "exempt": True},
}
SPECIAL = ("stranger", "file", "null", "no host")


class Monitoring(NamedTuple):
    """The nodes at work, the exporters, and the master's services after their first check."""

    master: Running
    residents: Mapping[str, Resident]
    services: Mapping[str, dict[str, Any]]
    output: str  # of `icinga2 daemon -C` on the nodes

    def result(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.services[name]["last_check_result"]
        return found

    def again(self, name: str) -> dict[str, Any]:
        """Have one service checked once more; return its new result."""

        def new() -> dict[str, Any] | None:
            (found,) = self.master.api.get(f"objects/services/{quote(name)}")
            said: dict[str, Any] = found["last_check_result"]
            return said if said["schedule_start"] >= asked else None

        asked = self.master.api.check_now("Service", [name])
        return self.master.until(new)


@pytest.fixture(scope="module")
def monitoring(plugin: daemons.Installation) -> Iterator[Monitoring]:
    need_nodes({CURL: "curl"})
    newest = icinga_newest.chosen("newest", plugin)
    if reason := icinga_lan.missing():
        pytest.skip(reason)
    site = Site(plugin, "resident", newest)
    with ExitStack() as stack:
        lan = stack.enter_context(icinga_lan.linked(NODES, [*SERVERS.values(), four_servers.STRANGER]))
        serve(stack, lan.servers)
        stranger = plugin.directory("stranger")
        Site(plugin, "strangers").certify(MASTER, stranger)
        nodes = {name: node(site, name, lan.nodes[name]) for name in NODES}
        output = furnish(nodes, services(stranger))
        places = {name: plugin.home / f"exporter-{name}" for name in RESIDENT}
        residents = {name: Resident(nodes[name], lan.nodes[name], place) for name, place in places.items()}
        for resident in residents.values():
            resident.start()
            stack.callback(resident.stop)
        running = {name: stack.enter_context(node.started()) for name, node in nodes.items()}
        for name in (NEW, OLD):
            running[name].follow(MASTER, COMMAND)
        found = running[MASTER].checked("Service", names())
        yield Monitoring(running[MASTER], residents, found, output)


def serve(stack: ExitStack, hub: Host) -> None:
    """Start the servers; at the address of `refused` nothing listens."""
    start = {"address": (SERVERS["healthy"], SERVERS["banned"]), "options": {"MaxStartups": "100"}}
    stack.enter_context(zoo.server("openssh-9.2", prefix=hub.prefix, port=22, **start))  # type: ignore[arg-type]
    slots = {"MaxStartups": "3:100:3", "LoginGraceTime": "3600"}
    address = SERVERS["throttled"]
    stack.enter_context(zoo.server("openssh-9.2", prefix=hub.prefix, port=22, address=address, options=slots))
    full = Monitored("throttled", hub, address, 22, four_servers.REMOTE["throttled"], four_servers.LOCAL["throttled"])
    stack.enter_context(four_servers.held(hub, full))
    ban = ("-d", SERVERS["banned"], "-p", "tcp", "--dport", "22", "-j", "REJECT")
    stack.enter_context(hub.rule("iptables", "INPUT", *ban))
    stack.enter_context(icinga_resident.silent(hub, SERVERS["silent"], 22))


def node(site: Site, name: str, host: Host) -> Node:
    """Return a node with the directory that the README has made everywhere."""
    made = site.node(name, ZONE if name == MASTER else name, host, OWN if name == OLD else None)
    site.plugin.directory(site.home.name, name, "data", Path(STATE).name)
    return made


def furnish(nodes: Mapping[str, Node], objects: str) -> str:
    """Put the shipped files where the README has them put, and ours where only the master has them."""
    ends = "".join(f'object Endpoint "{name}" {{ host = "{NODES[name]}" }}\n' for name in NODES)
    zones = f'object Zone "{ZONE}" {{ endpoints = [ "{MASTER}" ] }}\n'
    zones += "".join(f'object Zone "{name}" {{ endpoints = [ "{name}" ]; parent = "{ZONE}" }}\n' for name in (NEW, OLD))
    for node in nodes.values():
        node.write(ends + zones + 'object Zone "global-templates" { global = true }\n', "zones.conf")
    nodes[MASTER].write(objects, "zones.d", ZONE, "ours.conf")
    done = nodes[MASTER].shell(blocks()[0])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def services(stranger: Path) -> str:
    """Every server checked by the rule of services.conf at the master, and from both agents; and the special cases."""
    text = []
    for name in COMPARED:
        chosen = f'address = "{SERVERS[name]}"; vars.os = "Linux"; vars.ssh_exchange_resident = true'
        text.append(f'object Host "{name}" {{ check_command = "dummy"; {chosen} }}')
        text += [service(name, f"from {agent}", agent, {}) for agent in (NEW, OLD)]
    text.append(f'object Host "options" {{ check_command = "dummy"; address = "{SERVERS["healthy"]}" }}')
    for name, variables in OPTIONS.items():
        text += [service("options", f"{name} from {agent}", agent, variables) for agent in (NEW, OLD)]
    text.append(f'object Host "silent" {{ check_command = "dummy"; address = "{SERVERS["silent"]}" }}')
    text.append(service("silent", "in time", NEW, {"timeout": 2}))
    text.append(service("silent", "too late", MASTER, {"timeout": 60}, "check_timeout = 3"))
    files = f'vars.ifw_api_cert = "{stranger}/{MASTER}.crt"; vars.ifw_api_key = "{stranger}/{MASTER}.key"'
    text.append(service("options", "stranger", MASTER, {}, files))
    text.append(service("options", "file", MASTER, {"extra_opts": "bastion@/etc/passwd"}))
    text.append(service("options", "null", MASTER, {"port": None, "state": None, "verbose": None, "handshakes": 1}))
    text.append(service("options", "no host", MASTER, {"address": None}))
    return "\n".join(text) + "\n"


def service(host: str, name: str, node: str, variables: Mapping[str, Any], more: str = "") -> str:
    words = [f"vars.ssh_exchange_{key} = {literal(value)}" for key, value in variables.items()]
    if node != MASTER:
        words += [f'command_endpoint = "{node}"', f"vars.ssh_exchange_state_file = {literal(STATE)}"]
    body = "; ".join([f'check_command = "{COMMAND}"; check_interval = 1h; retry_interval = 1h; max_check_attempts = 1'])
    body = "; ".join(filter(None, [body, *words, more]))
    return f'object Service "{name}" {{ import "ssh-exchange-service"; host_name = "{host}"; {body} }}'


def names() -> list[str]:
    found = [f"{name}!{one}" for name in COMPARED for one in ("ssh-exchange", f"from {NEW}", f"from {OLD}")]
    found += [f"options!{name} from {agent}" for name in OPTIONS for agent in (NEW, OLD)]
    return [*found, "silent!in time", "silent!too late", *(f"options!{name}" for name in SPECIAL)]


def form(text: str) -> str:
    """A text without what changes from run to run, and without what Icinga leaves of a process' first line."""
    return re.sub(r"\d+(\.\d+)?( min| s| ms)?", "N", text).replace(" \n", "\n").rstrip()


def test_icinga_accepts_the_files(monitoring: Monitoring) -> None:
    (only,) = warnings(monitoring.output)
    assert re.match(r"warning/ApplyRule: Apply rule 'sshd-local' .* does not match anywhere!", only)


@pytest.mark.parametrize("name", COMPARED)
def test_the_exporter_says_what_the_plugin_says(monitoring: Monitoring, name: str) -> None:
    wanted = COMPARED[name]
    process = monitoring.result(f"{name}!from {OLD}")
    assert process["command"][0] == "/usr/lib/nagios/plugins/check_ssh_exchange"
    for service in (f"{name}!ssh-exchange", f"{name}!from {NEW}"):
        said = monitoring.result(service)
        assert re.fullmatch(wanted.line, said["output"].split("\n")[0], re.ASCII), said["output"]
        assert (said["exit_status"], said["state"], process["state"]) == (wanted.state,) * 3
        assert form(said["output"]) == form(process["output"])
        ours, theirs = (parsed(" ".join(one["performance_data"])) for one in (said, process))
        assert [(label, item[1:]) for label, item in ours.items()] == [
            (label, item[1:]) for label, item in theirs.items()
        ]
        assert {label: ours[label].value for label in COUNTERS} == {label: theirs[label].value for label in COUNTERS}


@pytest.mark.parametrize("name", COMPARED)
def test_each_check_is_made_where_it_belongs(monitoring: Monitoring, name: str) -> None:
    made = {"ssh-exchange": MASTER, f"from {NEW}": NEW, f"from {OLD}": OLD}
    assert {one: monitoring.result(f"{name}!{one}")["check_source"] for one in made} == made
    for node, resident in monitoring.residents.items():
        assert f"{SERVERS[name]}:22" in {line.get("target") for line in resident.log}, node


def test_a_result_is_there_as_soon_as_it_is_known(monitoring: Monitoring) -> None:
    """Icinga waits for the exporter's close_notify; one that did not answer would have it wait until check_timeout."""
    for node in ("ssh-exchange", f"from {NEW}"):
        said = monitoring.result(f"healthy!{node}")
        assert said["execution_end"] - said["execution_start"] < SECONDS_OF_A_CHECK


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_every_kind_reach_the_exporter_as_they_reach_the_plugin(monitoring: Monitoring, name: str) -> None:
    process = monitoring.result(f"options!{name} from {OLD}")
    said = monitoring.result(f"options!{name} from {NEW}")
    assert (form(said["output"]), said["state"]) == (form(process["output"]), process["state"])
    if name == "text":  # which the log shows escaped
        assert process["command"][process["command"].index("--remote-version") + 1] == ODD.replace("$$", "$")
        assert (said["state"], said["output"].count("a=1 ;")) == (2, 1)
        return
    lines = [line["module"] for line in monitoring.residents[NEW].log if line["msg"] == "probe"]
    assert read(process["command"][1:]) in [read(shlex.split(line)) for line in lines], lines


def test_a_variable_that_is_null_is_an_option_that_is_not_given(monitoring: Monitoring) -> None:
    said = monitoring.result("options!null")
    assert re.fullmatch(COMPARED["healthy"].line.replace("5/5", "1/1"), said["output"].split("\n")[0]), said["output"]


def test_an_option_that_names_a_file_is_unknown_with_a_sentence(monitoring: Monitoring) -> None:
    said = monitoring.result("options!file")
    assert said["state"] == 3
    assert said["output"].startswith("SSH UNKNOWN - --extra-opts names a file, which the exporter neither reads nor")
    assert not said["performance_data"]


def test_a_check_without_a_host_is_unknown(monitoring: Monitoring) -> None:
    said = monitoring.result("options!no host")
    assert (said["state"], said["output"].split(":")[0]) == (3, "SSH UNKNOWN - no host is given")


def test_a_server_that_hangs_is_told_in_the_plugins_words_where_its_timeout_is_the_shorter(
    monitoring: Monitoring,
) -> None:
    said = monitoring.result("silent!in time")
    assert said["state"] == 2
    assert re.match(r"SSH CRITICAL - (\d) of \1 handshakes left without a banner", said["output"])


def test_a_check_that_icinga_gives_up_is_ended_in_the_exporter_too(monitoring: Monitoring) -> None:
    said = monitoring.result("silent!too late")
    assert said["state"] == 3
    assert said["output"].endswith("Timeout exceeded")
    resident = monitoring.residents[MASTER]
    monitoring.master.until(lambda: resident.value("probes_in_flight") == 0 or None)


def test_the_certificate_of_a_stranger_is_refused_and_the_log_says_so(monitoring: Monitoring) -> None:
    said = monitoring.result("options!stranger")
    assert (said["state"], said["performance_data"] or []) == (3, [])
    words = [line["msg"] for line in monitoring.residents[MASTER].log if line["level"] == "warn"]
    assert any(re.match(r"the client certificate of (127\.0\.0\.1|::/64) is refused: ", one) for one in words), words


def test_icinga_says_that_the_exporter_is_down_and_sees_it_come_back(monitoring: Monitoring) -> None:
    resident, name = monitoring.residents[NEW], f"healthy!from {NEW}"
    resident.stop()
    try:
        said = monitoring.again(name)
    finally:
        resident.start()
    assert said["state"] == 3
    assert re.match(r"Can't connect to IfW API on host 'localhost' port '10922': Connection refused", said["output"])
    back = monitoring.again(name)
    assert (back["state"], back["check_source"]) == (0, NEW)
    assert re.fullmatch(COMPARED["healthy"].line, back["output"].split("\n")[0])


def test_nothing_of_it_has_made_an_exporter_fail(monitoring: Monitoring) -> None:
    for resident in monitoring.residents.values():
        assert [line for line in resident.log if line["level"] == "error"] == []
        assert "Traceback" not in resident.program.log
