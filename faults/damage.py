"""Servers without files, processes or descriptors: sshd accepts connections and cannot serve them."""

import os
import resource
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from check_ssh_exchange.diagnosis.cause import Cause
from tests.lab import processes, zoo

from .scenario import Scenario, Skip, Target

OPENSSH = ("openssh-8.4", "openssh-9.2", "openssh-10.0", "openssh-10.6")
OLD, NEW = OPENSSH[:2], OPENSSH[2:]
HELPERS = "usr/lib/openssh"
CGROUPS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))

Damage = Callable[[Path], None]


def without(*patterns: str) -> Damage:
    """Remove files or directories."""

    def remove(root: Path) -> None:
        found = [path for pattern in patterns for path in root.glob(pattern)]
        if not found:
            raise RuntimeError(f"nothing matches {patterns} in {root}")
        for path in found:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    return remove


def without_user(root: Path) -> None:
    """Remove the user that sshd's unprivileged part runs as."""
    passwd = root / "etc/passwd"
    passwd.write_text(
        "".join(line for line in passwd.read_text().splitlines(keepends=True) if not line.startswith("sshd:"))
    )


host_keys = without("etc/ssh/ssh_host_*")


@contextmanager
def damaged(name: str, damage: Damage) -> Iterator[Target]:
    """A server that has been running well when the damage is done."""
    with zoo.copy(name) as chroot, chroot.server() as server:
        damage(chroot.root)
        yield Target(server.address, server.port, ("-t", "4"))


@contextmanager
def unstartable(name: str, damage: Damage) -> Iterator[Target]:
    """A server that does not start any more after the damage."""
    with zoo.copy(name) as chroot:
        damage(chroot.root)
        server = chroot.server(port=zoo.free_port("127.0.0.1"))
        with suppress(zoo.ZooError):
            server.start()
            raise RuntimeError(f"{name} starts although it is damaged")
        yield Target(server.address, server.port, ("-t", "4"))


@contextmanager
def short_of_descriptors(name: str, most: int) -> Iterator[Target]:
    """A server with a limit on open files."""
    with zoo.server(name, limits={resource.RLIMIT_NOFILE: (most, most)}) as server:
        yield Target(server.address, server.port, ("-t", "4"))


@contextmanager
def short_of_processes(name: str, most: int) -> Iterator[Target]:
    """A server in a control group with a limit on processes."""
    with control_group() as group, zoo.server(name, cgroup=group) as server:
        (group / "pids.max").write_text(str(most))
        yield Target(server.address, server.port, ("-t", "4"))


@contextmanager
def control_group() -> Iterator[Path]:
    """A control group of the pids controller, version 1 or 2."""
    for parent in CGROUPS:
        group = parent / f"check-ssh-{os.getpid()}-{secrets.token_hex(3)}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / "pids.max").exists():
                yield group
                return
        finally:
            processes.remove_group(group)
    raise Skip("no control group with a limit of processes can be made here")


def scenarios() -> Iterator[Scenario]:
    """Yield all of them."""
    there = Cause.SERVER_FAULT
    fault = (there,)
    for name in OPENSSH:
        # From 9.8 the listener hands the keys that it has read to its children.
        causes = fault if name in OLD else (Cause.HEALTHY,)
        yield Scenario(f"host keys deleted, {name}", causes, partial(damaged, name, host_keys), local=there)
        gone = partial(unstartable, name, host_keys)
        yield Scenario(f"host keys deleted before the start, {name}", (Cause.NOT_LISTENING,), gone)
        library = without("usr/lib/*/libcrypto.so*", "lib/*/libcrypto.so*")
        yield Scenario(f"libcrypto missing, {name}", fault, partial(damaged, name, library), local=there)
        privileges = without("run/sshd")
        yield Scenario(f"/run/sshd missing, {name}", fault, partial(damaged, name, privileges), local=there)
        yield Scenario(f"user sshd missing, {name}", fault, partial(damaged, name, without_user), local=there)
        yield Scenario(f"fork fails, {name}", fault, partial(short_of_processes, name, 1), local=there)
    for name in NEW:
        for helper in ("sshd-session", "sshd-auth"):
            place = partial(damaged, name, without(f"{HELPERS}/{helper}"))
            yield Scenario(f"{helper} missing, {name}", fault, place, local=there)
    for name, most in zip(OPENSSH, (8, 8, 9, 9), strict=True):
        yield Scenario(f"no descriptors for a child, {name}", fault, partial(short_of_descriptors, name, most))
    yield Scenario("fork of the unprivileged child fails, openssh-9.2", fault, partial(short_of_processes, OLD[1], 2))
    stalled = (Cause.STALLED,)
    for name in NEW:
        yield Scenario(f"no descriptors for accept(), {name}", stalled, partial(short_of_descriptors, name, 7))
