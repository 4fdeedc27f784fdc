"""The image of packaging/oci in a real engine: podman with runc, its storage in a directory of the test.

The base is Debian trixie's Python, unpacked and imported under the name that the Containerfile has by default, for the
registry of that image may be out of reach. Containers share the machine's network.
"""

import json
import re
import resource
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from check_ssh_exchange import __version__
from tests.lab import chroots
from tests.lab.chroots import Recipe, cache, locked

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "oci"
BASE, NEWER_PODMAN = "image-base", "podman-trixie"
RECIPES = {
    BASE: Recipe(suite="trixie", package="python3-venv", also=("python3", "dash", "coreutils")),
    NEWER_PODMAN: Recipe(suite="trixie", package="podman"),  # bookworm's knows no Quadlets
}
TOOLS = ("podman", "runc", "tar")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"  # of Debian; pip in the build asks the index with them
IMAGE = f"localhost/ssh-exchange-exporter:{__version__}"
BUILD_SECONDS = 300.0
SECONDS = 60.0
# As the documents say. A container's limits must not be above the test's own, where it may not raise them.
HARDENED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges")
LIMITS = (f"--ulimit=nofile=1024:{resource.getrlimit(resource.RLIMIT_NOFILE)[1]}", "--ulimit=nproc=1000:1000")


def missing() -> str | None:
    """Return why no image can be built or run here, as a sentence; None if it can."""
    if absent := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"the image lacks {', '.join(absent)}: apt-get install podman runc"
    return chroots.missing(tuple(RECIPES))


def unpacked(name: str) -> Path:
    """Return a directory with Debian's packages, unpacked now or before; wait for another process that does it."""
    with locked(cache() / "lock"):
        if not chroots.version(name):
            chroots.build_suite(RECIPES[name].suite, {name: RECIPES[name]})
            shutil.rmtree(cache() / "downloads", ignore_errors=True)
    return cache() / name


def quadlet(directory: Path) -> subprocess.CompletedProcess[str]:
    """Have the generator of a newer podman make services of the Quadlets in a directory, and print them."""
    root = unpacked(NEWER_PODMAN)
    loader: list[str | Path] = [
        root / "lib64/ld-linux-x86-64.so.2",
        "--library-path",
        root / "usr/lib/x86_64-linux-gnu",
    ]
    command = [*loader, root / "usr/libexec/podman/quadlet", "-dryrun", "-v"]
    env = {"QUADLET_UNIT_DIRS": str(directory), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=SECONDS)


class Engine:
    """Podman with storage of its own below a directory; a context manager that removes every container and image."""

    def __init__(self, place: Path) -> None:
        self._options = [
            *("--root", str(place / "storage"), "--runroot", str(place / "run"), "--storage-driver", "vfs"),
            *("--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "runc"),
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.podman("rm", "--all", "--force", "--time", "0")
        self.podman("rmi", "--all", "--force")

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of podman."""
        return ["podman", *self._options, *arguments]

    def podman(self, *arguments: str, seconds: float = SECONDS) -> str:
        """Run podman to its end and return its output."""
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"podman {arguments}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def build(self, tree: Path) -> None:
        """Import the base and build the image from the source in a directory."""
        (default,) = re.findall(r"^ARG BASE=(\S+)$", (FOLDER / "Containerfile").read_text(), re.MULTILINE)
        with ExitStack() as stack:
            # nsswitch.conf of the chroots asks no name server.
            left_out = [f"--exclude=./{path}" for path in ("dev/*", ".version", "etc/nsswitch.conf")]
            packed = ["tar", "--create", "--directory", str(unpacked(BASE)), *left_out, "."]
            archive = stack.enter_context(subprocess.Popen(packed, stdout=subprocess.PIPE))
            command = self.command("import", "-", default)
            subprocess.run(command, stdin=archive.stdout, check=True, capture_output=True, timeout=SECONDS)
        options = [
            "--isolation=chroot",
            "--network=host",
            "--pull=never",
            "--format=docker",
            "--layers=false",
            f"--tag={IMAGE}",
        ]
        options += [f"--build-arg=VERSION={__version__}", f"--volume={CERTIFICATES}:{CERTIFICATES}:ro"]
        files = [f"--ignorefile={FOLDER / 'Containerfile.dockerignore'}", f"--file={FOLDER / 'Containerfile'}"]
        self.podman("build", *options, *files, str(tree), seconds=BUILD_SECONDS)

    def inspect(self, kind: str, name: str) -> Any:
        """Return what podman knows of a container or an image."""
        (found,) = json.loads(self.podman(kind, "inspect", name))
        return found

    def run(self, name: str, options: Sequence[str], *arguments: str) -> "Container":
        """Start a container of the image with the rights that the documents give it."""
        # Podman would have systemd run the health check; a test runs it itself.
        asked = ["--detach", f"--name={name}", "--network=host", "--health-interval=disable", *LIMITS, *HARDENED]
        self.podman("run", *asked, *options, IMAGE, *arguments)
        return Container(self, name)


class Container:
    """A container that was started."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name

    @property
    def state(self) -> Any:
        """Its state, as podman has it."""
        return self._engine.inspect("container", self.name)["State"]

    @property
    def process(self) -> Path:
        """The directory in /proc of its first process."""
        return Path("/proc") / str(self.state["Pid"])

    @property
    def log(self) -> str:
        """What it has written so far."""
        done = subprocess.run(self._engine.command("logs", self.name), capture_output=True, text=True, timeout=SECONDS)
        return done.stdout + done.stderr

    def python(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program in it."""
        command = self._engine.command("exec", self.name, "python3", "-I", "-c", program, *arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)

    def health(self) -> tuple[int, str]:
        """Run its health check; return the exit code and what podman says."""
        command = self._engine.command("healthcheck", "run", self.name)
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        return done.returncode, done.stdout + done.stderr

    def signal(self, name: str) -> None:
        """Send a signal to its first process."""
        self._engine.podman("kill", "--signal", name, self.name)

    def stop(self, seconds: int) -> int:
        """Send the image's stop signal, SIGKILL after so many seconds; return the exit code, 137 for a kill."""
        self._engine.podman("stop", "--time", str(seconds), self.name, seconds=seconds + SECONDS)
        return int(self.state["ExitCode"])
