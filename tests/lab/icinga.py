"""Icinga 2 with contrib/icinga2/commands.conf in a directory of its own, read through its API.

`with Installation() as plugin, icinga(plugin, services) as api` runs every service once.
"""

import base64
import json
import secrets
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError

from tests.lab.daemons import CONTRIB, USER, Installation, await_result, running
from tests.lab.zoo import free_port

# /usr/sbin/icinga2 is a shell script that does not pass a signal on; this is what it starts. Its directory is that of
# the machine's architecture.
PROGRAM = next(iter(Path("/usr/lib").glob("*/icinga2/sbin/icinga2")), Path("/usr/lib/icinga2/sbin/icinga2"))
OPENSSL = Path("/usr/bin/openssl")
PACKAGES = {PROGRAM: "icinga2-bin", OPENSSL: "openssl"}
SECONDS = 60.0  # for what takes less than one
NODE = "here"
DEFINITION = CONTRIB / "icinga2" / "commands.conf"
SELF_SIGNED: list[str | Path] = [
    OPENSSL,
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
]
SELF_SIGNED += ["-subj", f"/CN={NODE}", "-days", "365"]
HOST = {"address": "127.0.0.1", "address6": "::1"}

CONFIG = f"""const PluginDir = "/usr/lib/nagios/plugins"
const ManubulonPluginDir = PluginDir
const PluginContribDir = "{{plugins}}"
const NodeName = "{NODE}"
const ZoneName = NodeName
const TicketSalt = ""
object Endpoint NodeName {{{{ }}}}
object Zone ZoneName {{{{ endpoints = [ NodeName ] }}}}
include <itl>
include <plugins>
include "{{definition}}"
object CheckerComponent "checker" {{{{ }}}}
"""
API = """object ApiListener "api" {{ bind_host = "127.0.0.1"; bind_port = {port} }}
object ApiUser "test" {{ password = "{password}"; permissions = [ "*" ] }}
"""


class Api:
    """A client of a running Icinga's API; `services` has the attributes of each service after its first check."""

    def __init__(self, port: int, password: str, authority: Path) -> None:
        self.services: dict[str, dict[str, Any]] = {}
        self._url = f"https://127.0.0.1:{port}/v1/"
        self._authorization = "Basic " + base64.b64encode(f"test:{password}".encode()).decode()
        self._context = ssl.create_default_context(cafile=authority)
        self._context.check_hostname = False  # the certificate is the node's

    def get(self, path: str) -> list[dict[str, Any]]:
        """Return the attributes of the objects of a path."""
        return [result["attrs"] for result in self._results(urllib.request.Request(self._url + path))]  # noqa: S310 - our own

    def check_now(self) -> None:
        """Have every service checked at once; Icinga itself would spread the first checks over a minute."""
        self._post("actions/reschedule-check", {"type": "Service", "filter": "true", "force": True})

    def perfdata(self, service: str) -> list[dict[str, Any]]:
        """Return how Icinga's own parser reads the perfdata of a service, value by value."""
        command = f'get_service("host", "{service}").last_check_result.performance_data.map(parse_performance_data)'
        (result,) = self._post("console/execute-script", {"command": command, "session": "test", "sandboxed": False})
        values: list[dict[str, Any]] = result["result"]
        return values

    def _post(self, path: str, body: dict[str, object]) -> list[dict[str, Any]]:
        request = urllib.request.Request(self._url + path, data=json.dumps(body).encode(), method="POST")  # noqa: S310
        results = self._results(request)
        assert all(result["code"] == 200 for result in results), results
        return results

    def _results(self, request: urllib.request.Request) -> list[dict[str, Any]]:
        request.add_header("Authorization", self._authorization)
        request.add_header("Accept", "application/json")
        with urllib.request.urlopen(request, context=self._context, timeout=SECONDS) as answer:  # noqa: S310
            results: list[dict[str, Any]] = json.load(answer)["results"]
        return results


def literal(value: object) -> str:
    """Return a string, number, boolean or list in Icinga's language, which writes these as JSON does."""
    return json.dumps(value)


def service_objects(services: Mapping[str, Mapping[str, object]]) -> str:
    """Return a host and its services; a service is its custom variables, and `check_timeout`."""
    once = "max_check_attempts = 1; check_interval = 1h; retry_interval = 1h"
    address = "; ".join(f"{name} = {literal(value)}" for name, value in HOST.items())
    made = [f'object Host "host" {{ check_command = "dummy"; {address} }}']
    for name, variables in services.items():
        words = [
            f"{'' if variable == 'check_timeout' else 'vars.'}{variable} = {literal(value)}"
            for variable, value in variables.items()
        ]
        body = "; ".join([once, *words])
        made.append(f'object Service "{name}" {{ host_name = "host"; check_command = "ssh_exchange"; {body} }}')
    return "\n".join(made) + "\n"


class Configuration:
    """The files of an Icinga in a directory of this name."""

    def __init__(self, plugin: Installation, name: str, definition: str, objects: str = "") -> None:
        self.home = plugin.directory(name)
        paths = {"ConfigDir": "etc", "DataDir": "data", "LogDir": "log", "CacheDir": "cache", "SpoolDir": "spool"}
        paths["InitRunDir"] = "run"
        options = [f"-D{constant}={plugin.directory(name, path)}" for constant, path in paths.items()]
        options += [f"-DRunAsUser={USER}", f"-DRunAsGroup={USER}"]
        self._certificates = plugin.directory(name, "data", "certs")
        self._file = self.home / "etc" / "icinga2.conf"
        commands = self.home / "etc" / DEFINITION.name
        commands.write_text(definition)
        self._file.write_text(CONFIG.format(plugins=plugin.plugins, definition=commands) + objects)
        self.daemon: list[str | Path] = [PROGRAM, "daemon", "-c", self._file, *options]

    def open_api(self) -> Api:
        """Have the API listen, which it does only with a certificate; return its client."""
        port, password = free_port("127.0.0.1"), secrets.token_urlsafe()
        with self._file.open("a") as file:
            file.write(API.format(port=port, password=password))
        key, certificate, trusted = (self._certificates / name for name in (f"{NODE}.key", f"{NODE}.crt", "ca.crt"))
        # Icinga's own `pki new-ca` takes up to ten seconds to find an RSA key.
        subprocess.run([*SELF_SIGNED, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        shutil.copy(certificate, trusted)
        for made in (key, certificate, trusted):
            shutil.chown(made, USER, USER)
        return Api(port, password, trusted)

    def validate(self) -> tuple[int, str]:
        """Return the exit code and the output of `icinga2 daemon -C`."""
        done = subprocess.run([*self.daemon, "-C"], capture_output=True, text=True, timeout=SECONDS, cwd="/")
        return done.returncode, done.stdout + done.stderr


@contextmanager
def icinga(plugin: Installation, services: Mapping[str, Mapping[str, object]]) -> Iterator[Api]:
    """Run Icinga until every service has been checked once, and yield its API."""
    made = Configuration(plugin, "icinga", DEFINITION.read_text("utf-8"), service_objects(services))
    api = made.open_api()
    log = made.home / "output"

    def begun() -> bool | None:
        with suppress(URLError, ConnectionError):  # until it listens
            api.check_now()
            return True
        return None

    def read() -> dict[str, dict[str, Any]] | None:
        found = {attributes["name"]: attributes for attributes in api.get("objects/services")}
        return found if all(attributes["last_check_result"] for attributes in found.values()) else None

    with running(made.daemon, log) as process:
        await_result(begun, process, log)
        api.services = await_result(read, process, log)
        yield api
