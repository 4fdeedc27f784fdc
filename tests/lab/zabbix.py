"""A Zabbix server, its frontend and an agent in a directory of their own: `with zabbix(home) as site`.

The server and the agent listen on 127.0.0.1 alone, the frontend is served by PHP's own web server for the API, and the
database has what Debian's package ships, without its templates: they are nine tenths of it, and nothing here uses them.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.error import URLError

from tests.lab import postgresql
from tests.lab.daemons import CONTRIB, await_result, running
from tests.lab.zoo import free_port

SERVER, AGENT, FRONTEND = Path("/usr/sbin/zabbix_server"), Path("/usr/sbin/zabbix_agentd"), Path("/usr/share/zabbix")
PHP = Path("/usr/bin/php")
SHIPPED = Path("/usr/share/zabbix-server-pgsql")
PACKAGES = {
    **postgresql.PACKAGES,
    SERVER: "zabbix-server-pgsql",
    SHIPPED / "data.sql.gz": "zabbix-server-pgsql",
    FRONTEND / "api_jsonrpc.php": "zabbix-frontend-php",
    PHP: "php-cli",
    AGENT: "zabbix-agent",
    Path("/usr/bin/curl"): "curl",
}
MODULES = {"pgsql": "php-pgsql", "mbstring": "php-mbstring", "bcmath": "php-bcmath", "gd": "php-gd", "xml": "php-xml"}
USER = "zabbix"  # Debian's packages of both run as this user
USER_NAME, PASSWORD = "Admin", "zabbix"  # what every new Zabbix has
HOST = "127.0.0.1"
SECONDS = 100.0  # what takes ten
TEMPLATES = {
    "SSH exchange by HTTP": CONTRIB / "zabbix" / "ssh_exchange_by_http.yaml",
    "SSH daemon by Zabbix agent": CONTRIB / "zabbix" / "sshd_local_by_agent.yaml",
}
ROWS = ("dbversion", "role", "role_rule", "users", "usrgrp", "users_groups", "hstgrp", "config", "config_autoreg_tls",
        "graph_theme", "globalmacro", "regexps", "expressions")  # fmt: skip
# One process of each kind is enough for a few hosts; a changed configuration counts after a second.
SERVER_CONFIG = """ListenIP={host}
ListenPort={port}
LogType=console
PidFile={home}/server.pid
SocketDir={home}
DBHost={database.directory}
DBPort={dbport}
DBName={name}
DBUser={name}
DBPassword={database.password}
StartPollers=3
StartPollersUnreachable=1
StartPreprocessors=1
StartTrappers=1
StartPingers=0
StartDiscoverers=0
StartHTTPPollers=0
StartODBCPollers=0
StartAlerters=1
StartDBSyncers=1
StartHistoryPollers=1
StartLLDProcessors=1
CacheUpdateFrequency=1
Timeout=10
"""
AGENT_CONFIG = """Server={host}
ListenIP={host}
ListenPort={port}
StartAgents=1
Hostname=agent
LogType=console
PidFile={home}/agent.pid
"""
FRONTEND_CONFIG = """<?php
$DB['TYPE'] = 'POSTGRESQL';
$DB['SERVER'] = '{database.directory}';
$DB['PORT'] = '{dbport}';
$DB['DATABASE'] = '{name}';
$DB['USER'] = '{name}';
$DB['PASSWORD'] = '{database.password}';
$DB['SCHEMA'] = '';
$DB['ENCRYPTION'] = false;
$DB['DOUBLE_IEEE754'] = true;
$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
"""
# The frontend looks for its configuration in /etc/zabbix alone: the directory is another one for this process.
AS_FRONTEND = 'mount --bind "$1" /etc/zabbix && shift && exec "$@"'
KINDS = ("templates", "items", "triggers", "graphs", "discoveryRules", "templateDashboards", "valueMaps")
RULES = {"groups": {"createMissing": True}} | {kind: {"createMissing": True, "updateExisting": True} for kind in KINDS}
T = TypeVar("T")


class ApiError(Exception):
    """The API refused a request; the message is its own."""


class Api:
    """A client of the API and of a page, as the user that Zabbix comes with."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._url = f"http://{HOST}:{port}/"
        self._token: str | None = None
        self._sid = ""
        direct, cookies = urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor()
        self._browser = urllib.request.build_opener(direct, cookies)

    def log_in(self) -> None:
        self._token = self.call("user.login", username=USER_NAME, password=PASSWORD)
        page = self._browse("index.php", name=USER_NAME, password=PASSWORD, enter="Sign in")
        (self._sid,) = re.findall(r'name="csrf-token" content="(\w+)"', page)

    def links(self, trigger: str) -> list[str]:
        """Return the links of a trigger as its menu in the frontend shows them, with their macros expanded."""
        words = {"action": "menu.popup", "sid": self._sid, "type": "trigger", "data[triggerid]": trigger}
        return [str(one["url"]) for one in json.loads(self._browse("zabbix.php", **words))["data"]["urls"]]

    def _browse(self, path: str, **fields: str) -> str:
        body = urllib.parse.urlencode(fields).encode()
        with self._browser.open(self._url + path, body, timeout=SECONDS) as answer:
            return str(answer.read().decode())

    def call(self, method: str, *given: object, **parameters: object) -> Any:
        """Return the result of a method. Raises ApiError."""
        body = {"jsonrpc": "2.0", "method": method, "id": 1, "auth": self._token, "params": parameters or list(given)}
        headers, url = {"Content-Type": "application/json-rpc"}, f"{self._url}api_jsonrpc.php"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - our own
        with self._browser.open(request, timeout=SECONDS) as answer:
            found = json.load(answer)
        if "error" in found:
            raise ApiError(f"{method}: {found['error']['message']} {found['error']['data']}")
        return found["result"]

    def import_template(self, text: str) -> None:
        """Import a template, and update what is there."""
        self.call("configuration.import", format="yaml", source=text, rules=RULES)

    def differences(self, text: str) -> Any:
        """Return what an import would change, empty for nothing."""
        return self.call("configuration.importcompare", format="yaml", source=text, rules=RULES)

    def exported(self, name: str) -> str:
        """Return a template as Zabbix exports it, without the time of the export."""
        options = {"templates": [self.template_id(name)]}
        text = str(self.call("configuration.export", format="yaml", options=options))
        return re.sub(r"^  date: .*\n", "", text, flags=re.MULTILINE)

    def template_id(self, name: str) -> str:
        (found,) = self.call("template.get", filter={"host": name}, output=["templateid"])
        return str(found["templateid"])

    def make_host(self, name: str, template: str, macros: Mapping[str, str], agent_port: int = 10050) -> "Monitored":
        """Make a host at 127.0.0.1 with a template and macros of its own."""
        (group,) = self.call("hostgroup.get", filter={"name": "Linux servers"}, output=["groupid"])
        interface = {"type": 1, "main": 1, "useip": 1, "ip": HOST, "dns": "", "port": str(agent_port)}
        made = self.call(
            "host.create",
            host=name,
            groups=[group],
            interfaces=[interface],
            templates=[{"templateid": self.template_id(template)}],
            macros=[{"macro": macro, "value": value} for macro, value in macros.items()],
        )
        return Monitored(self, made["hostids"][0])


