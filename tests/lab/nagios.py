"""Nagios Core with the definitions of contrib/nagios in a directory of its own, read through status.dat.

`with Installation() as plugin, nagios(plugin, services) as stored` runs every service once. `configured` writes any
configuration, such as files of contrib/nagios as they stand (`shipped`) and the hosts of a `site`; `started` runs it.
`packaged` runs lines of the README on the configuration that Debian's package installs.
"""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.lab.daemons import (
    CONTRIB,
    ENVIRONMENT,
    RESULT_SECONDS,
    USER,
    DaemonError,
    Installation,
    await_result,
    running,
)

PROGRAM = Path("/usr/sbin/nagios4")
PACKAGES = {PROGRAM: "nagios4-core"}
SHIPPED = CONTRIB / "nagios"
DEFINITION = SHIPPED / "commands.cfg"
STATE_DIRECTORY = "/var/lib/nagios4/check_ssh_exchange"  # what services.cfg names
OWN = ("/etc/nagios4", "/var/lib/nagios4")  # of Debian's package
# $1 has a copy of each; what follows is a command that sees them in their places.
OVER = f'for own in {" ".join(OWN)}; do mount --bind "$1$own" $own || exit 1; done; shift; exec "$@"'

SETTINGS = {
    "use_syslog": 0,
    "check_for_updates": 0,  # asks a server of the vendor's by default
    "event_broker_options": 0,
    "enable_notifications": 0,
    "execute_host_checks": 0,
    "retain_state_information": 0,
    "check_external_commands": 0,
    # Seconds instead of minutes, no spreading, results looked for often: a service has its result after a second.
    "interval_length": 1,
    "service_inter_check_delay_method": "n",
    "host_inter_check_delay_method": "n",
    "service_interleave_factor": 1,
    "check_result_reaper_frequency": 1,
    "status_update_interval": 1,
    "illegal_macro_output_chars": "`~$&|'\"<>",  # Debian's
}
DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

Fields = dict[str, str]
Key = tuple[str, str]  # a host's name, a service's description


class Configured(NamedTuple):
    """A configuration on disk, which Nagios has accepted."""

    config: Path
    status: Path
    log: Path
    output: Path


def definition(kind: str, **directives: object) -> str:
    return "\n".join([f"define {kind} {{", *(f"{name} {value}" for name, value in directives.items()), "}\n"])


def always(name: str) -> str:
    """Return a time period."""
    return definition("timeperiod", timeperiod_name=name, alias=name, **dict.fromkeys(DAYS, "00:00-24:00"))


def nobody(period: str, command: str) -> str:
    """Return the contact `nobody`, who is told nothing."""
    never: dict[str, object] = dict.fromkeys(("host_notifications_enabled", "service_notifications_enabled"), 0)
    never |= dict.fromkeys(("host_notification_options", "service_notification_options"), "n")
    never |= dict.fromkeys(("host_notification_commands", "service_notification_commands"), command)
    never |= dict.fromkeys(("host_notification_period", "service_notification_period"), period)
    return definition("contact", contact_name="nobody", **never)


def objects(plugin: Installation, services: Mapping[str, tuple[str, str]]) -> str:
    """Return hosts and services: a service is an address and a check_command."""
    every = {"max_check_attempts": 1, "check_period": "always", "notification_interval": 0}
    every |= {"notification_period": "always", "contacts": "nobody"}
    made = [always("always"), nobody("always", "check_ssh_exchange")]
    made += [
        definition("host", host_name=f"at-{address}", address=address, active_checks_enabled=0, **every)
        for address in {address for address, _ in services.values()}
    ]
    for name, (address, command) in services.items():
        once = {"check_interval": 3600, "retry_interval": 3600}
        names = {"host_name": f"at-{address}", "service_description": name, "check_command": command}
        made.append(definition("service", **names, **once, **every))
    return plugin.definition(DEFINITION) + "".join(made)


def shipped(plugin: Installation, *files: str) -> list[str]:
    """Return files of contrib/nagios; only their paths are those of this installation."""
    state = plugin.directory("state")
    texts = [(SHIPPED / file).read_text("utf-8") for file in files]
    return [plugin.here(text).replace(STATE_DIRECTORY, str(state)) for text in texts]


def command_lines() -> dict[str, str]:
    """Return the command lines of commands.cfg by their names."""
    pattern = r"command_name\t(\S+)\n\tcommand_line\t(.*)"
    return dict(re.findall(pattern, DEFINITION.read_text("utf-8")))


def expanded(command: str, address: str, *arguments: str) -> list[str]:
    """Return the words that Nagios runs for a command of commands.cfg at a host, with what follows each `!`."""
    line = command_lines()[command].replace("$HOSTADDRESS$", address)
    for number, argument in enumerate(arguments, 1):
        line = line.replace(f"$ARG{number}$", argument)
    return shlex.split(line)


def site(*hosts: Mapping[str, object], admin: str = "nobody") -> str:
    """Return what services.cfg expects of every Nagios, and the hosts of a site."""
    every = {"use": "ssh-server", "max_check_attempts": 1, "check_period": "24x7", "notification_period": "24x7"}
    made = [always("24x7"), nobody("24x7", "check_ssh_exchange")]
    made.append(definition("contactgroup", contactgroup_name="admins", alias="admins", members=admin))
    made += [definition("host", **{**every, "contact_groups": "admins", **host}) for host in hosts]
    return "".join(made)


