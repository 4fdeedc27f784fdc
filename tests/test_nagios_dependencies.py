"""The definitions of contrib/nagios in Nagios: it accepts them all, and one fault gives one alert."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrib.generate import COMMANDS
from tests.lab import daemons, nagios, nrpe
from tests.lab.daemons import CONTRIB, DaemonError
from tests.lab.fake_sshd import FakeSshd
from tests.lab.monitored import HOST, need
from tests.lab.network import Namespace

pytestmark = pytest.mark.real

HOST_GROUPS = {"agent": "sshd-local-nrpe", "by-ssh": "sshd-local-by-ssh", "ncpa": "sshd-local-ncpa", "plain": ""}
FILES = sorted(path.name for path in nagios.SHIPPED.glob("*.cfg"))
NO_CHECK = {"active_checks_enabled": 0}


def everything(plugin: daemons.Installation) -> list[str]:
    """Return every definition that is shipped for Nagios."""
    return [*nagios.shipped(plugin, *FILES), (CONTRIB / "ncpa/nagios.cfg").read_text("utf-8")]


def hosts_of_all_groups() -> str:
    return nagios.site(*(
        {"host_name": name, "address": "192.0.2.1", **({"hostgroups": f"+{group}"} if group else {}), **NO_CHECK}
        for name, group in HOST_GROUPS.items()
    ))  # fmt: skip


def test_nagios_accepts_all_that_is_shipped_without_a_warning(plugin: daemons.Installation) -> None:
    need(nagios.PACKAGES)
    made = nagios.configured(plugin, "all", [*everything(plugin), hosts_of_all_groups()])
    found = counted(nagios.verify(made.config))
    # ssh-exchange on four, sshd-local on three of them, two agents; each dependency is for checks and notifications.
    assert (found["services"], found["service dependencies"]) == (9, 6)


def counted(said: str) -> dict[str, int]:
    """Return how many objects of each kind `nagios4 -v` has checked."""
    return {kind: int(count) for count, kind in re.findall(r"Checked (\d+) ([a-z ]+)", said)}


def test_nagios_would_not_accept_a_wrong_one(plugin: daemons.Installation) -> None:
    need(nagios.PACKAGES)
    wrong = [
        text.replace("check_command\tcheck_nrpe_answers", "check_command\tcheck_nrpe_missing")
        for text in everything(plugin)
    ]
    with pytest.raises(DaemonError, match="check_nrpe_missing"):
        nagios.configured(plugin, "wrong", [*wrong, hosts_of_all_groups()])


# --- the README, on the configuration that Debian's package installs

BLOCKS = re.findall(r"^```\n(.*?)^```$", (nagios.SHIPPED / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
LINES, BY_HAND, BY_NRPE = BLOCKS[-3:]
ASKED, WITH_NRPE = BY_NRPE.split("\n", 1)


def need_mounts() -> None:
    need(nagios.PACKAGES)
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("a copy in the place of /etc/nagios4 needs CAP_SYS_ADMIN, for mounts of its own")


def checked(plugin: daemons.Installation, name: str, script: str) -> dict[str, int]:
    """Return how many objects of each kind are there after lines of the README. Raises DaemonError."""
    return counted(nagios.accepted(nagios.packaged(plugin, name, script)))


@pytest.fixture(scope="module")
def bare(plugin: daemons.Installation) -> dict[str, int]:
    """What is there before: Debian's example of a host."""
    need(nagios.PACKAGES)
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("a copy in the place of /etc/nagios4 needs CAP_SYS_ADMIN, for mounts of its own")
    return checked(plugin, "bare", f"{nagios.PROGRAM} -v /etc/nagios4/nagios.cfg")


