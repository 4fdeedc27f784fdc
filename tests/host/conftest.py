"""What the tests of the host's side share: a host has one sshd or two, and this machine those of every other test."""

import os
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from check_ssh_exchange.host import judge as judging
from check_ssh_exchange.host import local_probe, trial
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.door import Door
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.items import ITEMS
from check_ssh_exchange.host.snapshot import Snapshot

SECONDS = 60.0


@pytest.fixture(autouse=True)
def _no_sshd_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what was not started from here: there are dozens of sshds while the whole suite runs.

    Other programs too, for one of them may become an sshd before it is asked for its name.
    """
    us, every = os.getpid(), Door.list

    def without(door: Door, path: str) -> list[str]:
        names = every(door, path)
        return descendants(names, us) if path == "/proc" else names

    monkeypatch.setattr(Door, "list", without)


@pytest.fixture(autouse=True)
def _patient_doors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give programs without a bound of their own a minute: on a busy machine any may take seconds."""
    monkeypatch.setattr(Door.want, "__kwdefaults__", {**(Door.want.__kwdefaults__ or {}), "seconds": SECONDS})
    monkeypatch.setattr(Door.__init__, "__defaults__", (SECONDS,))
    monkeypatch.setattr(local_probe, "SECONDS", SECONDS)
    monkeypatch.setattr(trial, "SECONDS", SECONDS)


@pytest.fixture(autouse=True)
def _no_pipe_in_a_remedy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Require of every item, whatever a test has it look at, remedies that the long output prints as they are."""
    told: list[str] = []

    def noted(find: Callable[[Snapshot, About], Finding]) -> Callable[[Snapshot, About], Finding]:
        def find_and_note(seen: Snapshot, about: About) -> Finding:
            found = find(seen, about)
            told.extend(found.remedies)
            return found

        return find_and_note

    for item in ITEMS:
        monkeypatch.setattr(sys.modules[item.find.__module__], "find", noted(item.find))
    monkeypatch.setattr(judging, "ITEMS", tuple(item._replace(find=noted(item.find)) for item in ITEMS))
    yield
    assert [remedy for remedy in told if "|" in remedy] == []


def descendants(pids: list[str], us: int) -> list[str]:
    """Return which of these processes are ours, and those that we have started, and those that they have."""
    parents = {pid: parent(pid) for pid in pids if pid.isdecimal()}

    def is_ours(pid: str) -> bool:
        passed = set()
        while pid in parents and pid != str(us) and pid not in passed:
            passed.add(pid)
            pid = parents[pid]
        return pid == str(us)

    return [pid for pid in parents if is_ours(pid)]


def parent(pid: str) -> str:
    found = re.search(r"^PPid:\t(\d+)$", text(f"/proc/{pid}/status"), re.MULTILINE)
    return found[1] if found else ""


def text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # it has ended
        return ""
