"""Processes that other users call sshd: none is taken for root's, and however many there are, few are looked into."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from check_ssh_exchange.host.door import MAX_FILE, Door
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import processes
from check_ssh_exchange.host.sshd import daemons
from check_ssh_exchange.host.trusted import is_trusted
from tests.host.asked import host, trust
from tests.host.by_hand import LISTEN, Host

ROOT, USER, SET_UID = "0\t0\t0\t0", "1000\t1000\t1000\t1000", "1000\t0\t0\t0"
SSHD, OTHER = "/usr/sbin/sshd", "/usr/bin/su"
EXE, STATUS = "/proc/10/exe", "/proc/10/status"


class Changing(Door):
    """The door to a host made by hand, of which some paths have another answer when they are asked again."""

    def __init__(self, made: Host, again: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self._first: Mapping[str, Any] = made.seen.document
        self._again = again

    def read(self, path: str, limit: int = MAX_FILE, *, start: int = 0, from_end: bool = False) -> str | None:
        found: str | None = self._told("files", path).get("text")
        return found

    def read_lines(self, path: str, is_wanted: Callable[[bytes], bool], limit: int = MAX_FILE) -> None:
        self._told("files", path)

    def link(self, path: str) -> str | None:
        found: str | None = self._told("links", path).get("target")
        return found

    def list(self, path: str) -> list[str]:
        return [*self._told("lists", path).get("names", ())]

    def stat(self, path: str, *, follow: bool = True) -> dict[str, Any] | None:
        found = self._told("stats", path)
        return None if "error" in found else found

    def _told(self, part: str, path: str) -> dict[str, Any]:
        first = self._first[part].get(path, {"error": "ENOENT"})
        told = dict(self._again.get(path, first) if path in self.document[part] else first)
        self.document[part][path] = told
        return told


def status(uids: str, name: str = "sshd") -> dict[str, str]:
    return {"text": f"Name:\t{name}\nUmask:\t0022\nUid:\t{uids}\nGid:\t{uids}\n"}


@pytest.mark.parametrize(
    ("uids", "programs", "trusted"),
    [
        ((ROOT, ROOT), (SSHD, SSHD), True),
        ((USER, USER), (SSHD, SSHD), False),
        ((USER, ROOT), (SSHD, SSHD), False),  # his sshd with his title, that goes on as a program which becomes root
        ((SET_UID, ROOT), (SSHD, SSHD), False),
        ((ROOT, USER), (SSHD, SSHD), False),
        ((ROOT, SET_UID), (SSHD, SSHD), False),
        ((ROOT, ROOT), (SSHD, OTHER), False),
        ((ROOT, ROOT), (OTHER, SSHD), False),
    ],
)
def test_only_what_is_roots_sshd_from_first_to_last_is_trusted(
    uids: tuple[str, str], programs: tuple[str, str], *, trusted: bool
) -> None:
    made = host()
    made.document["files"][STATUS] = status(uids[0])
    made.document["links"][EXE] = {"target": programs[0]}
    door = Changing(made, {STATUS: status(uids[1]), EXE: {"target": programs[1]}})
    seen = Snapshot({**made.document, **door.document})
    list(processes.read(door, seen))
    seen.document["stats"].update(made.document["stats"])  # of the binary, which another source reads
    (daemon,) = daemons(seen, (22,))
    assert is_trusted(seen, daemon) is trusted


# What str.splitlines() takes for the end of a line, of which the kernel escapes \n alone (fs/proc/array.c).
@pytest.mark.parametrize("end", ["\v", "\f", "\r", "\x1c", "\x85", "\u2028"])
def test_no_line_begins_in_the_name_of_a_process(end: str) -> None:
    made = host()
    made.document["files"][STATUS] = status(USER, f"{end}Uid:\t0\t0\t0\t0")
    assert [line for line in made.seen.lines(STATUS) if line.startswith("Uid:")] == [f"Uid:\t{USER}"]
    assert not is_trusted(made.seen, daemons(made.seen, (22,))[0])


def test_the_kernel_writes_a_name_into_one_line() -> None:
    script = r"open('/proc/self/comm', 'w').write('\vUid:\t0\t0\t0\t0'); print('named', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdout is not None
        assert one.stdout.readline() == b"named\n"
        door = Door()
        text = door.read(f"/proc/{one.pid}/status")
        one.kill()
    assert text is not None
    assert text.startswith("Name:\t\vUid:\t0\t0\t0\t0\n")
    lines = Snapshot(door.document).lines(f"/proc/{one.pid}/status")
    assert len([line for line in lines if line.startswith("Uid:")]) == 1


@pytest.mark.parametrize(
    ("program", "listens"),
    [
        ({"target": SSHD}, True),
        ({"target": f"{SSHD} (deleted)"}, True),
        ({"error": "EACCES"}, True),
        ({"target": "/usr/bin/python3.11"}, False),
        ({"target": "/home/u/sshd (deleted) x"}, False),
        ({"target": "/home/u/not-sshd"}, False),
    ],
)
def test_a_title_says_that_a_process_listens_where_its_binary_is_sshds(
    program: dict[str, str], *, listens: bool
) -> None:
    made = Host()
    made.process(10, 1, "sshd: x [listener] 0 of 10-100 startups", "sshd")
    made.document["links"][EXE] = program
    assert [one.pid for one in daemons(made.seen)] == [10] * listens


def test_a_socket_says_it_whatever_the_binary_is_called() -> None:
    made = Host()
    made.process(10, 1, "/opt/ssh/server", "sshd")
    trust(made)
    made.document["links"][EXE] = {"target": "/opt/ssh/server"}
    made.connection(10, state=LISTEN)
    assert [one.ports for one in daemons(made.seen)] == [(22,)]


# --- real processes

SOME, MOST = 100, 64  # descriptors that each has; of so many processes, and so many of each, we ask
SCRIPT = """
import os, sys
uid, count, descriptors = map(int, sys.argv[1:])
for _ in range(descriptors):
    os.dup(0)
for _ in range(count):
    if not os.fork():
        with open("/proc/self/comm", "w") as name:
            name.write("sshd")
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.write(1, b"%d\\n" % os.getpid())
        os.read(0, 1)
        os._exit(0)
for _ in range(count):
    os.wait()
"""


@contextmanager
def called_sshd(uid: int, count: int) -> Iterator[list[str]]:
    """Run processes of a user that are called sshd; they end with their input, whatever becomes of us."""
    words = [sys.executable, "-c", SCRIPT, str(uid), str(count), str(SOME)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [parent.stdout.readline().strip() for _ in range(count)]
        assert all(pids)
        yield pids


@pytest.mark.real
def test_of_other_users_many_processes_few_are_asked_for_their_descriptors() -> None:
    if os.geteuid():
        pytest.skip("needs root")
    door = Door()
    seen = Snapshot(door.document)
    with called_sshd(65534, 80) as strangers, called_sshd(0, 1) as (own,):
        list(processes.read(door, seen))
    asked = [path.split("/")[2] for path in door.document["links"] if "/fd/" in path]
    counts = [asked.count(pid) for pid in strangers if pid in asked]
    assert {own, *strangers} <= {*seen.names("/proc")}
    assert 0 < len(counts) <= MOST
    assert set(counts) == {MOST}
    assert asked.count(own) >= SOME
