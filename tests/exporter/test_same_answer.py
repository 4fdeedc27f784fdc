"""Each cause by the plugin as a process and by every door of the exporter: the same answer.

Here is one fault for each cause; `python -m faults.doors` has every fault of `make faults`.
"""

import itertools
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.remote.options import parse
from faults.doors import DOORS, OF_MODULES, Doors, Row, form, is_alike, missing, module_of, problems
from faults.matrix import matching
from faults.scenario import Scenario, Skip, Target
from faults.services import serving
from faults.station import Said, of_output
from tests.lab import network, zoo
from tests.lab.fake_sshd import IDENTIFICATION, KEXINIT

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.usefixtures("complete_zoo"),
]

# Where a cause has several faults, one that is quickly told, and on loopback: there all share one exporter.
QUICK = (
    "tarpit, 1 s a line", "closed port", "xinetd only_from, second source let in", "stopped, openssh-9.2",
    "HAProxy rejects", "no neighbour", "REJECT port-unreachable by the target", "DROP", "xinetd cps",
    "dropbear's limit, 3 of 5 held, dropbear-2022.83", "IPv6 refused", "MaxStartups 3, all ours, openssh-9.2",
    "penalty, openssh-10.6", "libcrypto missing, openssh-9.2",
)  # fmt: skip
WRONG_KEY = f"SHA256:{'A' * 43}"


@contextmanager
def some_closed() -> Iterator[Target]:
    """A server that closes every second connection after its identification."""
    clients = itertools.count()

    def service(connection: socket.socket) -> None:
        connection.sendall(IDENTIFICATION)
        if next(clients) % 2:
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.sendall(KEXINIT)
        while connection.recv(4096):
            pass

    with serving(service, "-t", "4") as target:
        yield target


@contextmanager
def another_key() -> Iterator[Target]:
    """A server that shows another host key than the one expected."""
    with zoo.server("openssh-9.2") as server:
        yield Target(server.address, server.port, ("-t", "4", "--depth", "hostkey", "--host-key", WRONG_KEY))


# The causes that no fault of the matrix has.
BESIDES = (
    Scenario("another host key", (Cause.HOST_KEY,), another_key),
    Scenario("some closed after the identification", (Cause.UNEXPLAINED,), some_closed),
)


def one_for_each_cause() -> dict[str, Scenario]:
    """One fault for each cause, by the cause."""
    found: dict[str, Scenario] = {}
    for scenario in (*matching(), *BESIDES):
        cause = scenario.causes[0]
        if not scenario.strikes_at_random and (cause not in found or scenario.name in QUICK):
            found[cause] = scenario
    return found


CHOSEN = one_for_each_cause()


@pytest.fixture(scope="module")
def doors(request: pytest.FixtureRequest, complete_zoo: None) -> Iterator[Doors]:
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    selected = {item.callspec.params.get("cause") for item in items if item.module is request.module}
    with Doors([scenario for cause, scenario in CHOSEN.items() if cause in selected]) as asked:
        yield asked


def test_every_cause_has_a_fault_here() -> None:
    assert set(CHOSEN) == set(Cause)


@pytest.mark.parametrize("cause", CHOSEN)
def test_every_door_says_what_the_plugin_says_of(doors: Doors, cause: str) -> None:
    plugin, *others = doors.rows(CHOSEN[cause])
    if plugin.skipped and network.missing():
        pytest.skip(plugin.skipped)
    assert [(row.door, row.problem) for row in (plugin, *others) if row.problem] == []
    assert plugin.said is not None
    assert plugin.said.cause.split()[0] in CHOSEN[cause].causes
    assert [row.door for row in others if row.said] == list(DOORS), [row.skipped for row in others]


# --- how two answers are compared

