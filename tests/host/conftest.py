"""What the tests of the host's side share: a host has one sshd or two, and this machine those of every other test."""

import os
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from check_ssh_exchange.host import judge as judging
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.door import Door
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.items import ITEMS
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources.processes import NAMES


@pytest.fixture(autouse=True)
def _no_sshd_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide every sshd that was not started from here: there are dozens while the whole suite runs."""
    us, every = os.getpid(), Door.list

    def without(door: Door, path: str) -> list[str]:
        names = every(door, path)
        return [name for name in names if not is_sshd_of_others(name, us)] if path == "/proc" else names

    monkeypatch.setattr(Door, "list", without)


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


def is_sshd_of_others(pid: str, us: int) -> bool:
    if not pid.isdecimal() or text(f"/proc/{pid}/comm").strip() not in NAMES:
        return False
    while pid not in ("", "0", str(us)):
        found = re.search(r"^PPid:\t(\d+)$", text(f"/proc/{pid}/status"), re.MULTILINE)
        pid = found[1] if found else ""
    return pid != str(us)


def text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # it has ended
        return ""
