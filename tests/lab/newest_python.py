"""Run the project with Debian's newest Python: a chroot of Debian sid that sees the working tree read-only.

`with newest_python() as python: python.run(python.install("1.3.2"), "-m", "pytest", "tests/test_wire.py")`
"""

import functools
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab import chroots, zoo
from tests.lab.chroots import PYTHON, cache, locked

ROOT = Path(__file__).parents[2]
NAGIOSPLUGINS = ("1.3.2", "newest")  # Debian bookworm's, and the newest on the package index
REQUIREMENTS = ("asyncssh", "hypothesis", "pytest", "pytest-timeout")
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")
MODULES = cache() / "modules"
INSTALL_SECONDS = 600  # 15 MB from the package index
RUN_SECONDS = 1200  # a minute on an idle machine
PATH_FILE = "usr/lib/python3/dist-packages/modules.pth"

# $1 is the root, $2 the working tree, $3 the modules, $4 the compiled files. The mounts are in their own namespace,
# which ends with its processes.
ENTER = """set -e
mkdir -p "$1/project" "$1/modules" "$1/pycache" "$1/proc"
mount --bind "$2" "$1/project" && mount -o remount,bind,ro "$1/project"
mount --bind "$3" "$1/modules" && mount -o remount,bind,ro "$1/modules"
mount --bind "$4" "$1/pycache"
mount -t proc proc "$1/proc"
root=$1
shift 4
exec chroot "$root" /usr/bin/env --ignore-environment --chdir=/project "$@"
"""
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONPYCACHEPREFIX": "/pycache",
    "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",  # noqa: S108 - of the chroot
}


def missing() -> str | None:
    """Return why the newest Python can neither be used nor built here, as a sentence; None if it can."""
    if reason := chroots.missing([PYTHON]):
        return reason
    if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode != 0:
        return "the chroot of the newest Python needs CAP_SYS_ADMIN, for mounts of its own"
    return None


class NewestPython:
    """The Python of a chroot."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @functools.cached_property
    def version(self) -> tuple[int, int]:
        """Major and minor version."""
        program = "import sys; print(*sys.version_info[:2])"
        major, minor = chroots.run("chroot", str(self._root), "/usr/bin/python3", "-c", program).split()
        return int(major), int(minor)

    def install(self, nagiosplugin: str) -> tuple[Path, ...]:
        """Return directories with the modules that the tests import and with this nagiosplugin; pip fills each once."""
        pinned = "nagiosplugin" + ("" if nagiosplugin == "newest" else f"=={nagiosplugin}")
        wanted = {"tests": REQUIREMENTS, f"nagiosplugin-{nagiosplugin}": (pinned,)}
        with locked(MODULES.with_suffix(".lock")):
            return tuple(self._directory(name, requirements) for name, requirements in wanted.items())

    def _directory(self, name: str, requirements: Sequence[str]) -> Path:
        digits = "".join(map(str, self.version))
        directory = MODULES / f"cp{digits}-{name}"
        if not directory.exists():
            part = directory.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            tags = [f"--abi={abi}" for abi in (f"cp{digits}", "abi3", "none")]
            tags += [f"--platform={platform}" for platform in PLATFORMS]
            options = ["--quiet", "--no-compile", "--only-binary=:all:", f"--python-version={digits}", *tags]
            command = [sys.executable, "-m", "pip", "install", *options, f"--target={part}", *requirements]
            chroots.run(*command, seconds=INSTALL_SECONDS)
            part.rename(directory)
        return directory

    def run(
        self, modules: Iterable[Path], *arguments: str, seconds: float = RUN_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run this Python to its end, in the working tree and with these modules; its network is the machine's."""
        compiled = MODULES / "pycache"
        compiled.mkdir(exist_ok=True)
        # Not PYTHONPATH: some tests run the plugin in an empty environment.
        path = self._root / PATH_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"/modules/{directory.name}\n" for directory in modules))
        settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        enter = [*NAMESPACES, "sh", "-c", ENTER, "sh", str(self._root), str(ROOT), str(MODULES), str(compiled)]
        return subprocess.run(
            [*enter, *settings, "/usr/bin/python3", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )


@contextmanager
def newest_python() -> Iterator[NewestPython]:
    """Copy the chroot, after building it if necessary; kill what still runs in the copy at the end."""
    with zoo.copy(PYTHON) as chroot:
        yield NewestPython(chroot.root)