CLOSING = Said(2, 'SSH CRITICAL - 5 of 5 handshakes closed, "x9"', "server_fault (likely)", ("a=5;1;2", "b=0.5ms;;;0"))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, ""),
        ({"line": 'SSH CRITICAL - 4 of 5 handshakes closed, "x1"', "perfdata": ("a=4;1;2", "b=12ms;;;0")}, ""),
        ({"code": 1}, "exit code 1, not 2"),
        ({"cause": "server_fault (certain)"}, "it says server_fault (certain), not server_fault (likely)"),
        ({"line": "SSH CRITICAL - 5 of 5 handshakes reset"}, "'SSH CRITICAL - 5 of 5 handshakes reset', not "),
        ({"perfdata": ("a=5;1;3", "b=0.5ms;;;0")}, "perfdata ['a=N;1;3'], not ['a=N;1;2']"),
        ({"perfdata": ("a=5;1;2", "b=0.5s;;;0")}, "perfdata ['b=Ns;;;0'], not ['b=Nms;;;0']"),
        ({"perfdata": ("a=5;1;2",)}, "perfdata [], not ['b=Nms;;;0']"),
    ],
)
def test_two_answers_differ_by_all_but_their_numbers(changed: Mapping[str, object], problem: str) -> None:
    said = CLOSING._replace(**changed)  # type: ignore[arg-type]
    told = "; ".join(problems(BESIDES[0], "checker", said, CLOSING))
    assert told.startswith(problem)
    assert bool(told) == bool(problem)


@pytest.mark.parametrize(
    ("line", "is_alike"),
    [
        ("SSH WARNING - 1 of 6 handshakes reset and 1 refused: a rate limit, by our own burst", True),
        ("SSH WARNING - 1 of 6 handshakes reset and 1 refused: a rate limit", False),
        ("SSH CRITICAL - 2 of 6 handshakes refused: a rate limit, by our own burst", False),
        ("SSH WARNING - 2 of 6 handshakes refused", False),
    ],
)
def test_endings_that_vary_are_not_compared(line: str, is_alike: bool) -> None:
    plugin = Said(1, "SSH WARNING - 2 of 6 handshakes refused: a rate limit, by our own burst", "", None)
    scenario = BESIDES[0]._replace(endings_vary=True)
    assert (not list(problems(scenario, "json", plugin._replace(line=line), plugin))) == is_alike


def test_a_door_that_was_asked_in_vain_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def place() -> Iterator[Target]:
        raise OSError("no such server")
        yield

    scenario = Scenario("cannot be set up", (Cause.HEALTHY,), place)
    with Doors([scenario]) as broken:
        rows: list[Row] = broken.rows(scenario)
    assert [row.problem for row in rows] == ["OSError: no such server"] * (1 + len(DOORS))


def test_options_that_no_module_has_are_told() -> None:
    with pytest.raises(Skip, match="a module has no control_port, max_startups"):
        module_of(parse(["-H", "h", "--control-port", "9", "--max-startups", "1:2:3"]))
    assert module_of(parse(["-H", "h", "-w", "banner_p50=3"]))["thresholds"]["warning"] == {"banner_p50": "3"}
    assert set(OF_MODULES) < set(DOORS)


def test_an_output_is_read() -> None:
    said = of_output(1, "SSH WARNING - 1 of 5 | a=1 b=2\ncause: slow (likely): x\n")
    assert said == Said(1, "SSH WARNING - 1 of 5", "slow (likely)", ("a=1", "b=2"))
    assert form(said.line) == "SSH WARNING - N of N"


def test_a_moment_may_be_written_in_two_ways_and_cut_off() -> None:
    plugin = "SSH CRITICAL - no further try before 09:17:24, so that it runs out"
    assert is_alike("SSH CRITICAL - no further try before 2026-11-28 09:17:23 UTC, so that...", plugin)
    assert not is_alike("SSH CRITICAL - no further try before 2026-11-28 09:17:23 UTC, but...", plugin)
    assert not is_alike("SSH CRITICAL - no further try...", plugin)
