"""Programs from Debian packages that the machine need not have installed: unpacked, never configured or started."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

from tests.lab.chroots import cache, locked

from .scenario import Skip

# What each needs besides the C library and what any Debian has.
PACKAGES = {
    "xinetd": ("xinetd", "libwrap0", "libnsl2", "libtirpc3", "libtirpc3t64"),
    "fail2ban-server": ("fail2ban",),
}
SECONDS = 240


def place() -> Path:
    """Where packages are unpacked."""
    return cache() / "packages"


def environment() -> dict[str, str]:
    """The environment in which unpacked programs find their libraries and modules."""
    libraries = ":".join(str(path) for path in place().glob("**/lib/*-linux-gnu"))
    modules = str(place() / "fail2ban-server/usr/lib/python3/dist-packages")
    return os.environ | {"LD_LIBRARY_PATH": libraries, "PYTHONPATH": modules}


@functools.cache
def program(name: str) -> Path:
    """The program, the installed one or an unpacked one. Raises Skip."""
    if installed := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
        return Path(installed)
    with locked(cache() / "packages.lock"):
        root = place() / name
        if not root.exists():
            unpack(name, root)
    found = [path for path in root.glob(f"usr/*bin/{name}") if path.is_file()]
    if not found:
        raise Skip(f"{name} is neither installed nor to be had from the machine's Debian archive")
    return found[0]


def unpack(name: str, root: Path) -> None:
    """Download and unpack the packages of a program; those that the archive does not have are left out."""
    if not shutil.which("apt-get"):
        raise Skip(f"{name} is not installed, and apt-get is missing")
    fresh = root.with_suffix(".part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for package in PACKAGES[name]:
        subprocess.run(["apt-get", "-q", "download", package], cwd=fresh, capture_output=True, timeout=SECONDS)
    for file in fresh.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", file, fresh], check=True, timeout=SECONDS)
        file.unlink()
    fresh.rename(root)
