"""Icinga 2 with contrib/icinga2/commands.conf in a directory of its own, read through its API.

`with Installation() as plugin, icinga(plugin, services) as api` runs every service once.
"""

import base64
import ctypes
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.lab.daemons import CONTRIB, USER, Installation, await_result, running
from tests.lab.monitored import NUMBER
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


CLONE_NEWNET = 0x40000000
# What a request meets while Icinga starts or ends: an end of TLS or of a body in the middle is no ConnectionError.
UNANSWERED = (OSError, HTTPException)
UNITS = {"": "", "%": "percent", "s": "seconds"}  # what Icinga's parser makes of perfdata's units


class Api:
    """A client of a running Icinga's API, in a network namespace or in none; close it.

    `services` has the attributes of each service after its first check, where the one who starts Icinga sets them.
    """

    def __init__(self, port: int, password: str, authority: Path, namespace: str | None = None) -> None:
        self.services: dict[str, dict[str, Any]] = {}
        self._url = f"https://127.0.0.1:{port}/v1/"
        self._authorization = "Basic " + base64.b64encode(f"test:{password}".encode()).decode()
        self._context = ssl.create_default_context(cafile=authority)
        self._context.check_hostname = False  # the certificate is the node's
        self._thread = ThreadPoolExecutor(1, initializer=enter, initargs=(namespace,))

    def close(self) -> None:
        """End the thread that talks to Icinga."""
        self._thread.shutdown()

    def get(self, path: str) -> list[dict[str, Any]]:
        """Return the attributes of the objects of a path."""
        return [result["attrs"] for result in self._results(urllib.request.Request(self._url + path))]  # noqa: S310 - our own

    def status(self, component: str) -> dict[str, Any]:
        """Return what a component of Icinga says of itself."""
        (found,) = self._results(urllib.request.Request(self._url + f"status/{component}"))  # noqa: S310 - our own
        said: dict[str, Any] = found["status"]
        return said

    def check_now(self, kind: str = "Service", names: Collection[str] = (), *, force: bool = True) -> float:
        """Have these objects (all) checked at once; Icinga itself would spread the first checks over a minute.

        Without `force` Icinga does not check what a dependency keeps from being checked. Returns the time asked for.
        """
        wanted = f"{kind.lower()}.__name in wanted" if names else "true"
        now = time.time()
        body = {"type": kind, "filter": wanted, "filter_vars": {"wanted": [*names]}, "force": force, "next_check": now}
        self._post("actions/reschedule-check", body)
        return now

    def perfdata(self, items: Sequence[str]) -> list[dict[str, Any]]:
        """Return how Icinga's own parser reads the items of a result's perfdata, value by value."""
        command = f"{literal(items)}.map(parse_performance_data)"
        (result,) = self._post("console/execute-script", {"command": command, "session": "test", "sandboxed": False})
        values: list[dict[str, Any]] = result["result"]
        return values

    def _post(self, path: str, body: Mapping[str, object]) -> list[dict[str, Any]]:
        request = urllib.request.Request(self._url + path, data=json.dumps(body).encode(), method="POST")  # noqa: S310
        results = self._results(request)
        assert all(result["code"] == 200 for result in results), results
        return results

    def _results(self, request: urllib.request.Request) -> list[dict[str, Any]]:
        request.add_header("Authorization", self._authorization)
        request.add_header("Accept", "application/json")
        return self._thread.submit(self._answer, request).result()

    def _answer(self, request: urllib.request.Request) -> list[dict[str, Any]]:
        with urllib.request.urlopen(request, context=self._context, timeout=SECONDS) as answer:  # noqa: S310
            results: list[dict[str, Any]] = json.load(answer)["results"]
        return results


def enter(namespace: str | None) -> None:
    """Have this thread open its sockets in a network namespace. The other threads stay where they are."""
    if namespace is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with (Path("/run/netns") / namespace).open() as file:
        if libc.setns(file.fileno(), CLONE_NEWNET):
            error = ctypes.get_errno()
            raise OSError(error, f"setns {namespace}: {os.strerror(error)}")


def kept(threshold: str) -> float | None:
    """Return what Icinga's parser keeps of a threshold: a number, and of a range nothing."""
    return float(threshold) if re.fullmatch(NUMBER, threshold) else None


def literal(value: object) -> str:
    """Return a string, number, boolean or list in Icinga's language, which writes these as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def service_objects(services: Mapping[str, Mapping[str, object]]) -> str:
    """Return a host and its services; a service is its custom variables, and `check_timeout`."""
    # Icinga spreads first checks of its own over a minute: one of them before ours would be a second run.
    once = "max_check_attempts = 1; check_interval = 1h; retry_interval = 1h; enable_active_checks = false"
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
        with suppress(*UNANSWERED):  # until it listens
            api.check_now()
            return True
        return None

    def read() -> dict[str, dict[str, Any]] | None:
        found = {attributes["name"]: attributes for attributes in api.get("objects/services")}
        return found if all(attributes["last_check_result"] for attributes in found.values()) else None

    with closing(api), running(made.daemon, log) as process:
        await_result(begun, process, log)
        api.services = await_result(read, process, log)
        yield api