@pytest.mark.parametrize(
    ("name", "words", "others", "added"),
    [
        ("as-written", "", "", (1, 1, 0)),  # ssh-exchange
        ("with-nrpe", LINES, LINES + WITH_NRPE, (1, 3, 2)),  # and nrpe, sshd-local
        ("no-template", "ssh-server,linux-server", "linux-server", (1, 0, 0)),
    ],
)
def test_the_host_of_the_readme_has_its_services_on_debians_configuration(
    plugin: daemons.Installation, bare: dict[str, int], name: str, words: str, others: str, added: tuple[int, ...]
) -> None:
    assert words in LINES
    found = checked(plugin, name, LINES.replace(words, others) if words else LINES)
    kinds = ("hosts", "services", "service dependencies")
    assert tuple(found[kind] - bare[kind] for kind in kinds) == added
    assert (plugin.home / name / nagios.STATE_DIRECTORY[1:]).owner() == daemons.USER


@pytest.mark.usefixtures("bare")
def test_debians_generic_host_is_not_enough_for_a_host(plugin: daemons.Installation) -> None:
    assert "ssh-server,linux-server" in LINES
    with pytest.raises(DaemonError, match="max_check_attempts"):
        checked(plugin, "generic", LINES.replace("ssh-server,linux-server", "ssh-server,generic-host"))


def test_what_the_readme_types_by_hand_is_what_nagios_runs() -> None:
    services = (nagios.SHIPPED / "services.cfg").read_text("utf-8")
    (command,) = re.findall(r"^\tcheck_command\t(.*)$", services, re.MULTILINE)
    (port,) = re.findall(r"^\t_SSH_PORT\t(\d+)$", services, re.MULTILINE)
    (address,) = re.findall(r"^\taddress\t(\S+)$", LINES, re.MULTILINE)
    name, *arguments = command.replace("$_HOSTSSH_PORT$", port).split("!")
    assert shlex.split(BY_HAND) == ["runuser", "-u", daemons.USER, "--", *nagios.expanded(name, address, *arguments)]
    assert shlex.split(ASKED) == nagios.expanded("check_sshd_local_by_nrpe", address)


def test_every_option_of_a_command_is_one_of_the_plugins() -> None:
    parsers = {command.plugin: command.parser for command in COMMANDS}
    ours = [line for line in map(shlex.split, nagios.command_lines().values()) if Path(line[0]).name in parsers]
    assert len(ours) == 5
    for line in ours:
        options = [word for word in line if word.startswith("-")]
        known = parsers[Path(line[0]).name]._option_string_actions
        assert options, line
        assert not set(options) - set(known), line


# --- dependencies, with minutes of three seconds


@pytest.fixture(scope="module")
def depending(plugin: daemons.Installation, net: Namespace) -> Iterator[nagios.Nagios]:
    """Run Nagios on two hosts: on one NRPE answers, on the other nothing; sshd listens on neither."""
    need({**nagios.PACKAGES, **nrpe.PACKAGES})
    silent, answering = net.server.ipv4
    hosts = [
        {"host_name": name, "address": address, "hostgroups": f"+{group}", **NO_CHECK}
        for name, address, group in (
            ("no-agent", silent, "sshd-local-nrpe"),
            ("agent", answering, "sshd-local-nrpe"),
            ("refused", silent, "sshd-local-by-ssh"),
        )
    ]
    texts = [*nagios.shipped(plugin, *FILES), nagios.site(*hosts)]
    made = nagios.configured(plugin, "dependencies", texts, interval_length=3)
    commands = "command[check_sshd_local]=/bin/echo looked"
    place = (answering, nrpe.PORT)
    with (
        nrpe.started(plugin, "nrpe", commands, place, net.client.ipv4[0], prefix=net.server.prefix),
        nagios.started(made, net.client.prefix) as running,
    ):
        yield running


def checks_after(running: nagios.Nagios, key: nagios.Key, since: int) -> int:
    """Wait until a service has been checked after this time; return when."""
    running.await_(lambda stored: int(stored[key]["last_check"]) > since)
    return int(running.stored[key]["last_check"])


