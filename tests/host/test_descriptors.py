"""The item descriptors: the listener's table of open files, and the host's."""

import json
import resource

import pytest

from check_ssh_exchange.host import collect as collecting
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.findings import descriptors
from check_ssh_exchange.host.judge import Wishes, judge
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import kernel, processes, system
from check_ssh_exchange.plugin.nagios import Critical, Ok, Warn
from faults.holding import held
from tests.host.by_hand import Host
from tests.lab import zoo

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max processes             96364                96364                processes
Max open files            {soft}                 524288               files
"""


def host(count: int, soft: str = "100", uid: int = 0) -> Host:
    made = Host(uid=uid)
    made.sshd(10)
    made.file("/proc/10/limits", LIMITS.format(soft=soft))
    made.file("/proc/sys/fs/file-nr", "594\t0\t2466165\n")
    if not uid:
        made.document["lists"]["/proc/10/fd"]["names"] = [str(number) for number in range(count)]
    return made


def said(seen: Snapshot) -> tuple[object, list[str]]:
    outcome = judge(seen, About(), Wishes(("descriptors",)))
    return outcome.verdict.state, [problem.sentence for one in outcome.judged for problem in one.problems]


@pytest.mark.parametrize(("count", "state"), [(90, Ok), (91, Warn)])
def test_the_listeners_own_limit(count: int, state: object) -> None:
    assert said(host(count).seen) == (state, [f"descriptors of sshd 10: {count} of 100"] if state != Ok else [])


def test_too_few_left_for_a_client_are_critical_whatever_share_that_is() -> None:
    told = (Critical, ["sshd 10 has 1 descriptors left: it cannot take a client", "descriptors of sshd 10: 99 of 100"])
    assert said(host(99).seen) == told
    assert said(host(95).seen)[0] == Warn


def test_the_hosts_table() -> None:
    made = host(5)
    made.file("/proc/sys/fs/file-nr", "9950\t0\t10000\n")
    assert said(made.seen) == (Critical, ["open files of the host: 9950 of 10000"])


def test_without_root_the_right_is_named() -> None:
    finding = descriptors.find(host(0, uid=1000).seen, About())
    assert finding.unseen == ("root would show how many descriptors sshd has open",)
    assert dict(finding.figures) == {"descriptors": 0.02}


@pytest.mark.parametrize("soft", ["unlimited", "9" * 5000, "0", "\x1b|"])
def test_hostile_or_no_limits(soft: str) -> None:
    made = host(5, soft)
    made.file("/proc/sys/fs/file-nr", "\0 x |\x1b\n")
    finding = descriptors.find(made.seen, About())
    assert finding.is_skipped == (soft != "0")


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
@pytest.mark.parametrize("name", ["openssh-9.2", "openssh-10.6"])
def test_a_real_sshd_short_of_descriptors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "SOURCES", (system.read, processes.read, kernel.read))
    with zoo.server(name, limits={resource.RLIMIT_NOFILE: (20, 20)}) as server:

        def look() -> float:
            seen = Snapshot(json.loads(json.dumps(collecting.collect().document)))
            outcome = judge(seen, About(ports=(server.port,)), Wishes(("descriptors",)))
            [finding] = [one.finding for one in outcome.judged]
            assert finding.sentences[0][1].startswith(f"descriptors of sshd {server.pid}: ")
            return dict(finding.figures)["descriptors"]

        before = look()
        with held(server, 5, "127.0.7.6"):
            assert look() >= before + 25  # a pipe for each startup
