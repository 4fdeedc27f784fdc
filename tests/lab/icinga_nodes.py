"""Icinga nodes on the paths of Debian's package, each in a mount namespace of its own: shipped files run as they stand.

`with Site(plugin, "site").node("master.example", "master").started() as master` runs one. For its processes alone, its
directories lie over /etc/icinga2, /var/lib/icinga2 and the like, and the plugins over /usr/lib/nagios/plugins.
"""

import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.lab.daemons import CONTRIB, ENVIRONMENT, PLUGIN_DIRECTORY, USER, Installation, Result, await_result, running
from tests.lab.icinga import OPENSSL, PACKAGES, PROGRAM, SECONDS, UNANSWERED, Api
from tests.lab.monitored import need
from tests.lab.network import Host

FILES = CONTRIB / "icinga2"
PING = Path(PLUGIN_DIRECTORY) / "check_ping"  # Icinga's hostalive
NEEDED = {**PACKAGES, PING: "monitoring-plugins-basic", Path("/usr/bin/sudo"): "sudo"}
PORT = 5665  # of Icinga's API, where nothing else is said
DIRECTORIES = {
    "data": "/var/lib/icinga2",
    "log": "/var/log/icinga2",
    "cache": "/var/cache/icinga2",
    "spool": "/var/spool/icinga2",
}
FEATURES = """object CheckerComponent "checker" {{ }}
object ApiListener "api" {{ accept_config = true; accept_commands = true }}
object ApiUser "test" {{ password = "{password}"; permissions = [ "*" ] }}
"""
# $1 $2 ... are pairs: what is to lie where. After -- comes the command.
BIND = 'set -e; while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done; shift; exec "$@"'
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365"]


class Release(NamedTuple):
    """An Icinga: the command of its daemon, where its /etc/icinga2 is, and what of it lies over the machine's files."""

    command: Sequence[str | Path]
    configuration: Path
    binds: Mapping[Path, str]


OWN = Release([PROGRAM], Path("/etc/icinga2"), {})  # of this machine's package


class Site:
    """What nodes that work together share: the plugins, an authority for certificates, a password for the API."""

    def __init__(self, plugin: Installation, name: str, release: Release = OWN) -> None:
        self.plugin, self.release = plugin, release
        self.home = plugin.directory(name)
        self.password = secrets.token_urlsafe()
        self.authority = self.home / "ca.crt"
        self._key = self.home / "ca.key"
        run([OPENSSL, "req", "-x509", *CURVE, "-subj", "/CN=authority", "-keyout", self._key, "-out", self.authority])
        self.plugins = self.home / "plugins"
        shutil.copytree(plugin.plugins, self.plugins)
        shutil.copy2(PING, self.plugins)
        self.sudoers = self.home / "sudoers.d"
        self.sudoers.mkdir()
        shutil.copy(CONTRIB / "sudoers" / "check_sshd_local", self.sudoers)
        (self.sudoers / "check_sshd_local").chmod(0o440)

    def certify(self, name: str, directory: Path) -> None:
        """Make a key and a certificate for a node."""
        key, certificate = directory / f"{name}.key", directory / f"{name}.crt"
        subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-extensions", "usr_cert"]
        made: list[str | Path] = ["-CA", self.authority, "-CAkey", self._key, "-keyout", key, "-out", certificate]
        run([OPENSSL, "req", "-x509", *CURVE, *subject, *made])
        shutil.copy(self.authority, directory / "ca.crt")
        own(*directory.iterdir())

    def node(self, name: str, zone: str, host: Host | None = None, release: Release | None = None) -> "Node":
        """Return a node of this name without the package's examples in conf.d; only one in a namespace can start.

        It has the site's release, or another one.
        """
        made = Node(self, name, zone, host, release)
        for file in (made.etc / "conf.d").iterdir():
            file.unlink()
        return made

    def fresh_node(self, name: str, zone: str) -> "Node":
        """Return a node as the package and `icinga2 node setup` leave it."""
        return Node(self, name, zone, None)


