"""Nagios Core with the commands of contrib/nagios/commands.cfg in a directory of its own, read through status.dat.

`with Installation() as plugin, nagios(plugin, services) as stored` runs every service once.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.lab.daemons import CONTRIB, RESULT_SECONDS, USER, DaemonError, Installation, await_result, running

PROGRAM = Path("/usr/sbin/nagios4")
PACKAGES = {PROGRAM: "nagios4-core"}
DEFINITION = CONTRIB / "nagios" / "commands.cfg"

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


def definition(kind: str, **directives: object) -> str:
    return "\n".join([f"define {kind} {{", *(f"{name} {value}" for name, value in directives.items()), "}\n"])


def objects(plugin: Installation, services: Mapping[str, tuple[str, str]]) -> str:
    """Return hosts and services: a service is an address and a check_command."""
    never: dict[str, object] = dict.fromkeys(("host_notifications_enabled", "service_notifications_enabled"), 0)
    never |= dict.fromkeys(("host_notification_options", "service_notification_options"), "n")
    never |= dict.fromkeys(("host_notification_commands", "service_notification_commands"), "check_ssh_exchange")
    never |= dict.fromkeys(("host_notification_period", "service_notification_period"), "always")
    every = {"max_check_attempts": 1, "check_period": "always", "notification_interval": 0}
    every |= {"notification_period": "always", "contacts": "nobody"}
    days = dict.fromkeys(DAYS, "00:00-24:00")
    made = [definition("timeperiod", timeperiod_name="always", alias="always", **days)]
    made.append(definition("contact", contact_name="nobody", **never))
    made += [
        definition("host", host_name=f"at-{address}", address=address, active_checks_enabled=0, **every)
        for address in {address for address, _ in services.values()}
    ]
    for name, (address, command) in services.items():
        once = {"check_interval": 3600, "retry_interval": 3600}
        names = {"host_name": f"at-{address}", "service_description": name, "check_command": command}
        made.append(definition("service", **names, **once, **every))
    return plugin.definition(DEFINITION) + "".join(made)


def status(path: Path) -> dict[str, dict[str, str]]:
    """Return the fields of each service in status.dat; nothing until the file exists."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return {}
    blocks = re.findall(r"^servicestatus \{\n(.*?)^\t\}", text, re.DOTALL | re.MULTILINE)
    said = [dict(line[1:].split("=", 1) for line in block.split("\n") if "=" in line) for block in blocks]
    return {fields["service_description"]: fields for fields in said}


@contextmanager
def nagios(plugin: Installation, services: Mapping[str, tuple[str, str]]) -> Iterator[dict[str, dict[str, str]]]:
    """Run Nagios until every service has been checked once, and yield its status.dat, which it deletes when it ends."""
    home = plugin.directory("nagios")
    results, commands = plugin.directory("nagios", "results"), plugin.directory("nagios", "rw")
    (home / "objects.cfg").write_text(objects(plugin, services))
    files = {name: home / name for name in ("log_file", "object_cache_file", "precached_object_file", "status_file")}
    files |= {name: home / name for name in ("lock_file", "temp_file", "state_retention_file", "log_archive_path")}
    files |= {"cfg_file": home / "objects.cfg", "temp_path": home, "check_result_path": results}
    files |= {"command_file": commands / "nagios.cmd", "query_socket": commands / "nagios.qh"}
    plugin.directory("nagios", "log_archive_path")
    settings = SETTINGS | files | {"nagios_user": USER, "nagios_group": USER}
    config, log = home / "nagios.cfg", home / "output"
    config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    verified = subprocess.run([PROGRAM, "-v", config], capture_output=True, text=True, timeout=RESULT_SECONDS)
    if verified.returncode or not re.search(r"^Total Warnings: 0\nTotal Errors: +0$", verified.stdout, re.MULTILINE):
        raise DaemonError(f"nagios4 -v: {verified.stdout[-2000:]}")

    def read() -> dict[str, dict[str, str]] | None:
        stored = status(files["status_file"])
        checked = {name for name, fields in stored.items() if fields["has_been_checked"] == "1"}
        return stored if checked == set(services) else None

    with running([PROGRAM, config], log) as process:
        yield await_result(read, process, log)
