"""The item conntrack: the table of tracked connections."""

import re
from pathlib import Path

import pytest

from check_ssh_exchange.host import collect as collecting
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.findings import conntrack
from check_ssh_exchange.host.judge import Wishes, judge
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import kernel, system
from check_ssh_exchange.plugin.nagios import Critical, Ok, Warn
from tests.host.by_hand import Host

# /proc/net/stat/nf_conntrack, nf_conntrack_standalone.c ct_cpu_seq_show, Linux 6.1
STATISTICS = (
    "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop icmp_error\n"
    "0000000c  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 0000000a 00000000 0\n"
    "0000000c  00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000005 00000000 0\n"
)


def host(now: str = "12", most: str = "1000", statistics: str = STATISTICS) -> Host:
    made = Host()
    made.files({
        f"{conntrack.SETTINGS}_count": f"{now}\n", f"{conntrack.SETTINGS}_max": f"{most}\n",
        "/proc/net/stat/nf_conntrack": statistics,
    })  # fmt: skip
    return made


def said(seen: Snapshot) -> tuple[object, list[str]]:
    outcome = judge(seen, About(), Wishes(("conntrack",)))
    return outcome.verdict.state, [problem.sentence for one in outcome.judged for problem in one.problems]


@pytest.mark.parametrize(("now", "state"), [(900, Ok), (901, Warn), (1000, Critical), (1003, Critical)])
def test_a_full_table_drops_new_connections(now: int, state: object) -> None:
    assert said(host(str(now)).seen) == (state, [f"tracked connections: {now} of 1000"] if state != Ok else [])


def test_drops_and_the_remedy_are_told() -> None:
    finding = conntrack.find(host().seen, About())
    assert finding.evidence[-1] == "packets dropped by tracking since the start: 15"
    assert finding.remedies[-1].startswith("sysctl -w net.netfilter.nf_conntrack_max=2000   # ")


def test_without_tracking_there_is_no_table() -> None:
    assert conntrack.find(Host().seen, About()).is_skipped


@pytest.mark.parametrize("text", ["drop\nxyz\n", "drop\n" + "f" * 5000, "\0", "entries\n1\n", "drop early_drop\n\n"])
def test_hostile_statistics_say_nothing(text: str) -> None:
    assert len(conntrack.find(host(statistics=text).seen, About()).evidence) == 1


@pytest.mark.parametrize(("now", "most"), [("x", "5"), ("5", "0"), ("5", "-1"), ("9" * 5000, "5")])
def test_hostile_numbers_say_nothing(now: str, most: str) -> None:
    assert conntrack.find(host(now, most).seen, About()).is_skipped


@pytest.mark.real
def test_this_kernels_own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path(f"{conntrack.SETTINGS}_max").exists():
        pytest.skip("connections are not tracked here: modprobe nf_conntrack")
    monkeypatch.setattr(collecting, "SOURCES", (system.read, kernel.read))

    def is_the_kernels() -> bool:
        before = tracked("count")
        finding = conntrack.find(collecting.collect(), About())
        told = re.fullmatch(r"tracked connections: (\d+) of (\d+)", finding.summary)
        assert told, finding
        assert int(told[2]) == tracked("max")
        assert dict(finding.figures)["conntrack"] == round(min(100, 100 * int(told[1]) / int(told[2])), 2)
        return min(before, after := tracked("count")) <= int(told[1]) <= max(before, after)

    assert any(is_the_kernels() for _ in range(100))  # others may open and end connections meanwhile


def tracked(what: str) -> int:
    """What the kernel itself says of its table."""
    return int(Path(f"{conntrack.SETTINGS}_{what}").read_text())
