"""systemd as it boots a host: a real one in namespaces of its own, over a copy-on-write view of this machine's files.

`with Machine(directory, units) as machine` has the units in /etc/systemd/system and both plugins and the exporter where
the units look for them. What it changes in files is in `machine.changed`, and goes with the directory.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
PACKAGES = {SYSTEMD: "systemd", Path("/usr/bin/dbus-daemon"): "dbus", Path("/usr/sbin/sshd"): "openssh-server"}
TOOLS = {"unshare": "util-linux", "ip": "iproute2", "nft": "nftables", "iptables-legacy": "iptables"}
SECONDS = 120.0  # for one command; all are quick on an idle machine
HOMES = ("root", "home")  # below the root directory; what a confined service does not see
LIBRARY = "/opt/check_ssh_exchange"
PROGRAMS = {
    "usr/lib/nagios/plugins/check_sshd_local": "check_ssh_exchange.host.cli",
    "usr/lib/nagios/plugins/check_ssh_exchange": "check_ssh_exchange.remote.cli",
    "usr/bin/ssh_exchange_exporter": "ssh_exchange_exporter.cli",
}
SCRIPT = """#!{python} -I
import sys
sys.path[:0] = ["{library}/exporter", "{library}/plugin", "{library}/site"]
from {module} import run
run()
"""

# What reaches the kernel that this machine shares with its host stays out: no sysctl, no module, no audit, no udev.
BOOT = """
set -e
mount --make-rprivate /
upper=$1 work=$2 root=$3; shift 3
mount -t overlay overlay -o "lowerdir=/,upperdir=$upper,workdir=$work" "$root"
cd "$root"
rm -rf lib/systemd/system/*.wants etc/systemd/system/*.wants etc/fstab
mount -t proc proc proc
mount --bind -o ro proc/sys proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts
for node in full kmsg null ptmx random tty urandom zero; do touch dev/$node; mount --bind /dev/$node dev/$node; done
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
while [ $# -gt 0 ]; do mkdir -p ".$2"; mount --bind -o ro "$1" ".$2"; shift 2; done
ip link set lo up
mkdir -p .old
pivot_root . .old
umount -l /.old
mount --make-rshared /  # as systemd does itself on a real host: a credential is mounted elsewhere and moved
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target \\
    --log-level=notice --log-target=console --show-status=no
"""


class Failed(Exception):
    """The machine did not come up; the message has what systemd wrote."""


class Done(subprocess.CompletedProcess[str]):
    """A command that has ended in the machine."""

    @property
    def said(self) -> str:
        return f"{self.args!r} ended with {self.returncode}: {self.stdout}{self.stderr}"


class Machine:
    """The host; a context manager that ends it with all its processes."""

    def __init__(self, directory: Path, units: Iterable[Path]) -> None:
        self.changed = directory / "changed"
        self._directory = directory
        self._log = directory / "log"
        self._pid = 0
        self._group = unified() / f"test-{os.getpid()}-{directory.name}"
        for name in ("changed", "work", "root"):
            (directory / name).mkdir()
        directory.chmod(0o755)
        self.changed.chmod(0o755)
        for path, module in PROGRAMS.items():
            self.write(path, SCRIPT.format(python=interpreter(), library=LIBRARY, module=module), 0o755)
        for unit in units:
            self.write(f"etc/systemd/system/{unit.name}", unit.read_text("utf-8"))

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Have a file in the machine; before it has booted."""
        file = self.changed / path
        for parent in reversed([one for one in file.parents if one.is_relative_to(self.changed)]):
            parent.mkdir(exist_ok=True)
            real = Path("/") / parent.relative_to(self.changed)
            parent.chmod(real.stat().st_mode & 0o7777 if real.exists() else 0o755)
        file.write_text(text)
        file.chmod(mode)

    def file(self, path: str) -> Path:
        """Return where a file of the machine is seen from here."""
        return Path(f"/proc/{self._pid}/root") / path.lstrip("/")

    def __enter__(self) -> Self:
        self._group.mkdir()
        site = find_spec("nagiosplugin")
        assert site is not None
        assert site.origin is not None
        mounts = {
            ROOT / "exporter": "exporter",
            ROOT: "plugin",
            Path(site.origin).parents[1]: "site",
        }
        words = [word for source, name in mounts.items() for word in (str(source), f"{LIBRARY}/{name}")]
        places = [str(self._directory / name) for name in ("changed", "work", "root")]
        namespaces = ["--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net"]
        inner = ["unshare", *namespaces, "--fork", "--kill-child=SIGKILL", "bash", "-c", BOOT, "boot"]
        command = ["bash", "-c", f'echo $$ >"{self._group}/cgroup.procs"; exec "$@"', "enter", *inner, *places, *words]
        with self._log.open("wb") as log:
            self._started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        try:
            self._await()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._started.kill()  # and with it the first process of the namespace, and with that all
        self._started.wait(SECONDS)
        until = time.monotonic() + SECONDS
        while self._group.exists() and time.monotonic() < until:
            for group in sorted([*self._group.rglob("*/"), self._group], reverse=True):
                with suppress(OSError):  # its processes are still ending
                    group.rmdir()
            time.sleep(0.02)

    def _await(self) -> None:
        until = time.monotonic() + SECONDS
        while True:
            if self._started.poll() is not None or time.monotonic() > until:
                raise Failed(self._log.read_text("utf-8", "replace")[-2000:])
            if not self._pid:
                self._pid = self._first()
            elif self("systemctl", "is-active", "basic.target").stdout == "active\n":
                self("systemctl", "start", "systemd-journald-dev-log.socket", "dbus.socket")
                return
            time.sleep(0.05)

    def _first(self) -> int:
        """Return systemd's process, 0 while there is none yet."""
        with suppress(OSError, ValueError):
            pid = int(Path(f"/proc/{self._started.pid}/task/{self._started.pid}/children").read_text())
            if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                return pid
        return 0

    def __call__(self, *command: str) -> Done:
        """Run a command in the machine as root."""
        namespaces = ["--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net", "--root", "--wd"]
        words = ["nsenter", "--target", str(self._pid), *namespaces, *command]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": ""}
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, env=environment
        )
        return Done(command, done.returncode, done.stdout, done.stderr)

    def property(self, unit: str, name: str) -> str:
        """Return what systemd says of a unit."""
        return self("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def journal(self, unit: str) -> str:
        """Return what a unit wrote."""
        return self("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout


def unified() -> Path:
    """Return where this host has cgroups of version 2."""
    hybrid = Path("/sys/fs/cgroup/unified")
    return hybrid if hybrid.is_dir() else Path("/sys/fs/cgroup")


def interpreter() -> str:
    """Return a Python that a confined service can run."""
    own = Path(os.path.realpath(sys.executable))
    return "/usr/bin/python3" if own.parts[1] in HOMES else str(own)


def missing() -> str | None:
    """Return why no machine can be booted here, as a sentence; None if one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "systemd in namespaces needs Linux and root"
    absent = [package for program, package in PACKAGES.items() if not program.exists()]
    absent += [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if absent:
        return f"install the Debian package{'s' * (len(absent) > 1)} {' and '.join(absent)}"
    if not (unified() / "cgroup.procs").exists():
        return "this host has no cgroups of version 2, which systemd needs"
    asked = subprocess.run([interpreter(), "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True)
    if asked.stdout.decode().split() != [str(number) for number in sys.version_info[:2]]:
        return f"{interpreter()} is not of this Python's version, and a confined service sees no other"
    return None


def unit_names(folder: Path) -> Sequence[str]:
    """Return the names of the units in a folder."""
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".service", ".socket", ".timer"))