class Node:
    """The directories of a node. `etc` is its /etc/icinga2: the package's, with what `icinga2 node setup` sets."""

    def __init__(self, site: Site, name: str, zone: str, host: Host | None, release: Release | None = None) -> None:
        self.name, self._site, self._host, self._release = name, site, host, release or site.release
        self.home = site.plugin.directory(site.home.name, name)
        self.etc = self.home / "etc"
        run(["cp", "-a", self._release.configuration, self.etc])
        constants = self.etc / "constants.conf"
        text, found = re.subn(
            r"^(//)?const NodeName = .*$", f'const NodeName = "{name}"', constants.read_text(), flags=re.MULTILINE
        )
        text, also = re.subn(r"^const ZoneName = .*$", f'const ZoneName = "{zone}"', text, flags=re.MULTILINE)
        assert (found, also) == (1, 1)
        constants.write_text(text)
        for file in (self.etc / "features-enabled").iterdir():
            file.unlink()
        self.write(FEATURES.format(password=site.password), "features-enabled", "features.conf")
        for directory in (*DIRECTORIES, "run", "data/certs"):
            site.plugin.directory(site.home.name, name, *directory.split("/"))
        site.certify(name, self.home / "data" / "certs")

    @property
    def prefix(self) -> list[str | Path]:
        """The words before a command that is to run on this node."""
        over = {self.etc: "/etc/icinga2", self._site.plugins: PLUGIN_DIRECTORY, self._site.sudoers: "/etc/sudoers.d"}
        over |= {self.home / name: path for name, path in DIRECTORIES.items()}
        pairs = [word for own, path in {**over, **self._release.binds}.items() for word in (own, path)]
        network = self._host.prefix if self._host else ()
        return [*network, "unshare", "--mount", "sh", "-c", BIND, "sh", *pairs, "--"]

    def daemon(self, *more: str) -> list[str | Path]:
        """The command of this node's daemon; its run directory also names us, so that nothing of it is left behind."""
        settings = [f"-DInitRunDir={self.home}/run", f"-DRunAsUser={USER}", f"-DRunAsGroup={USER}"]
        return [*self.prefix, *self._release.command, "daemon", *settings, *more]

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run lines of a README, in contrib/icinga2; there is no systemd to reload a daemon."""
        stub = self.home / "systemctl"
        stub.write_text("#!/bin/sh\n")
        stub.chmod(0o755)
        command = [*self.prefix, "sh", "-euc", f"PATH={self.home}:$PATH\n{script}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=FILES, env=ENVIRONMENT)

    def validate(self) -> tuple[int, str]:
        """Return the exit code and the output of `icinga2 daemon -C`."""
        done = subprocess.run(self.daemon("-C"), capture_output=True, text=True, timeout=SECONDS, cwd="/")
        return done.returncode, done.stdout + done.stderr

    def put(self, source: Path, *place: str) -> None:
        """Copy a file into a directory below /etc/icinga2."""
        target = self.etc.joinpath(*place)
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def write(self, text: str, *place: str) -> None:
        """Write a file below /etc/icinga2."""
        target = self.etc.joinpath(*place)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    @contextmanager
    def started(self) -> "Iterator[Running]":
        """Run the daemon until the end of the block, which begins when its API answers."""
        log = self.home / "output"
        assert self._host is not None  # it listens on every address, and connects to those of examples
        api = Api(PORT, self._site.password, self._site.authority, self._host.name)

        def answers() -> bool | None:
            with suppress(*UNANSWERED):  # until it listens
                api.get("objects/apiusers")
                return True
            return None

        with closing(api), running(self.daemon(), log) as process:
            await_result(answers, process, log)
            yield Running(api, process, log)


class Running(NamedTuple):
    """A node's daemon at work."""

    api: Api
    process: subprocess.Popen[bytes]
    log: Path

    def until(self, read: Callable[[], Result | None]) -> Result:
        """Call `read` until it returns something other than None, and return that."""
        return await_result(read, self.process, self.log)

    def follow(self, master: str, command: str) -> None:
        """Return when this agent or satellite has the master's configuration and, since its restart, a connection."""

        def follows() -> bool | None:
            with suppress(*UNANSWERED):  # not there yet, or between two starts
                self.api.get(f"objects/checkcommands/{command}")
                (found,) = self.api.get(f"objects/endpoints/{master}")
                return found["connected"] or None
            return None

        self.until(follows)

    def checked(self, kind: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Have this node check hosts (kind `Host`) or services at once; return their attributes, when all have been."""
        wanted = {*names}
        self.until(lambda: wanted <= {*self._all(kind)} or None)
        self.api.check_now(kind, wanted)
        return self.told(kind, wanted)

    def told(self, kind: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the attributes of hosts or services, when this node has a result of each, its own or another's."""

        def read() -> dict[str, dict[str, Any]] | None:
            found = {name: attributes for name, attributes in self._all(kind).items() if name in wanted}
            have_results = wanted == {*found} and all(attributes["last_check_result"] for attributes in found.values())
            return found if have_results else None

        wanted = {*names}
        return self.until(read)

    def _all(self, kind: str) -> dict[str, dict[str, Any]]:
        return {attributes["__name"]: attributes for attributes in self.api.get(f"objects/{kind.lower()}s")}


def need_nodes(packages: Mapping[Path, str] | None = None) -> None:
    """Skip the test where nodes, or these programs besides, cannot be run."""
    need({**NEEDED, **(packages or {})})
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("Icinga nodes on the package's paths need CAP_SYS_ADMIN, for mounts of their own")


def blocks() -> list[str]:
    """Return the shell lines of the README files in contrib/icinga2, block by block."""
    text = "".join((FILES / name).read_text("utf-8") for name in ("README.md", "distributed/README.md"))
    found: list[str] = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


def warnings(output: str) -> list[str]:
    """Return what Icinga warned of or refused, but for 2.16's notice about its own next release."""
    return [line for line in re.findall(r"(?:warning|critical)/.*", output) if "Security notice" not in line]


def run(command: Sequence[str | Path]) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True, capture_output=True)


def own(*paths: Path) -> None:
    """Give files to user nagios."""
    for path in paths:
        shutil.chown(path, USER, USER)
