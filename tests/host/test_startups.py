"""The item startups: the title's numbers, the chance of a drop, who holds the slots, lost slots, the peak of a day."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_ssh_exchange.diagnosis.cause import Cause, Confidence
from check_ssh_exchange.diagnosis.maxstartups import MaxStartups, drop_percent
from check_ssh_exchange.host import peaks
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.answers import WITHOUT_KEYS
from check_ssh_exchange.host.collect import collect
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.findings import startups
from check_ssh_exchange.host.host import hides_processes
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.plugin.nagios import Critical, Warn
from faults.holding import held
from tests.host.by_hand import AT, CLOSE_WAIT, Host
from tests.lab import zoo

STRANGER, MONITOR = "198.51.100.9", "192.0.2.7"
OPENSSH = [name for name in zoo.RECIPES if name.startswith("openssh")]


def figures(finding: Finding) -> dict[str, float]:
    return {figure.label: figure.value for figure in finding.figures}


def sentences(finding: Finding) -> list[str]:
    return [problem.sentence for problem in finding.problems]


def throttled(now: int, begin: int = 10, full: int = 100, **more: Any) -> Host:
    host = Host(**more)
    host.sshd(10, f"{now} of {begin}-{full}")
    for number in range(now):
        host.startup(100 + number, 10, STRANGER, age=117.0 - number)
    return host


# --- states


def test_a_quiet_sshd_says_how_many_it_has() -> None:
    finding = startups.find(throttled(3).seen, About())
    assert (finding.summary, finding.problems, finding.unseen) == ("3 of 10-100 startups", (), ())
    assert figures(finding) == {"startups": 3, "startups_drop": 0}


def test_from_begin_on_the_next_client_may_be_dropped() -> None:
    finding = startups.find(throttled(14).seen, About())
    assert sentences(finding) == ["MaxStartups throttling: 14 of 10-100 startups, all from 198.51.100.9"]
    assert (finding.problems[0].state, finding.problems[0].cause) == (Warn, Cause.MAXSTARTUPS)
    assert figures(finding) == {"startups": 14, "startups_drop": 33}


def test_from_full_on_everybody_is_dropped() -> None:
    finding = startups.find(throttled(100).seen, About())
    assert sentences(finding) == ["MaxStartups full: 100 of 10-100 startups, all from 198.51.100.9"]
    assert finding.problems[0].state == Critical
    assert figures(finding) == {"startups": 100, "startups_drop": 100}


@pytest.mark.parametrize("word", ["maxstartups", "MaxStartups"])  # sshd -G until 10.4, and since 10.5
def test_the_rate_is_that_of_the_configuration(word: str) -> None:
    host = throttled(14)
    host.command("configuration of 10", f"port 22\n{word} 10:60:100\n")
    assert figures(startups.find(host.seen, About()))["startups_drop"] == drop_percent(14, MaxStartups(10, 60, 100))


def test_the_rate_is_known_without_host_keys_too() -> None:
    host = throttled(50)
    host.command("configuration of 10", code=1, err="sshd: no hostkeys available -- exiting.\r\n")
    host.command("configuration of 10" + WITHOUT_KEYS, "maxstartups 10:60:100\n")
    finding = startups.find(host.seen, About())
    assert figures(finding)["startups_drop"] == drop_percent(50, MaxStartups(10, 60, 100)) == 77
    assert sentences(finding)[0].endswith("77 % of new connections are dropped")


def test_the_share_that_is_dropped_is_told_where_the_rate_is_known() -> None:
    host = throttled(14)
    host.command("configuration of 10", "maxstartups 10:30:100\n")
    (sentence,) = sentences(startups.find(host.seen, About(monitors=("198.51.100.9",))))
    assert sentence.endswith(
        "14 of 10-100 startups, all from the monitor 198.51.100.9, 33 % of new connections are dropped"
    )


def test_an_impossible_rate_is_not_believed() -> None:
    host = throttled(14)
    host.command("configuration of 10", "maxstartups 10:999:100\n")
    assert figures(startups.find(host.seen, About()))["startups_drop"] == 33


def test_a_peak_within_the_second_counts() -> None:
    host = throttled(3)
    host.sample(p10=(12, 10, 100))
    host.sample(p10=None)  # the title was not readable for a moment
    host.sample(p10=(2, 10, 100))
    finding = startups.find(host.seen, About())
    assert sentences(finding) == ["MaxStartups throttling: 12 of 10-100 startups"]


def test_of_two_sshds_the_one_in_trouble_is_named() -> None:
    host = throttled(2)
    host.sshd(11, "5 of 5-5", port=2222)
    finding = startups.find(host.seen, About())
    assert sentences(finding) == ["MaxStartups full: 5 of 5-5 startups (OpenSSH_9.2p1 on 0.0.0.0:2222)"]
    assert figures(finding) == {"startups": 5, "startups_drop": 100}
    assert startups.find(host.seen, About(ports=(22,))).summary == "2 of 10-100 startups"


# --- what cannot be seen


def test_without_a_listener_there_is_nothing_to_say() -> None:
    finding = startups.find(Host().seen, About())
    assert (finding.is_skipped, finding.summary, finding.unseen) == (True, "no sshd that listens was seen", ())


def test_hidepid_is_named_with_the_right_that_helps() -> None:
    host = Host(uid=1000)
    host.file("/proc/mounts", "proc /proc proc rw,nosuid,hidepid=invisible 0 0\n")  # proc(5), since Linux 5.8
    finding = startups.find(host.seen, About())
    assert finding.is_skipped
    assert finding.unseen == ("root would show the processes of sshd: /proc is mounted with hidepid",)


@pytest.mark.parametrize("mounts", [
    "proc /proc proc rw,nosuid,hidepid=0 0 0\n", "proc /proc proc rw,nosuid,hidepid=off 0 0\n", "proc /proc proc\n",
    "proc /proc proc rw,nosuid 0 0\ntmpfs /mnt/hidepid=2 tmpfs rw 0 0\n", "\n \n",
])  # fmt: skip
def test_a_proc_that_hides_nothing_is_not_blamed(mounts: str) -> None:
    host = Host(uid=1000)
    host.file("/proc/mounts", mounts)
    assert startups.find(host.seen, About()).unseen == ()
    assert not hides_processes(host.seen)


def test_an_sshd_before_8_2_has_no_title() -> None:
    host = Host()
    host.sshd(10, None, version="OpenSSH_7.4p1")
    finding = startups.find(host.seen, About())
    assert finding.is_skipped
    assert finding.summary == (
        "OpenSSH_7.4p1 on 0.0.0.0:22 does not say how many startups it has; OpenSSH 8.2 and later do"
    )


def test_without_root_the_connections_are_counted_and_the_right_is_named() -> None:
    host = throttled(2, uid=1000)
    finding = startups.find(host.seen, About(monitors=(MONITOR,)))
    assert finding.evidence == (f"2 connections, logged in or not: 2 from {STRANGER}",)
    assert finding.unseen == ("root would show who holds the startups",)
    assert finding.problems == ()


# --- who holds them


def test_the_sources_are_counted_with_the_monitors_own_share() -> None:
    host = Host()
    host.sshd(10, "100 of 10-100")
    for number in range(96):
        host.startup(100 + number, 10, STRANGER, age=117 - number / 10)
    for number in range(2):
        host.startup(300 + number, 10, "203.0.113.5")
        host.startup(400 + number, 10, MONITOR, age=1.0)
    finding = startups.find(host.seen, About(monitors=(MONITOR, "2001:db8::7")))
    assert finding.evidence == (
        f"96 of 100 from {STRANGER} (oldest 117 s), 2 from 203.0.113.5, 2 from the monitor {MONITOR}, "
        "none from the monitor 2001:db8::7",
    )


def test_a_child_without_its_connection_is_told() -> None:
    host = throttled(1)
    host.process(500, 10, "sshd: [accepted]", "sshd")
    assert startups.find(host.seen, About()).evidence == (
        f"1 of 2 from {STRANGER} (oldest 117 s), 1 whose connection is gone",
    )


# Titles seen on 8.4, 9.2, 10.0 and 10.6, and in sshd-session.c of 10.5 (`[postauth]`): child and grandchild.
TRYING = [
    ("sshd: [accepted]", "sshd: [net]"),
    ("sshd: alice [priv]", "sshd: alice [net]"),
    ("sshd: unknown [priv]", "sshd: unknown [net]"),
    ("sshd: alice [priv]", "sshd: alice [pam]"),
    ("sshd-session: [accepted]", "sshd-auth: [session-auth]"),
    ("sshd-session: alice [priv]", "sshd-auth: alice [session-auth]"),
    ("/usr/sbin/sshd -D -R", ""),
    ("sshd: [accepted]", ""),  # libwrap's five seconds
    ("", ""),  # a zombie: its slot is free when it has been reaped
]
LOGGED_IN = [
    ("sshd: alice [priv]", "sshd: alice@pts/0"),
    ("sshd: alice [priv]", "sshd: alice@notty"),
    ("sshd: alice [priv]", ""),
    ("sshd: root@pts/0", ""),
    ("sshd: root", ""),
    ("sshd: alice [priv]", "sshd: alice"),
    ("sshd-session: alice [priv]", "sshd-session: alice@notty"),
    ("sshd-session: alice [postauth]", ""),
]


@pytest.mark.parametrize(("child", "grandchild"), TRYING + LOGGED_IN)
def test_a_child_holds_a_slot_until_it_has_logged_in(child: str, grandchild: str) -> None:
    host = Host()
    host.sshd(10, "1 of 10-100")
    host.startup(20, 10, STRANGER, title=child)
    if grandchild:
        host.process(21, 20, grandchild, grandchild.partition(":")[0])
    evidence = startups.find(host.seen, About()).evidence
    assert bool(evidence) == ((child, grandchild) in TRYING)


# --- lost slots


@pytest.mark.parametrize("version", ["OpenSSH_9.8p1", "OpenSSH_10.0p2", ""])
def test_lost_slots_of_9_8_to_10_0_are_seen(version: str) -> None:
    host = Host()
    host.sshd(10, "40 of 10-100", version=version)
    finding = startups.find(host.seen, About())
    assert sentences(finding) == [
        "sshd has lost 40 of its startups: no connection holds them",
        "MaxStartups throttling: 40 of 10-100 startups",
    ]
    assert finding.problems[0].confidence == Confidence.LIKELY
    assert finding.remedies[0].startswith("service sshd restart   # OpenSSH 9.8 to 10.0 lose startups")


def test_sessions_that_have_logged_in_explain_their_connections() -> None:
    host = Host()
    host.sshd(10, "40 of 50-100", version="OpenSSH_9.9p1")
    host.startup(20, 10, STRANGER, title="sshd-session: root@pts/0")
    host.startup(21, 10, STRANGER)
    assert sentences(startups.find(host.seen, About())) == [
        "sshd has lost 39 of its startups: no connection holds them"
    ]


def not_lost(change: str) -> Host:
    host = Host()
    host.sshd(10, "4 of 10-100", version="OpenSSH_10.1p1" if change == "version" else "OpenSSH_10.0p2")
    match change:
        case "connection":
            host.connection(None, peer=STRANGER)
        case "half-closed":
            host.connection(None, peer=STRANGER, state=CLOSE_WAIT)
        case "moment":
            host.sample(p10=(0, 10, 100))
        case "samples":
            host.document["samples"] = []
        case "many":
            host.pids.extend(str(pid) for pid in range(5000, 7001))
        case "children":
            for pid in range(20, 24):
                host.process(pid, 10, "", "sshd-session", state="Z")
    return host


@pytest.mark.parametrize("change", ["version", "connection", "half-closed", "moment", "samples", "many", "children"])
def test_what_may_have_another_reason_is_no_loss(change: str) -> None:
    assert startups.find(not_lost(change).seen, About()).problems == ()


# --- the peak


def remembered(memory: object) -> About:
    return About(memory={"startups": memory})


def test_the_peak_is_remembered_by_the_hour_and_forgotten_after_a_day() -> None:
    memory: object = None
    for at, now in [(AT - 90000, 90), (AT - 80000, 64), (AT - 79990, 5), (AT - 60, 2)]:
        memory = peaks.after(memory, at, {"0.0.0.0:22": now})
    assert peaks.peak_of(memory, AT, "0.0.0.0:22", 3) == peaks.Peak(64, 86400, is_remembered=True)
    assert peaks.peak_of(memory, AT, "[::]:22", 3) == peaks.Peak(3, 0, is_remembered=False)
    assert len(json.dumps(memory)) < 200


def test_the_recommendation_is_made_from_the_peak_that_was_measured() -> None:
    memory = peaks.after(None, AT - 86400, {"0.0.0.0:22": 1})
    memory = peaks.after(memory, AT - 4000, {"0.0.0.0:22": 64})
    finding = startups.find(throttled(12).seen, remembered(memory))
    assert finding.evidence[1] == "peak 64 of 10-100 in 24 h: MaxStartups 100:30:200"
    assert "set MaxStartups 100:30:200 in sshd_config   # peak 64 of 10-100 in 24 h" in finding.remedies
    assert finding.remedies[-1] == "service sshd reload"


def test_without_a_memory_nothing_is_recommended() -> None:
    finding = startups.find(throttled(14).seen, About())
    assert not [line for line in (*finding.evidence, *finding.remedies) if "MaxStartups 2" in line]
    assert any("--state-file" in line for line in finding.remedies)


def test_a_peak_below_begin_needs_no_other_setting() -> None:
    memory = peaks.after(None, AT - 7200, {"0.0.0.0:22": 9})
    assert startups.find(throttled(1).seen, remembered(memory)).evidence[1] == "peak 9 of 10-100 in 2 h"


@pytest.mark.parametrize("memory", [
    [], 7, {"0.0.0.0:22": []}, {"0.0.0.0:22": {"hours": 3, "since": "x"}}, {"0.0.0.0:22": {"since": 1e300}},
    {"0.0.0.0:22": {"hours": {"x": 1, "-1": 2, "9" * 5000: 3, "500000": "y", "500001": -1}, "since": -1e300}},
])  # fmt: skip
def test_a_broken_memory_is_none(memory: object) -> None:
    finding = startups.find(throttled(3).seen, remembered(memory))
    assert figures(finding)["startups"] == 3
    assert "peak 64" not in " ".join(finding.evidence)
    json.dumps(finding.remember)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 5000))
def test_a_proposal_is_a_possible_setting_above_the_peak(most: int, start: int, full: int) -> None:
    setting = MaxStartups(start, 30, max(start, full))
    made = peaks.proposal(most, setting)
    assert made is None or (most < made.start <= made.full and made.full >= setting.full and most >= start)


# --- hostile input


@pytest.mark.parametrize("title", [
    "sshd: x [listener] 5 of 0-0 startups", "sshd: x [listener] 99999999999999999999 of 7-3 startups",
    "sshd: \x1b[31m|\0\udcff [listener] 1 of 10-100 startups", "sshd: " + "x" * 1_000_000, "[listener]",
])  # fmt: skip
def test_hostile_titles_are_bounded_and_escaped(title: str) -> None:
    host = Host()
    host.sshd(10, "1 of 10-100", version="OpenSSH_9\x1b[31m|9")
    host.sshd(11, "1 of 10-100", port=23)
    host.file("/proc/10/cmdline", title)
    host.startup(20, 10, STRANGER, title="sshd: \x1b]0;|\udcff" + "y" * 100_000)
    finding = startups.find(host.seen, About(monitors=("|\x1b",)))
    said = " ".join([finding.summary, *sentences(finding), *finding.evidence, *finding.remedies])
    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 5000


# --- real sshds


@pytest.fixture(scope="module", params=OPENSSH)
def server(request: pytest.FixtureRequest, complete_zoo: None) -> Iterator[zoo.Server]:
    del complete_zoo
    options = {"MaxStartups": "5:30:20"}
    if request.param in ("openssh-10.0", "openssh-10.6"):
        options["PerSourcePenalties"] = "no"
    # Without root a listener is known by the port in its words.
    port = zoo.free_port("127.0.0.1")
    with zoo.server(request.param, options=options, port=port, arguments=("-p", str(port))) as running:
        yield running


def looked(server: zoo.Server, about: About = About()) -> Finding:  # noqa: B008 - a value
    seen = Snapshot(json.loads(json.dumps(collect().document)))
    return startups.find(seen, about._replace(ports=(server.port,)))


def settled(server: zoo.Server) -> None:
    """Wait until the connections of the test before are gone: those of startups, and of a session that is ending."""
    deadline = time.monotonic() + 60
    while children(server) or not looked(server).summary.startswith("0 of"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(server: zoo.Server) -> str:
    return Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()


def until_logged_in(server: zoo.Server, logged: int) -> None:
    """Wait for a login, and until sshd has its slot back: the process that asked for the key may outlive the answer."""
    deadline = time.monotonic() + 60
    while "Accepted publickey" not in server.log()[logged:] or not looked(server).summary.startswith("0 of"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.real
@pytest.mark.parametrize(("count", "state"), [(0, None), (4, None), (7, Warn), (20, Critical)])
def test_a_real_sshd_is_as_full_as_it_is(server: zoo.Server, count: int, state: object) -> None:
    settled(server)
    with held(server, count, "127.0.7.1") if count else ExitStack():
        finding = looked(server, About(monitors=("127.0.7.1",)))
        assert figures(finding) == {"startups": count, "startups_drop": drop_percent(count, MaxStartups(5, 30, 20))}
        assert [problem.state for problem in finding.problems] == ([state] if state else [])
        assert [line.partition(" (")[0] for line in finding.evidence] == (
            [f"{count} of {count} from the monitor 127.0.7.1"] if count else []
        )
        assert finding.unseen == ()


@pytest.mark.real
@pytest.mark.parametrize("user", ["u", "root"])
def test_a_real_session_holds_no_slot(server: zoo.Server, user: str) -> None:
    settled(server)
    logged = len(server.log())
    words = [
        "ssh", "-N", "-p", str(server.port), "-i", str(server.identity), "-o", "IdentitiesOnly=yes", "-o",
        f"UserKnownHostsFile={server.known_hosts}", f"{user}@{server.address}",
    ]  # fmt: skip
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as session:
        try:
            until_logged_in(server, logged)
            with held(server, 2, "127.0.7.2"):
                finding = looked(server)
        finally:
            session.kill()
    assert finding.summary == "2 of 5-20 startups"
    assert finding.evidence[0].startswith("2 of 2 from 127.0.7.2 (oldest ")
    assert finding.problems == ()


@pytest.mark.real
def test_without_root_a_real_sshd_is_judged_all_the_same(server: zoo.Server) -> None:
    settled(server)
    with held(server, 7, "127.0.7.3"):
        seen = as_nobody()
    finding = startups.find(seen, About(ports=(server.port,)))
    assert sentences(finding) == ["MaxStartups throttling: 7 of 5-20 startups"]
    assert finding.evidence == ("7 connections, logged in or not: 7 from 127.0.7.3",)
    assert finding.unseen == ("root would show who holds the startups",)


def as_nobody() -> Snapshot:
    """Return what a user without rights sees."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        with open(writing, "w") as pipe:
            json.dump(collect().document, pipe)
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        seen = Snapshot(json.load(pipe))
    os.waitpid(child, 0)
    return seen
