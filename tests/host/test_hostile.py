"""Whatever a file, a process title or a program says: an answer in bounds, printable, and never a traceback."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.collect import collect
from check_ssh_exchange.host.items import DEFAULT_THRESHOLDS
from check_ssh_exchange.host.json_output import document
from check_ssh_exchange.host.judge import judge
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.status_line import text
from tests.lab import zoo

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("complete_zoo")]

MONITORS = ("127.0.0.1", "2001:db8::7")
HOSTILE = {
    "nothing": "",
    "control characters": "\x1b[2J\x00\x07|`$(id)\r\n\x9b31m" * 50,
    "not UTF-8": "\udcff\udcfe\n" * 100,
    "one long line": "x" * 1_000_000,
    "many lines": "sshd[1]: a b c 1 2 3\n" * 20_000,
    "huge numbers": "9" * 5000 + " " + "9" * 5000,
    "negative numbers": "-1 -99999999999 -0 nan inf 1e999 0x\n" * 10,
    "JSON of another shape": '[{"nftables": {"rule": [[]]}, "MESSAGE": {"a": 1}}, null, 1e400]\n',
    "deep JSON": "[" * 20_000,
    "a title": "sshd: x [listener] 999999999 of 1-0 startups\x00",
}


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[str, Any]]:
    with zoo.server("openssh-9.2"):
        yield json.loads(json.dumps(collect(600.0, MONITORS).document))


def answered(snapshot: dict[str, Any]) -> None:
    """Judge a snapshot in every form, and require that the answer is an answer."""
    found = Snapshot.of_document(json.loads(json.dumps(snapshot)))
    outcome = judge(found, About(MONITORS))
    told = text(outcome, DEFAULT_THRESHOLDS, 2)
    assert told.startswith("SSHD ")
    assert "please report it" not in told, told
    assert len(told) <= 60_100
    assert told.replace("\n", "").isprintable()
    assert told.isascii()
    assert told.count("|") <= 1
    json.dumps(document(outcome))


def with_texts(snapshot: dict[str, Any], hostile: str, part: str) -> dict[str, Any]:
    changed = copy.deepcopy(snapshot)
    for path, record in changed[part].items():
        for name in ("text", "out", "err"):
            # A process must stay one, or nothing would be looked at.
            if name in record and not (path.startswith("/proc/") and path.endswith(("/stat", "/comm"))):
                record[name] = hostile
    return changed


@pytest.mark.parametrize("part", ["files", "commands"])
@pytest.mark.parametrize("what", HOSTILE)
def test_every_text_may_be_anything(seen: dict[str, Any], what: str, part: str) -> None:
    answered(with_texts(seen, HOSTILE[what], part))


@pytest.mark.parametrize("what", ["control characters", "huge numbers", "a title"])
def test_one_text_at_a_time_may_be_anything(seen: dict[str, Any], what: str) -> None:
    for part in ("files", "commands"):
        for path in seen[part]:
            changed = {
                **seen,
                part: {**seen[part], path: {**seen[part][path], "text": HOSTILE[what], "out": HOSTILE[what]}},
            }
            answered(changed)


def test_every_answer_may_be_missing(seen: dict[str, Any]) -> None:
    for error in ("EACCES", "ENOENT", "ETIMEDOUT", "EFBIG", "EIO"):
        changed = copy.deepcopy(seen)
        for part in ("files", "stats", "lists", "links", "commands"):
            for path in changed[part]:
                if path != "/proc" and not path.endswith(("/stat", "/comm", "/cmdline")):
                    changed[part][path] = {"error": error}
        answered(changed)
    for part in ("files", "stats", "lists", "links", "commands"):
        answered({**copy.deepcopy(seen), part: {}})
