"""Debian's newest Icinga 2 beside the machine's own: unpacked, not installed, run with its own loader and libraries.

It runs outside of its chroot, on the machine's files, so that it can run the machine's Python and sees /proc, without
which Icinga ends. 15 MB of packages and an index are fetched once, in five seconds where the archive is near.
"""

import shutil
from pathlib import Path

import pytest

from tests.lab import chroots
from tests.lab.chroots import Recipe, cache, locked
from tests.lab.daemons import Installation
from tests.lab.icinga_nodes import OWN, Release, need_nodes

NAME = "icinga2"
RECIPE = Recipe(suite="sid", package="icinga2-bin", also=("icinga2-common",))
LIBRARIES = "usr/lib/x86_64-linux-gnu"  # the chroots are for amd64
RELEASES = ("own", "newest")
COMMAND = "/usr/sbin/icinga2"


def chosen(name: str, plugin: Installation) -> Release:
    """Return this machine's own release or the newest one, or skip the test; `name` is one of RELEASES."""
    need_nodes()
    if name == "own":
        return OWN
    if reason := missing():
        pytest.skip(reason)
    return release(plugin)


def missing() -> str | None:
    """Return why it can neither be used nor built here, as a sentence; None if it can."""
    return chroots.missing([NAME])


def build() -> None:
    """Unpack it, unless that was done before; wait for another process that builds."""
    with locked(cache() / "lock"):
        if not chroots.version(NAME):
            chroots.build_suite(RECIPE.suite, {NAME: RECIPE})
            shutil.rmtree(cache() / "downloads", ignore_errors=True)


def release(plugin: Installation) -> Release:
    """Return how to run it."""
    build()
    root = cache() / NAME
    place = plugin.directory("unpacked")  # the cache may be below a directory that user nagios cannot enter
    library = place / LIBRARIES
    # To validate what a master has sent, Icinga starts itself again by its argv[0]: the script that lies there.
    command: list[str | Path] = [place / "lib64/ld-linux-x86-64.so.2", "--library-path", library, "--argv0", COMMAND]
    command += [library / "icinga2/sbin/icinga2", "--no-stack-rlimit"]
    script = plugin.home / "icinga2-newest"
    script.write_text(f'#!/bin/sh\nexec {" ".join(map(str, command))} "$@"\n')
    script.chmod(0o755)
    binds = {root: str(place), root / "usr/share/icinga2": "/usr/share/icinga2", script: COMMAND}
    return Release(command, root / "etc/icinga2", binds)
