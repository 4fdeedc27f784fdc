"""The whole process: what one check costs the monitoring host, from exec to exit."""

import compileall
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from check_ssh_exchange.probe.schedule import PAUSE
from tests.lab import busy_server as server

from . import machine
from .table import Row, ratio, spread

TARGET = 3.5
ABSENT = ("asyncio", "asyncssh")
TITLE = "CPU of a default run, 5 handshakes, whole process"
_IMPORTS = """
import sys
from check_ssh_exchange.remote.cli import main
main(sys.argv[1:])
print(len(sys.modules), *(name for name in {absent} if name in sys.modules))
"""

# What pip writes for the entry point.
_SCRIPT = """#!{python}
import sys
from check_ssh_exchange.remote.cli import run
if __name__ == '__main__':
    sys.exit(run())
"""

_BYTECODE = shutil.ignore_patterns("__pycache__")
# What a developer's shell says to Python, such as to write no bytecode, a monitoring daemon's does not.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

Command = Callable[[str], list[str]]  # an address to a command line


class Installation(NamedTuple):
    """An interpreter, and the plugin's console script for it."""

    python: str
    script: str


@contextmanager
def installation() -> Iterator[Installation]:
    """Give a virtual environment that holds the plugin and what it needs, and no more.

    The environment that the bench itself runs in starts slowly: an editable install and coverage hook into every start
    of its interpreter. Bare Python would look expensive there, and the plugin cheap beside it.
    """
    with tempfile.TemporaryDirectory() as home:
        venv.EnvBuilder(symlinks=True).create(home)
        python, script = Path(home) / "bin" / "python", Path(home) / "bin" / "check_ssh_exchange"
        (packages,) = Path(home).glob("lib/python*/site-packages")
        for name in ("check_ssh_exchange", "nagiosplugin"):
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.submodule_search_locations
            shutil.copytree(spec.submodule_search_locations[0], packages / name, ignore=_BYTECODE)
        compileall.compile_dir(packages, quiet=1)  # as pip does
        script.write_text(_SCRIPT.format(python=python))
        script.chmod(0o755)
        yield Installation(str(python), str(script))


class Cost(NamedTuple):
    """Milliseconds of CPU and wall of one process, and its exit code."""

    cpu: float
    wall: float
    code: int


def cost(command: list[str]) -> Cost:
    """Run a command and return what the kernel booked on it."""
    nowhere = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    begun = time.monotonic()
    pid = os.posix_spawnp(command[0], command, _ENVIRONMENT, file_actions=nowhere)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - begun
    return Cost((usage.ru_utime + usage.ru_stime) * 1000, wall * 1000, os.waitstatus_to_exitcode(status))


def row(rounds: int) -> Row:
    """Measure in `rounds` rounds, each of one process of every kind."""
    with installation() as installed, server.sshd() as real:
        if real is not None:
            return _row(rounds, installed, real, "this machine's sshd")
        with server.answering() as embedded:
            return _row(rounds, installed, embedded, "the bench's own server, for lack of an sshd")


def _row(rounds: int, installed: Installation, target: server.Server, name: str) -> Row:
    commands = _commands(installed, target)
    costs: dict[str, list[Cost]] = {what: [] for what in commands}
    for number in range(rounds + 1):
        for what, command in commands.items():
            taken = cost(command("127.0.0.1" if target.is_real else server.fresh_address()))
            if number:  # the first round fills the caches
                costs[what].append(taken)
    bare, ours = ([one.cpu for one in costs[what]] for what in list(commands)[:2])
    measured = ratio(ours, bare)
    imported, *unwanted = _imported(installed, target)
    lines = [_line(what, taken, bare) for what, taken in costs.items()]
    lines += [(what, machine.remedy(what), "", "", "") for what in _missing(commands)]
    return Row(
        TITLE,
        f"<= {TARGET}x a bare `python -c pass`, no {', no '.join(ABSENT)}",
        f"{measured:.2f}x, {' and '.join(unwanted) or 'neither'} loaded",
        measured <= TARGET and not unwanted,
        f"Every program alone, in turn, {rounds} rounds on one CPU, against {name} on the other; user and system time "
        "as wait4() tells it, median (least to greatest); the ratio is the median over the rounds. The interpreter is "
        "that of a virtual environment with the plugin and nagiosplugin in it and nothing else, the plugin its "
        f"console script; it loads {imported} modules; its wall time holds a pause of {PAUSE:g} s.",
        _HEADER,
        tuple(lines),
    )


_HEADER = ("program", "CPU, ms", "wall, ms", "CPU against bare Python", "exit codes")


def _line(what: str, taken: Sequence[Cost], bare: Sequence[float]) -> tuple[str, ...]:
    cpu = [one.cpu for one in taken]
    codes = " ".join(str(code) for code in sorted({one.code for one in taken}))
    return what, spread(cpu), spread([one.wall for one in taken]), f"{ratio(cpu, bare):.2f}x", codes


def _commands(installed: Installation, target: server.Server) -> dict[str, Command]:
    port = str(target.port)
    commands: dict[str, Command] = {
        "python -c pass": lambda _: [installed.python, "-c", "pass"],
        "check_ssh_exchange, 5 handshakes": lambda address: [installed.script, "-H", address, "-p", port],
    }
    check_ssh, keyscan = machine.program("check_ssh"), machine.program("ssh-keyscan")
    if check_ssh:
        commands["check_ssh, 1 identification"] = lambda address: [check_ssh, "-H", address, "-p", port]
    if keyscan and target.is_real:  # it waits for a host key, which only a real server has
        commands["ssh-keyscan, 1 key exchange"] = lambda address: [keyscan, "-t", "ed25519", "-p", port, address]
    return commands


def _missing(commands: dict[str, Command]) -> list[str]:
    wanted = ("check_ssh", "ssh-keyscan")
    return [name for name in wanted if not any(what.startswith(f"{name},") for what in commands)]


def _imported(installed: Installation, target: server.Server) -> list[str]:
    """Return how many modules a default run has loaded, and which of those that it must not."""
    command = [installed.python, "-c", _IMPORTS.format(absent=ABSENT), "-H", "127.0.0.1", "-p", str(target.port)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=_ENVIRONMENT)
    return told.stdout.split()
