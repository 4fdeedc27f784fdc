"""The item disk: blocks and inodes of the host's places and of a chroot's own."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from check_ssh_exchange.host import collect as collecting
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.findings import disk
from check_ssh_exchange.host.judge import Wishes, judge
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import processes, space, system
from check_ssh_exchange.host.space import is_remote
from check_ssh_exchange.plugin.nagios import Critical, Ok, Warn
from tests.host.by_hand import Host
from tests.lab import zoo

GIB = 1 << 30


def host(used: int = 20, files_used: int = 10, place: str = "/", **more: Any) -> Host:
    """A host with a file system of a hundred blocks of 1 GiB and a hundred inodes."""
    made = Host()
    made.document["stats"][f"space:{place}"] = {
        "blocks": 105, "free": 105 - used, "available": 100 - used, "size": GIB, "files": 100,
        "files_free": 100 - files_used, "is_read_only": False, **more,
    }  # fmt: skip
    return made


def said(seen: Snapshot) -> tuple[object, list[str]]:
    outcome = judge(seen, About(), Wishes(("disk",)))
    return outcome.verdict.state, [problem.sentence for one in outcome.judged for problem in one.problems]


@pytest.mark.parametrize(("used", "state"), [(20, Ok), (90, Ok), (91, Warn), (99, Critical)])
def test_blocks_are_counted_as_df_does(used: int, state: object) -> None:
    finding = disk.find(host(used).seen, About())
    assert dict(finding.figures) == {"disk_used": used}
    assert said(host(used).seen) == (state, [f"/: {used} GiB of 100 GiB used"] if state != Ok else [])


def test_inodes_run_out_too() -> None:
    assert said(host(files_used=99, place="/var/log").seen) == (Critical, ["inodes of /var/log: 99 of 100"])


def test_the_fullest_is_named_and_one_file_system_told_once() -> None:
    made = host(95)
    made.document["stats"]["space:/var/log"] = dict(made.document["stats"]["space:/"])
    made.document["stats"].update(host(97, place="/run").document["stats"])
    finding = disk.find(made.seen, About())
    assert finding.sentences == (("disk_used", "/run: 97 GiB of 100 GiB used"),)
    assert len([line for line in finding.evidence if "inodes" not in line]) == 2


@pytest.mark.parametrize("more", [{"is_read_only": True}, {"blocks": 0, "free": 0, "available": 0, "files": 0}])
def test_what_cannot_be_written_or_has_no_size_is_never_full(more: dict[str, Any]) -> None:
    assert disk.find(host(99, **more).seen, About()).is_skipped


def test_without_inodes_there_is_no_number_of_them() -> None:  # btrfs
    finding = disk.find(host(50, files=0, files_free=0).seen, About())
    assert finding.evidence == ("/: 50 GiB of 100 GiB used (50 %)",)


MOUNTS = """/dev/sda1 / ext4 rw 0 0
server:/logs /var/log nfs4 rw,hard 0 0
tmpfs /run tmpfs rw 0 0
user /run/user/1000/doc fuse.portal rw 0 0
"""


@pytest.mark.parametrize(("place", "remote"), [("/", False), ("/var/log", True), ("/run", False), ("/var/logs", False)])
def test_what_may_never_answer_is_not_asked(place: str, remote: bool) -> None:
    made = Host()
    made.file("/proc/mounts", MOUNTS)
    assert is_remote(made.seen, "/proc/mounts", place) == remote


def test_a_containers_root_by_its_mountinfo() -> None:  # proc(5)
    made = Host()
    made.file(
        "/proc/10/mountinfo",
        "614 581 0:49 / / rw,relatime master:1 - fuse.fuse-overlayfs fuse-overlayfs rw\n\x1b\n - \n",
    )
    assert is_remote(made.seen, "/proc/10/mountinfo", "/")


# --- real file systems


@contextmanager
def tmpfs(place: Path, options: str) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
def test_a_real_chroot_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "SOURCES", (system.read, processes.read, space.read))

    def look() -> tuple[object, list[str]]:
        seen = Snapshot(json.loads(json.dumps(collecting.collect().document)))
        # How full this machine's own disk is, on which the chroot's root is, must not matter.
        own = tuple(f"space:/proc/{server.pid}/root{place}" for place in ("/var/log", "/run"))
        stats = seen.document["stats"]
        for path in [path for path in stats if path.startswith("space:") and not path.startswith(own)]:
            del stats[path]
        outcome = judge(seen, About(ports=(server.port,)), Wishes(("disk",)))
        return outcome.verdict.state, [problem.sentence for problem in outcome.judged[0].problems]

    with zoo.copy("openssh-9.2") as chroot, ExitStack() as mounts:
        logs, run = chroot.root / "var/log", chroot.root / "run/small"
        mounts.enter_context(tmpfs(logs, "size=1m"))
        mounts.enter_context(tmpfs(run, "size=1m,nr_inodes=100"))
        server = mounts.enter_context(chroot.server())
        assert look()[0] == Ok
        (logs / "filler").write_bytes(bytes(1000 << 10))
        assert look()[0] == Warn
        with (logs / "rest").open("wb", buffering=0) as rest:
            while True:
                try:
                    rest.write(bytes(4096))
                except OSError:
                    break
        assert look() == (Critical, [f"/var/log of sshd {server.pid}: full, 1.0 MiB of 1.0 MiB used"])
