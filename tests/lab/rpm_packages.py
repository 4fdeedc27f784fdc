"""The packages of packaging/rpm: built, and installed by rpm into a chroot with a database of its own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.lab import zoo
from tests.lab.chroots import PYTHON
from tests.lab.exporter import Program
from tests.lab.front_door import ROOT, Answer, check

RPM = ROOT / "packaging" / "rpm"
PLUGINS, EXPORTER = "nagios-plugins-ssh-exchange", "ssh-exchange-exporter"
PLUGIN_DIRECTORY = "/usr/lib64/nagios/plugins"
MODULES, EXPORTER_MODULES = "/usr/lib/check_ssh_exchange", "/usr/lib64/ssh_exchange_exporter"
CONFIGURATION = "/etc/ssh_exchange_exporter/config.yml"
TOOLS = ("rpmbuild", "rpm", "rpm2cpio", "cpio")
MOMENT = "1700000000"
BUILD_SECONDS = 900.0  # half a minute on an idle machine
SECONDS = 120.0
NOBODY = "65534:65534"
# $1 is the root; /proc is in a namespace that ends with the program.
ENTER = 'mount -t proc proc "$1/proc" && exec chroot --userspec="$2" "$1" /usr/bin/env -i PATH=/usr/bin:/bin "${@:3}"'


def missing() -> str | None:
    """Return why the packages can neither be built nor tried here, as a sentence; None if they can."""
    absent = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"the RPM packages lack {', '.join(absent)}: apt-get install rpm cpio" if absent else zoo.missing([PYTHON])


def run(*command: str | Path, seconds: float = SECONDS) -> str:
    """Run a command that must succeed and return its output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def build_twice(place: Path, python: str) -> None:
    """Build into `one` and, those for Enterprise Linux only, `another`, at once, with other masks and time zones."""
    with ExitStack() as stack:
        started = []
        for name, mask, zone, kinds in (("one", "022", "UTC", "fedora el"), ("another", "077", "Asia/Tokyo", "el")):
            scratch = place / f"scratch-{name}"
            scratch.mkdir()
            env = {"PYTHON": sys.executable, "EL_PYTHON": python.strip(), "KINDS": kinds, "TMPDIR": str(scratch)}
            env |= {"SOURCE_DATE_EPOCH": MOMENT, "TZ": zone}
            command = [
                "sh",
                "-c",
                'umask "$1"; exec sh "$2" "$3"',
                "sh",
                mask,
                str(RPM / "build.sh"),
                str(place / name),
            ]
            log = stack.enter_context((place / f"{name}.log").open("w"))
            process = subprocess.Popen(command, env=os.environ | env, stdout=log, stderr=log, start_new_session=True)
            stack.callback(end, process)
            started.append((process, place / f"{name}.log"))
        for process, written in started:
            assert process.wait(BUILD_SECONDS) == 0, written.read_text()[-3000:]


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a build with all that it started, where it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def rpm(root: Path, *arguments: str | Path) -> None:
    """Install, verify or remove packages in a root."""
    # --nodeps: the chroot's Python is Debian's, of which rpm knows nothing.
    done = subprocess.run(
        ["rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--nodeps", *arguments],
        capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "scriptlet failed" not in done.stderr


def entered(root: Path, *command: str, user: str = NOBODY) -> list[str]:
    """Return the command line that runs a command in a root as a user, with /proc."""
    return ["unshare", "--mount", "bash", "-c", ENTER, "bash", str(root), user, *command]


def plugin(root: Path, name: str, *arguments: str, user: str = NOBODY) -> Answer:
    """Run an installed plugin to its end."""
    return check(*arguments, command=entered(root, f"{PLUGIN_DIRECTORY}/{name}", user=user))


@contextmanager
def exporter(root: Path, log: Path) -> Iterator[Program]:
    """Run the installed exporter; it must end by itself with the block."""
    command = ["/usr/bin/ssh_exchange_exporter", f"--config.file={CONFIGURATION}", "--web.listen-address=127.0.0.1:0"]
    with log.open("wb") as file:
        process = subprocess.Popen(entered(root, *command), stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        program = Program(process, log)
        program.await_start()
        yield program
        process.terminate()
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()


def tree(root: Path) -> set[str]:
    """Return what lies in the root, but rpm's database and what Debian's Python compiled of itself."""
    own = ("var/lib/rpm", "var/tmp", "usr/lib/python3", "proc/", "dev/")
    found = (path.relative_to(root).as_posix() for path in root.rglob("*"))
    return {path for path in found if not path.startswith(own)}