class Problem(NamedTuple):
    """A problem that is open."""

    name: str
    severity: int
    opdata: str


class Monitored:
    """A host in Zabbix, seen through the API."""

    def __init__(self, api: Api, number: str) -> None:
        self._api = api
        self._of = {"hostids": [number]}

    def items(self) -> dict[str, dict[str, Any]]:
        """Return the items by their keys."""
        found = self._api.call("item.get", **self._of, output=["key_", "lastvalue", "lastclock", "state", "error"])
        return {item["key_"]: item for item in found}

    def values(self) -> dict[str, str]:
        """Return the last value of every item that has one."""
        return {key: str(item["lastvalue"]) for key, item in self.items().items() if item["lastclock"] != "0"}

    def macro(self, name: str, value: str) -> None:
        """Change one of the host's own macros."""
        (found,) = self._api.call("usermacro.get", **self._of, filter={"macro": name}, output=["hostmacroid"])
        self._api.call("usermacro.update", hostmacroid=found["hostmacroid"], value=value)

    def triggers(self) -> list[dict[str, Any]]:
        """Return the triggers; `value` 1 is a problem, `state` 1 one that cannot be evaluated."""
        output = ["description", "value", "state", "error", "priority", "url"]
        found: list[dict[str, Any]] = self._api.call("trigger.get", **self._of, output=output, expandDescription=True)
        return found

    def problems(self) -> dict[str, Problem]:
        """Return the open problems by the names of their events."""
        found = self._api.call("problem.get", **self._of, output=["name", "severity", "opdata"])
        return {one["name"]: Problem(one["name"], int(one["severity"]), one["opdata"]) for one in found}


