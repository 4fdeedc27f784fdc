"""The servers that the daemons monitor, one of each kind, and the status line expected for each."""

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from check_ssh_exchange.demo import ThrottlingServer
from check_ssh_exchange.diagnosis.figures import LABELS
from tests.lab import daemons, zoo
from tests.lab.fake_sshd import FIN, HEALTHY, KEXINIT, FakeSshd, send

HOST = "127.0.0.1"
# Everything that harms a table, a terminal, a web page or perfdata; and a valid but odd identification.
HOSTILE = b"SSH\x1b[2J|early_close=0;;;; <b>\x00\xff\xc3(\x9b31m\r\n"
ODD = b"SSH-2.0-<b>|early_close=0;;;; '\"$(id)`id`&\r\n"
SHOWN = r"SSH\x1b[2J\x7cearly_close=0;;;; \x3cb>\x00\xff\xc3(\x9b31m"

STATES = {"healthy": 0, "throttled": 1, "closed": 2, "silent": 2, "hostile": 2, "odd": 0}
LINES = {
    "healthy": r"SSH OK - OpenSSH_9\.2p1 \(protocol 2\.0\), 5/5 handshakes, banner [\d.]+ ms",
    "throttled": r'SSH WARNING - [1-6] of \d+ handshakes turned away: MaxStartups throttling, "Exceeded MaxStartups"'
    r"(, by our own burst alone)?",
    "closed": r"SSH CRITICAL - 5 of 5 handshakes refused: nothing listens on that port",
    "silent": r"SSH CRITICAL - (\d) of \1 handshakes left without a banner: the server accepts and stays silent",
    "hostile": rf'SSH CRITICAL - 5 of 5 handshakes answered by something that is not SSH: [\w ]+, "{re.escape(SHOWN)}"',
    "odd": r"SSH OK - \\x3cb>\\x7cearly_close=0;;;; \(protocol 2\.0\), 5/5 handshakes, banner [\d.]+ ms",
}
COUNTERS = ["handshakes", "completed", "closed", "reset", "turned_away", "closed_after_banner", "refused",
            "rejected", "timeout"]  # fmt: skip


class Value(NamedTuple):
    """One item of perfdata, as text."""

    value: str
    unit: str
    warn: str
    crit: str
    low: str
    high: str


NUMBER = r"-?\d+(?:\.\d+)?"
RANGE = rf"@?(?:(?:~|{NUMBER}):)?(?:{NUMBER})?"
ITEM = re.compile(
    rf"([a-z0-9_]{{1,19}})=({NUMBER})(s|%|)(?:;({RANGE}))?(?:;({RANGE}))?(?:;({NUMBER})?)?(?:;({NUMBER})?)?", re.ASCII
)


def parsed(perfdata: str) -> dict[str, Value]:
    """Return label -> value of a whole block; every item must be valid."""
    matches = [ITEM.fullmatch(item) for item in perfdata.split(" ")]
    assert all(matches), perfdata
    items = {match[1]: Value(*(group or "" for group in match.groups()[1:])) for match in matches if match}
    assert len(items) == len(matches)
    return items


def assert_in_order(labels: list[str]) -> None:
    assert labels == [label for label in LABELS if label in labels]
    assert not set(COUNTERS) - set(labels)


@contextmanager
def servers() -> Iterator[dict[str, int]]:
    """Run one server of each kind; yield the ports: all on 127.0.0.1, `six` on ::1."""
    with ExitStack() as stack:
        closed = stack.enter_context(socket.socket())
        closed.bind((HOST, 0))  # without listening: the port is reserved and answers with RST
        fakes = {
            "silent": FakeSshd([]),
            "hostile": FakeSshd([send(HOSTILE), FIN]),
            "odd": FakeSshd([send(ODD), send(KEXINIT)]),
            "fake": FakeSshd(HEALTHY),
            "six": FakeSshd(HEALTHY, address="::1"),
        }
        ports = {name: stack.enter_context(fake).port for name, fake in fakes.items()}
        ports["throttled"] = stack.enter_context(ThrottlingServer(3, 100, 3)).port
        ports["healthy"] = stack.enter_context(healthy())
        yield ports | {"closed": closed.getsockname()[1]}


@contextmanager
def healthy() -> Iterator[int]:
    """Run OpenSSH 9.2, or the demo server where it cannot be run; yield its port."""
    with ExitStack() as stack:
        port = 0
        if zoo.missing() is None:
            with suppress(zoo.ZooError):
                port = stack.enter_context(zoo.server("openssh-9.2", options={"MaxStartups": "100"})).port
        yield port or stack.enter_context(ThrottlingServer(100, 30, 100)).port


@contextmanager
def installation() -> Iterator[daemons.Installation]:
    """Install the plugin for the daemons, or skip the test."""
    need({})
    try:
        with daemons.Installation() as plugin:
            yield plugin
    except daemons.NoPython as error:
        pytest.skip(str(error))


def need(packages: Mapping[Path, str]) -> None:
    """Skip the test where these programs cannot be run."""
    if reason := daemons.missing(packages):
        pytest.skip(reason)