def status(path: Path) -> dict[Key, Fields]:
    """Return the fields of each service in status.dat; nothing until the file exists."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return {}
    blocks = re.findall(r"^servicestatus \{\n(.*?)^\t\}", text, re.DOTALL | re.MULTILINE)
    said = [dict(line[1:].split("=", 1) for line in block.split("\n") if "=" in line) for block in blocks]
    return {(fields["host_name"], fields["service_description"]): fields for fields in said}


def configured(plugin: Installation, name: str, texts: Iterable[str], **changed: object) -> Configured:
    """Write a configuration into a directory of user nagios. Raises DaemonError for what `nagios4 -v` does not like."""
    home = plugin.directory(name)
    results, commands = plugin.directory(name, "results"), plugin.directory(name, "rw")
    plugin.directory(name, "log_archive_path")
    (home / "objects.cfg").write_text("\n".join(texts))
    files = {name: home / name for name in ("log_file", "object_cache_file", "precached_object_file", "status_file")}
    files |= {name: home / name for name in ("lock_file", "temp_file", "state_retention_file", "log_archive_path")}
    files |= {"cfg_file": home / "objects.cfg", "temp_path": home, "check_result_path": results}
    files |= {"command_file": commands / "nagios.cmd", "query_socket": commands / "nagios.qh"}
    settings: dict[str, object] = {**SETTINGS, **files, "nagios_user": USER, "nagios_group": USER, **changed}
    made = Configured(home / "nagios.cfg", files["status_file"], files["log_file"], home / "output")
    made.config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    verify(made.config)
    return made


def verify(config: Path) -> str:
    """Return what `nagios4 -v` says. Raises DaemonError for a warning or an error."""
    return accepted(subprocess.run([PROGRAM, "-v", config], capture_output=True, text=True, timeout=RESULT_SECONDS))


def accepted(done: subprocess.CompletedProcess[str]) -> str:
    """Return what `nagios4 -v` has said. Raises DaemonError for a warning or an error."""
    if done.returncode or not re.search(r"^Total Warnings: 0\nTotal Errors: +0$", done.stdout, re.MULTILINE):
        raise DaemonError(f"nagios4 -v: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def packaged(plugin: Installation, name: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run lines of the README, in contrib/nagios, on a copy of Debian's configuration; systemctl does nothing."""
    home = plugin.directory(name)
    for own in OWN:
        (home / own[1:]).parent.mkdir(parents=True)
        subprocess.run(["cp", "-a", own, home / own[1:]], check=True)
    stub = home / "systemctl"
    stub.write_text("#!/bin/sh\n")
    stub.chmod(0o755)
    command = ["unshare", "--mount", "sh", "-c", OVER, "sh", str(home), "sh", "-euc", f"PATH={home}:$PATH\n{script}"]
    return subprocess.run(command, cwd=SHIPPED, env=ENVIRONMENT, capture_output=True, text=True, timeout=RESULT_SECONDS)


class Nagios:
    """A running Nagios. It deletes its status.dat when it ends."""

    def __init__(self, made: Configured, wait: Callable[[Callable[[], object]], object]) -> None:
        self._made = made
        self._wait = wait

    @property
    def stored(self) -> dict[Key, Fields]:
        """What it stores of every service now."""
        return status(self._made.status)

    @property
    def log(self) -> str:
        return self._made.log.read_text("utf-8", "replace") if self._made.log.exists() else ""

    def await_(self, holds: Callable[[dict[Key, Fields]], bool]) -> dict[Key, Fields]:
        """Return what it stores as soon as that satisfies a condition. Raises DaemonError."""
        found: dict[Key, Fields] = {}

        def read() -> object:
            found.clear()
            found.update(self.stored)
            return (bool(found) and holds(found)) or None

        self._wait(read)
        return found

    def await_results(self, keys: Iterable[Key]) -> dict[Key, Fields]:
        """Return what it stores as soon as each of these services has been checked."""
        wanted = set(keys)
        return self.await_(lambda all_: wanted <= {key for key, one in all_.items() if one["has_been_checked"] == "1"})


@contextmanager
def started(made: Configured, prefix: Sequence[str] = ()) -> Iterator[Nagios]:
    """Run Nagios; `prefix` is a command that runs it, such as `ip netns exec NAME`."""
    with running([*prefix, PROGRAM, made.config], made.output) as process:
        yield Nagios(made, lambda read: await_result(read, process, made.output))


@contextmanager
def nagios(plugin: Installation, services: Mapping[str, tuple[str, str]]) -> Iterator[dict[str, Fields]]:
    """Run Nagios until every service has been checked once, and yield what it stores of each."""
    made = configured(plugin, "nagios", [objects(plugin, services)])
    with started(made) as running_:
        stored = running_.await_results((f"at-{address}", name) for name, (address, _) in services.items())
        yield {name: fields for (_, name), fields in stored.items()}