class Site(NamedTuple):
    """A running Zabbix."""

    api: Api
    home: Path
    agent_port: int


def eventually(look: Callable[[], T], wanted: Callable[[T], bool]) -> T:
    """Return what `look` finds as soon as it is as wanted; fails with what was found last."""
    until = time.monotonic() + SECONDS
    while not wanted(found := look()):
        assert time.monotonic() < until, found
        time.sleep(0.2)
    return found


def missing() -> str | None:
    """Return what is missing, as a sentence; None if nothing is."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Zabbix needs Linux and root here, to run each program as its own user"
    absent = sorted({package for program, package in PACKAGES.items() if not program.exists()})
    if not absent:
        loaded = subprocess.run([PHP, "-m"], capture_output=True, text=True, check=True).stdout.split()
        absent = [package for module, package in MODULES.items() if module not in loaded]
    return f"install the Debian package{'s' * (len(absent) > 1)} {' and '.join(absent)}" if absent else None


@contextmanager
def zabbix(home: Path) -> Iterator[Site]:
    """Run the database, the server, the frontend and an agent with their files in `home`, a short path."""
    with postgresql.postgresql(home / "postgresql") as database:
        for name in ("schema", "data"):
            database.run(_statements(SHIPPED / f"{name}.sql.gz"))
        words = {"database": database, "dbport": postgresql.PORT, "name": postgresql.NAME, "host": HOST}
        api, agent_port = Api(free_port(HOST)), free_port(HOST)
        with (
            _frontend(home, FRONTEND_CONFIG.format(**words), api),
            _daemon(home, SERVER, SERVER_CONFIG, words | {"port": free_port(HOST)}),
            _daemon(home, AGENT, AGENT_CONFIG, words | {"port": agent_port}),
        ):
            yield Site(api, home, agent_port)


def _statements(file: Path) -> str:
    """Return the SQL of a file; of its rows those of the tables in ROWS."""
    first, *inserts = gzip.decompress(file.read_bytes()).decode().split("\nINSERT INTO ")
    kept = [f"INSERT INTO {one}\n" for one in inserts if one.split(" ", 1)[0] in ROWS]
    return "\n".join([first.replace("START TRANSACTION;", ""), *kept]).replace("\nCOMMIT;", "")


@contextmanager
def _daemon(home: Path, program: Path, config: str, words: Mapping[str, object]) -> Iterator[None]:
    """Run the server or the agent as its own user; return when it works."""
    place = home / program.name
    place.mkdir()
    shutil.chown(place, USER, USER)
    file, log = place / "config", home / f"{program.name}.log"
    file.write_text(config.format(home=place, **words))
    shutil.chown(file, USER, USER)
    file.chmod(0o600)
    command = [*postgresql.as_user(USER), program, "-f", "-c", file]
    with running(command, log) as process:
        await_result(lambda: True if "#0 started" in log.read_text() else None, process, log)
        yield


@contextmanager
def _frontend(home: Path, config: str, api: Api) -> Iterator[None]:
    etc, log = home / "etc", home / "php.log"
    etc.mkdir()
    (etc / "zabbix.conf.php").write_text(config)
    shutil.chown(etc / "zabbix.conf.php", "www-data", "www-data")
    (etc / "zabbix.conf.php").chmod(0o600)
    php: list[str | Path] = [
        PHP,
        "-d",
        "memory_limit=1G",
        "-d",
        "post_max_size=16M",
        "-S",
        f"{HOST}:{api.port}",
        "-t",
        FRONTEND,
    ]
    command: list[str | Path] = ["unshare", "--mount", "--propagation", "private", "sh", "-c", AS_FRONTEND, "frontend"]
    command += [etc, *postgresql.as_user("www-data"), *php]

    def log_in() -> bool | None:
        with suppress(URLError, ConnectionError):
            api.log_in()
            return True
        return None

    with running(command, log) as process:
        await_result(log_in, process, log)
        yield
