"""The plugins as monitoring daemons run them: installed for user nagios, and the daemons started and ended.

tests/lab/nagios.py, tests/lab/icinga.py and tests/lab/nrpe.py have the daemons.
"""

import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

from tests.lab import processes

USER = "nagios"  # the user that Debian's packages of all three run plugins as
CONTRIB = Path(__file__).parents[2] / "contrib"
PLUGIN_DIRECTORY = "/usr/lib/nagios/plugins/"  # what the definitions in contrib/ name
OURS = f"{PLUGIN_DIRECTORY}check_ssh"  # how the paths of both plugins begin, and of no other
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}  # a service's environment, without pytest's
RESULT_SECONDS = 100.0  # the longest run takes five; the rest is for a busy machine
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05

# A console script as pip writes it, with the packages beside it: user nagios cannot read every user's virtual
# environment. It also records its arguments and its output for the test. The interpreter is isolated: check_sshd_local
# as root by sudo goes on in no other.
SCRIPT = """#!{python} -I
import json, os, sys
sys.path[:0] = ["{home}/lib"]
write = os.write
def recorded(descriptor, data):
    with open(f"{home}/records/{program}-{{os.geteuid()}}-{{os.getpid()}}-{{descriptor}}", "a") as record:
        record.write(json.dumps([sys.argv[1:], data.decode("ascii")]) + "\\n")
    return write(descriptor, data)
os.write = recorded
from check_ssh_exchange.{face}.cli import run
run()
"""
FACES = {"check_ssh_exchange": "remote", "check_sshd_local": "host"}  # program -> the package of its command line
IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))"

Result = TypeVar("Result")


class DaemonError(Exception):
    """A daemon failed; the message names it and has the end of its log."""


class NoPython(DaemonError):
    """User nagios can run no suitable interpreter here; the message says what to install."""


class Printed(NamedTuple):
    """What one run of the plugin wrote to stdout."""

    out: str

    @property
    def text(self) -> str:
        """The status line without its perfdata."""
        return self.out.split("\n", 1)[0].split(" | ")[0]

    @property
    def perfdata(self) -> str:
        return self.out.split("\n", 1)[0].partition(" | ")[2]

    @property
    def long_text(self) -> str:
        return self.out.partition("\n")[2].removesuffix("\n")


class Installation:
    """The plugins in a directory that user nagios can read; a context manager that kills their processes."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=f"check-ssh-{secrets.token_hex(4)}-")).resolve()
        self.plugins = self.home / "plugins"
        self.plugin = self.plugins / "check_ssh_exchange"
        self.local = self.plugins / "check_sshd_local"
        self._records = self.home / "records"

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._remove)
            self.home.chmod(0o755)
            python = python_of_all()
            for name in ("check_ssh_exchange", "nagiosplugin"):
                shutil.copytree(package(name), self.home / "lib" / name, ignore=shutil.ignore_patterns("__pycache__"))
            subprocess.run([python, "-m", "compileall", "-q", self.home / "lib"], check=True, env=ENVIRONMENT)
            self.directory("records").chmod(0o1777)  # also for whom check_by_ssh logs in as
            self.plugins.mkdir()
            for program, face in FACES.items():
                script = self.plugins / program
                script.write_text(SCRIPT.format(python=python, home=self.home, program=program, face=face))
                script.chmod(0o755)
            undo.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._remove()

    def directory(self, *names: str) -> Path:
        """Make a directory for user nagios."""
        path = self.home
        for name in names:
            path /= name
            path.mkdir(exist_ok=True)
            shutil.chown(path, USER, USER)
        return path

    def definition(self, file: Path) -> str:
        """Return a definition with these plugins in the place of those that a package would install."""
        text = file.read_text("utf-8")
        assert OURS in text
        return self.here(text)

    def here(self, text: str) -> str:
        """Return a text with the paths of these plugins in the place of the packaged ones'."""
        return text.replace(OURS, f"{self.plugins}/{OURS.removeprefix(PLUGIN_DIRECTORY)}")

    def printed(self, arguments: Sequence[str], program: str = "check_ssh_exchange") -> Printed:
        """Return what the one run of a plugin with these arguments wrote, to stdout and nowhere else."""
        runs: dict[str, str] = {}
        for record in self._records.glob(f"{program}-*"):
            for line in record.read_text().splitlines():
                given, out = json.loads(line)
                if given == list(arguments):
                    assert record.name.endswith("-1"), f"not written to stdout: {out}"
                    runs[record.name] = runs.get(record.name, "") + out
        (out,) = runs.values()
        return Printed(out)

    def _remove(self) -> None:
        processes.kill(processes.started_from, self.home)
        shutil.rmtree(self.home)


def package(name: str) -> Path:
    """Return the directory of a package."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def python_of_all() -> str:
    """Return an interpreter that user nagios can run: this one, else Debian's. Raises NoPython."""
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        with suppress(OSError):  # missing, or in a directory that only root can read
            command = [python, "-c", IS_NEW_ENOUGH]
            asked = subprocess.run(
                command,
                user=USER,
                group=USER,
                extra_groups=[],
                cwd="/",
                env=ENVIRONMENT,
                capture_output=True,
                timeout=RESULT_SECONDS,
            )
            if asked.returncode == 0:
                return python
    raise NoPython(f"user {USER} cannot run Python 3.11 or later here: install the Debian package python3")


def missing(packages: Mapping[Path, str]) -> str | None:
    """Return why these daemons cannot be run here, as a sentence; None if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "the monitoring daemons need Linux and root, to run plugins as their own user"
    if absent := [package for program, package in packages.items() if not program.exists()]:
        return f"install the Debian package{'s' * (len(absent) > 1)} {' and '.join(absent)}"
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return f"user {USER} does not exist: install the Debian package icinga2-bin, nagios4-core or nagios-nrpe-server"
    return None


@contextmanager
def running(command: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon in the foreground; end it with SIGTERM, then with SIGKILL."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


def await_result(read: Callable[[], Result | None], process: subprocess.Popen[bytes], log: Path) -> Result:
    """Call `read` until it returns something other than None, and return that. Raises DaemonError."""
    give_up = time.monotonic() + RESULT_SECONDS
    while (result := read()) is None:
        if process.poll() is not None or time.monotonic() > give_up:
            logged = log.read_text("utf-8", "replace")[-2000:]
            ended = "gave no result in time" if process.returncode is None else f"ended with {process.returncode}"
            raise DaemonError(f"{process.args!r} {ended}: {logged}")
        time.sleep(POLL_SECONDS)
    return result
