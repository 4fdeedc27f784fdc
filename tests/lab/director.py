"""Icinga Director in a directory of its own: Icinga Web's command line, a database, an Icinga to deploy to.

It is Debian's, either the one that is installed here or a newer one that is only unpacked: all of it is PHP.
"""

import json
import re
import secrets
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar
from urllib.error import URLError

from tests.lab import chroots
from tests.lab.daemons import ENVIRONMENT, Installation, await_result, running
from tests.lab.icinga import NODE, Configuration
from tests.lab.mariadb import MariaDb
from tests.lab.zoo import free_port

PHP = Path("/usr/bin/php")
PDO = next(iter(Path("/usr/lib/php").glob("*/pdo_mysql.so")), Path("/usr/lib/php/pdo_mysql.so"))
INSTALLED = Path("/")
MODULES = Path("usr/share/icingaweb2/modules")
PACKAGES = {
    PHP: "php-cli",
    Path("/usr/bin/icingacli"): "icingacli",
    INSTALLED / MODULES / "director": "icingaweb2-module-director",
    PDO: "php-mysql",
}
# What is newer than the Director of Debian 12; all of it is for every architecture, and runs on the PHP of Debian 12.
NEWER = "trixie"
UNPACKED_AS = f"director-{NEWER}"
UNPACKED = (
    "icingaweb2-module-director", "icingaweb2-module-incubator", "icingaweb2-module-reactbundle", "icingaweb2",
    "icingaweb2-common", "php-icinga", "icinga-php-library", "icinga-php-thirdparty",
)  # fmt: skip
SECONDS = 100.0  # for what takes less than five

CLI = """<?php
require_once '{root}/usr/share/php/Icinga/Application/Cli.php';
Icinga\\Application\\Cli::start('{root}/usr/share/icingaweb2')->dispatch();
"""
CONFIG = """[global]
module_path = "{modules}"
config_backend = "ini"
config_resource = "director"
[logging]
log = "none"
"""
# PHP takes `localhost` for the socket.
RESOURCES = """[director]
type = "db"
db = "mysql"
host = "localhost"
dbname = "{database}"
username = "root"
password = ""
charset = "utf8"
"""
KICKSTART = """[config]
endpoint = "{node}"
host = "127.0.0.1"
port = {port}
username = "director"
password = "{password}"
"""
OBJECTS = """object Zone "director-global" {{ global = true }}
object ApiUser "director" {{ password = "{password}"; permissions = [ "*" ] }}
"""

Result = TypeVar("Result")


def newer() -> Path:
    """Return the root directory of a newer Director; it is fetched and unpacked once. Raises ZooError."""
    root = chroots.cache() / UNPACKED_AS
    with chroots.locked(chroots.cache() / "director.lock"):
        if not root.exists():
            downloads, part = (chroots.cache() / f"{root.name}.{name}" for name in ("downloads", "part"))
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            index = chroots.Packages(chroots.read_index(NEWER, downloads))
            files = [index.fields(package) for package in UNPACKED]
            chroots.fetch(files, downloads)
            for fields in files:
                chroots.unpack(downloads / Path(fields["Filename"]).name, part)
            (part / chroots.VERSION).write_text(files[0]["Version"] + "\n")
            shutil.rmtree(downloads)
            part.rename(root)
    return root


class Deployed(NamedTuple):
    """How Icinga judged a configuration from the Director: the exit code and the output of its validation."""

    status: int
    log: str
    files: dict[str, str]