@pytest.mark.parametrize(("host", "service"), [("no-agent", "nrpe"), ("refused", "ssh-exchange")])
def test_what_looks_through_a_broken_service_is_not_checked(depending: nagios.Nagios, host: str, service: str) -> None:
    depending.await_(lambda stored: is_hard(stored[host, service]))
    moment = int(depending.stored[host, service]["last_check"])
    moment = checks_after(depending, (host, service), moment)  # what had begun by then ends at once
    before = depending.stored[host, "sshd-local"]
    for _ in range(3):
        moment = checks_after(depending, (host, service), moment)
    after = depending.stored[host, "sshd-local"]
    assert (after["last_check"], after["current_state"]) == (before["last_check"], "3")  # UNKNOWN: nobody has looked
    assert not is_hard(depending.stored["no-agent", "sshd-local"])  # so it never alerts


def is_hard(fields: nagios.Fields) -> bool:
    """Return whether a service is broken for good, so that people are told."""
    return fields["state_type"] == "1" and fields["current_state"] != "0"


def test_what_looks_through_a_service_that_answers_is_checked_on(depending: nagios.Nagios) -> None:
    stored = depending.await_results([("agent", "sshd-local"), ("agent", "nrpe")])
    assert stored["agent", "nrpe"]["plugin_output"].startswith("NRPE v")
    moment = int(stored["agent", "sshd-local"]["last_check"])
    for _ in range(3):
        moment = checks_after(depending, ("agent", "sshd-local"), moment)
    assert depending.stored["agent", "sshd-local"]["plugin_output"] == "looked"


# --- a host that is down, and a check that runs too long

ADMIN = nagios.definition(
    "contact",
    contact_name="admin",
    host_notification_period="24x7",
    service_notification_period="24x7",
    host_notification_options="d",
    service_notification_options="w,u,c",
    host_notification_commands="nothing",
    service_notification_commands="nothing",
)
FIXED = "".join(
    nagios.definition("command", command_name=name, command_line=f"/bin/sh -c 'exit {code}'")
    for name, code in (("nothing", 0), ("is-up", 0), ("is-down", 2))
)


def test_a_host_that_is_down_silences_its_services(plugin: daemons.Installation, net: Namespace) -> None:
    need(nagios.PACKAGES)
    every = {"address": net.server.ipv4[0], "check_interval": 1, "retry_interval": 1}
    hosts = [{"host_name": name, "check_command": f"is-{name}", **every} for name in ("up", "down")]
    texts = [*nagios.shipped(plugin, "commands.cfg", "services.cfg"), FIXED, ADMIN]
    texts.append(nagios.site(*hosts, admin="admin"))
    made = nagios.configured(plugin, "down", texts, enable_notifications=1, execute_host_checks=1)
    with nagios.started(made, net.client.prefix) as running:
        told = "SERVICE NOTIFICATION: admin;up;ssh-exchange;CRITICAL"
        running.await_(lambda stored: told in running.log and stored["down", "ssh-exchange"]["state_type"] == "1")
        moment = int(running.stored["down", "ssh-exchange"]["last_check"])
        for _ in range(3):
            moment = checks_after(running, ("down", "ssh-exchange"), moment)
        assert running.stored["down", "ssh-exchange"]["current_state"] == "2"
        assert "HOST NOTIFICATION: admin;down;DOWN" in running.log
        assert "SERVICE NOTIFICATION: admin;down;" not in running.log


def test_a_check_that_nagios_ends_is_what_the_site_says_it_is(plugin: daemons.Installation) -> None:
    need(nagios.PACKAGES)
    with FakeSshd([]) as silent:
        texts = [nagios.objects(plugin, {"endless": (HOST, f"check_ssh_exchange_args!-p {silent.port} -t 3600")})]
        made = nagios.configured(plugin, "overrun", texts, service_check_timeout=3, service_check_timeout_state="u")
        with nagios.started(made) as running:
            fields = running.await_results([(f"at-{HOST}", "endless")])[f"at-{HOST}", "endless"]
    assert fields["current_state"] == "3"
    assert re.match(r"\(Service check timed out after [\d.]+ seconds\)", fields["plugin_output"])
    assert fields["performance_data"] == ""  # it was ended with SIGKILL: nothing of it is left