class Director:
    """A Director with an empty database, and a running Icinga that it can deploy to."""

    def __init__(self, root: Path, database: MariaDb, plugin: Installation, name: str) -> None:
        self.name = name
        self.services: dict[str, dict[str, Any]] = {}  # by name, after their first check
        self.icinga = Configuration(plugin, name, "", "")
        self.api = self.icinga.open_api()
        self._database = database
        self._home = plugin.directory(f"{name}-web")
        settings = {"pdo_mysql.default_socket": database.socket, "session.save_path": self._home}
        self._php: list[str | Path] = [PHP, *(f"-d{setting}={value}" for setting, value in settings.items())]
        self._share = root / "usr/share"
        self._environment = {
            **ENVIRONMENT,
            "ICINGAWEB_CONFIGDIR": str(self._home),
            "ICINGAWEB_LIBDIR": str(root / "usr/share/icinga-php"),
            "ICINGAWEB_STORAGEDIR": str(plugin.directory(f"{name}-web", "storage")),
            "REMOTE_USER": "admin",  # whom a web server in front would have let in
        }
        self._info = (root / MODULES / "director" / "module.info").read_text()
        self._configure(root)
        database.make(name)
        self.run("migration", "run")

    def _configure(self, root: Path) -> None:
        password = secrets.token_urlsafe()
        modules = root / MODULES
        files = {
            "cli.php": CLI.format(root=str(root).rstrip("/")),
            "config.ini": CONFIG.format(modules=modules),
            "authentication.ini": '[web_server]\nbackend = "external"\n',
            "roles.ini": '[admins]\nusers = "admin"\npermissions = "*"\n',
            "resources.ini": RESOURCES.format(database=self.name),
            "modules/director/config.ini": '[db]\nresource = "director"\n',
            "modules/director/kickstart.ini": KICKSTART.format(node=NODE, port=self._meet(password), password=password),
        }
        for name, text in files.items():
            file = self._home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (self._home / "enabledModules").mkdir()
        for module in ("director", "incubator", "reactbundle"):
            (self._home / "enabledModules" / module).symlink_to(modules / module)

    def _meet(self, password: str) -> str:
        """Have Icinga know the Director, and say in its Endpoint where its API is; return the port."""
        file = self.icinga.home / "etc" / "icinga2.conf"
        text = file.read_text()
        (port,) = re.findall(r"bind_port = (\d+)", text)
        bare = "object Endpoint NodeName { }"
        assert bare in text
        text = text.replace(bare, f'object Endpoint NodeName {{ host = "127.0.0.1"; port = {port} }}')
        file.write_text(text + OBJECTS.format(password=password))
        return str(port)

    @property
    def version(self) -> tuple[int, ...]:
        (version,) = re.findall(r"^Version: ([\d.]+)$", self._info, re.MULTILINE)
        return tuple(map(int, version.split(".")))

    @contextmanager
    def with_icinga(self) -> Iterator[Self]:
        """Run Icinga, and have the Director learn from it which objects it has."""
        self._log = self.icinga.home / "output"
        with closing(self.api), running(self.icinga.daemon, self._log) as self._process:
            self._await(lambda: self.api.get("objects/zones"))
            self.run("kickstart", "run")
            yield self

    def _await(self, read: Callable[[], Result | None]) -> Result:
        def attempt() -> Result | None:
            with suppress(URLError, ConnectionError):  # while Icinga starts, or starts again
                return read()
            return None

        return await_result(attempt, self._process, self._log)

    def attempt(self, *words: str, stdin: str = "") -> tuple[int, str]:
        """Return the exit code of `icingacli director ...` and all that it prints."""
        command = [*self._php, self._home / "cli.php", "director", *words]
        done = subprocess.run(
            command, input=stdin, env=self._environment, capture_output=True, text=True, timeout=SECONDS, cwd="/"
        )
        return done.returncode, done.stdout + done.stderr

    def run(self, *words: str, stdin: str = "") -> str:
        """Return what `icingacli director ...` prints; it must succeed."""
        code, out = self.attempt(*words, stdin=stdin)
        assert code == 0, out
        return out

    def restore(self, basket: str) -> None:
        self.run("basket", "restore", stdin=basket)

    def show(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object's own properties."""
        shown: dict[str, Any] = json.loads(self.run(kind, "show", name, "--json", "--no-defaults"))
        return shown

    def create(self, kind: str, name: str, **properties: object) -> None:
        self.run(kind, "create", name, "--json", json.dumps({"object_type": "object", **properties}))

    def rows(self, columns: str, rest: str) -> list[list[Any]]:
        """Return the rows of `SELECT columns rest` in the Director's database."""
        return self._database.rows(self.name, columns, rest)

    def checksums(self) -> dict[str, str]:
        """Return a checksum of the rows of each table of the Director's database."""
        return self._database.checksums(self.name)

    @contextmanager
    def web(self) -> Iterator[Callable[[str], str]]:
        """Run Icinga Web; yield a function that returns its page at a path, as a browser's user `admin` gets it."""
        port = free_port("127.0.0.1")
        environment = [f"{name}={value}" for name, value in self._environment.items()]
        public, router = self._share / "icingaweb2/public", self._share / "php/Icinga/Application/webrouter.php"
        command = ["/usr/bin/env", *environment, *self._php, "-S", f"127.0.0.1:{port}", "-t", public, router]
        log = self._home / "web.log"

        def read(path: str) -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as answer:
                text: str = answer.read().decode()
            return text

        def listens() -> bool | None:
            with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), SECONDS):
                return True
            return None

        with running(command, log) as process:
            await_result(listens, process, log)
            yield read

    def deploy(self) -> Deployed:
        """Have the Director render its configuration and hand it to Icinga; wait until Icinga has judged it."""
        stages = self.icinga.home / "data" / "api" / "packages" / "director"
        before = {*stages.glob("*/status")}
        self.run("config", "deploy")

        def judged() -> Path | None:
            return next((file for file in stages.glob("*/status") if file not in before and file.read_text()), None)

        status = self._await(judged)
        stage = status.parent
        files = {str(file.relative_to(stage)): file.read_text() for file in stage.rglob("zones.d/**/*.conf")}
        return Deployed(int(status.read_text()), (stage / "startup.log").read_text(), files)

    def check(self, names: Collection[str]) -> None:
        """Have Icinga check these services, as soon as it has them, and read them."""

        def found() -> dict[str, dict[str, Any]] | None:
            services = {attributes["name"]: attributes for attributes in self.api.get("objects/services")}
            return services if set(names) <= set(services) else None

        def checked() -> dict[str, dict[str, Any]] | None:
            services = found()
            return services if services and all(services[name]["last_check_result"] for name in names) else None

        self._await(found)
        self._await(self.api.check_now)
        self.services = self._await(checked)
