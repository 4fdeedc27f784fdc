"""The items log and denials: what is read of the logs, what is new in them, what sshd and the kernel say there."""

import gzip
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_ssh_exchange.diagnosis.cause import Cause, Confidence
from check_ssh_exchange.host import log_places
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.door import Door
from check_ssh_exchange.host.finding import Problem
from check_ssh_exchange.host.judge import Judged, Wishes, judge
from check_ssh_exchange.host.log_lines import Clock, Line, line_of, line_of_entry
from check_ssh_exchange.host.refusals import Refusals
from check_ssh_exchange.host.snapshot import PARTS, Snapshot
from check_ssh_exchange.host.sources import logs
from check_ssh_exchange.plugin.nagios import Critical, Warn
from tests.lab import zoo
from tests.lab.front_door import wait_until

AT = 1767225600.0  # 2026-01-01 00:00:00 UTC
PID = 812
LOCAL = "0: 00000000:{:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 5555 1"


def document(at: float = AT, **parts: Any) -> dict[str, Any]:
    return {
        "schema": 1, "program": "check_sshd_local", "at": at, "uid": 0, "host": {"name": "web1"}, "zone": 0,
        "since": 600.0, "files": {}, "stats": {}, "lists": {}, "links": {}, "commands": {}, "samples": [], **parts,
    }  # fmt: skip


def with_sshd(parts: dict[str, Any], begin: int = 10, version: str = "OpenSSH_9.2p1", port: int = 22) -> dict[str, Any]:
    """Add a listener, as /proc shows it."""
    title = f"sshd: /usr/sbin/sshd -D -p {port} [listener] 0 of {begin}-100 startups\0"
    fields = " ".join(["S", "1", *"0" * 17, "1000", *"0" * 10])
    parts["lists"]["/proc"] = {"names": [str(PID)]}
    for name, text in {
        "cmdline": title,
        "stat": f"{PID} (sshd) {fields}",
        "comm": "sshd\n",
        "net/tcp": f"h\n{LOCAL.format(port)}\n",
    }.items():
        parts["files"][f"/proc/{PID}/{name}"] = {"text": text}
    parts["commands"][f"version of {PID}"] = {"code": 1, "out": "", "err": f"{version}, OpenSSL 3.0"}
    return parts


class Host:
    """A directory of logs, read by the real source through the real door; `runs` without and with a memory."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.memory: dict[str, Any] = {}
        self.parts: dict[str, Any] = {}
        (root / "audit").mkdir()
        for name in ("OF_SSHD", "OF_KERNEL", "JOURNALS"):
            places = getattr(log_places, name)
            monkeypatch.setattr(log_places, name, tuple(path.replace("/var/log", str(root)) for path in places))
        monkeypatch.setattr(log_places, "JOURNALS", (str(root / "journal"),))
        self.write("kern.log", "")

    def write(self, name: str, text: str, *, age: float = 0.0) -> Path:
        path = self.root / name
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        os.utime(path, (AT - age, AT - age))
        return path

    def add(self, name: str, text: str) -> None:
        with (self.root / name).open("a") as file:
            file.write(text)

    def look(self, at: float = AT, *, is_stateless: bool = False, **parts: Any) -> Snapshot:
        door = Door()
        position = {} if is_stateless else self.memory.get("log", {})
        seen = Snapshot({**document(at), **door.document, "position": position, **parts})
        for _ in logs.read(door, seen):
            door.run()
        for part in PARTS:
            seen.document[part].update(self.parts.get(part, {}))
        # A snapshot that goes to another machine is JSON on its way.
        return Snapshot.of_document(json.loads(json.dumps(seen.document)))

    def run(self, at: float = AT, *monitors: str, is_stateless: bool = False, **parts: Any) -> Judged:
        about = About(monitors=monitors, memory=self.memory)
        found = judged(self.look(at, is_stateless=is_stateless, **parts), about)
        self.memory = {**self.memory, "log": json.loads(json.dumps(found.finding.remember))}
        return found


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def stamp(at: float) -> str:
    return time.strftime("%b %e %H:%M:%S", time.gmtime(at))


def syslog(*messages: str, at: float = AT - 60, pid: int = PID, tag: str = "sshd") -> str:
    return "".join(f"{stamp(at)} web1 {tag}[{pid}]: {message}\n" for message in messages)


def judged(seen: Snapshot, about: About, item: str = "log") -> Judged:
    """The finding with the problems that the default thresholds make of its figures."""
    (found,) = judge(seen, about, Wishes(items=(item,))).judged
    return found


def figures(found: Judged) -> dict[str, float]:
    return {label: value for label, value in found.finding.figures if value}


def sentences(found: Judged) -> list[str]:
    return [problem.sentence for problem in found.problems]


def drop(number: int, source: str = "198.51.100.9", words: str = "past MaxStartups", port: int = 22) -> str:
    return f"drop connection #{number} from [{source}]:40000 on [192.0.2.1]:{port} {words}"


# --- every line of every version (OpenSSH's sources and real servers: 7.4 to 10.6)

LINES = {
    drop(10): "maxstartups_drops",  # 7.4 to 9.7
    drop(10, words="past Maxstartups"): "maxstartups_drops",  # 9.8, 9.9
    drop(10, words="Maxstartups"): "maxstartups_drops",  # 10.0 to 10.5
    drop(10, words="MaxStartups"): "maxstartups_drops",  # 10.6
    drop(2, "2001:db8::9"): "per_source_drops",
    drop(2, words="MaxStartups"): "per_source_drops",
    drop(0, words="penalty: connections without attempting authentication"): "penalty_drops",
    drop(0, words="penalty: failed authentication"): "penalty_drops",
    drop(0, words="penalty: attempted authentication by invalid user"): "penalty_drops",  # 10.3
    drop(0, words="penalty: exceeded LoginGraceTime"): "penalty_drops",
    drop(0, words="penalty: connection prohibited by RefuseConnection"): "penalty_drops",  # 9.9
    drop(0, words="too many penalised addresses"): "penalty_drops",
    "fatal: Timeout before authentication for 198.51.100.9 port 40000": "grace_timeouts",  # 8.5 to 9.7
    "Timeout before authentication for connection from 198.51.100.9 to 192.0.2.1, pid = 99": "grace_timeouts",  # 9.8
    "refused connect from 198.51.100.9 (198.51.100.9)": "denied",
    "refused connect from bad.example (198.51.100.9)": "denied",
    "sshd: no hostkeys available -- exiting.": "child_failures",
    "error: rexec of /usr/lib/openssh/sshd-session failed: No such file or directory": "child_failures",
    "fatal: privsep_preauth: exec of /usr/lib/openssh/sshd-auth failed: No such file or directory": "child_failures",
    "fatal: Missing privilege separation directory: /run/sshd": "child_failures",
    'fatal: chroot("/run/sshd"): No such file or directory [preauth]': "child_failures",
    "fatal: Privilege separation user sshd does not exist": "child_failures",
    "error: fork: Resource temporarily unavailable": "child_failures",
    "fatal: fork of unprivileged child failed": "child_failures",
    "error: reexec socketpair: Too many open files": "child_failures",
    "error: accept: Too many open files": "child_failures",
    "fatal: monitor_openfds: pipe: Too many open files": "child_failures",
    "/usr/sbin/sshd: error while loading shared libraries: libcrypto.so.3: cannot open shared object file": (
        "child_failures"
    ),
}
HEALTHY = (
    "Connection closed by 198.51.100.9 port 40000 [preauth]",
    "Invalid user admin from 198.51.100.9 port 40000",
    "Failed password for root from 198.51.100.9 port 40000 ssh2",
    "error: kex_exchange_identification: Connection closed by remote host",
    "banner exchange: Connection from 198.51.100.9 port 40000: invalid format [preauth]",
    "Connection reset by UNKNOWN port 65535 [preauth]",
    "Received disconnect from 198.51.100.9 port 40000:11: Bye [preauth]",
    "srclimit_penalise: 198.51.100.9/32: activating ipv4 penalty of 15.831 seconds for penalty: failed authentication",
    "srclimit_penalise: ipv4: new 198.51.100.9/32 deferred penalty of 1.000 seconds for penalty: failed authentication",
    "ipv6: new 2001:db8::/64 active penalty of 90.000 seconds for penalty: failed authentication",
    "error: rexec of /usr/sbin/sshd failed: No such file or directory",  # 8.4 and 9.2 serve on without it
    'fatal: chroot("/home/sftp/joe"): No such file or directory',  # one user's ChrootDirectory
    "Accepted publickey for tester from 192.0.2.7 port 40000 ssh2: ED25519 SHA256:abc",
    "administratively prohibited connection for tester from 198.51.100.9 port 40000",
    "Server listening on 0.0.0.0 port 22.",
    "Received SIGHUP; restarting.",
    # What a client says stands within a line.
    "Invalid user drop connection #10 from [192.0.2.1]:1 on [192.0.2.1]:22 past MaxStartups from 198.51.100.9",
    "Received disconnect from 198.51.100.9 port 1:11: fatal: fork of unprivileged child failed [preauth]",
)


@pytest.mark.parametrize("message", LINES)
@pytest.mark.parametrize("tag", ["sshd", "sshd-session", "sshd-auth"])
def test_every_line_of_every_version_is_counted_under_its_label(host: Host, message: str, tag: str) -> None:
    host.parts = with_sshd(document())
    host.write("auth.log", syslog(message, tag=tag))
    assert figures(host.run()) == {LINES[message]: 1.0}


def test_scanners_and_penalties_of_strangers_are_healthy(host: Host) -> None:
    host.parts = with_sshd(document())
    host.write("auth.log", syslog(*HEALTHY))
    found = host.run(AT, "192.0.2.7")
    assert (found.problems, figures(found), found.summary) == ((), {}, "nothing turned away in 10 min")
    assert found.finding.evidence == ("penalties: 2 for failed authentication",)


def test_drops_are_one_warning_with_their_number_their_time_and_the_worst_source(host: Host) -> None:
    host.write("auth.log", syslog(*[drop(10)] * 3, drop(11, "203.0.113.5")))
    (problem,) = host.run().problems
    sentence = "4 connections dropped in 10 min (3 from 198.51.100.9)"
    assert problem == Problem(Warn, sentence, Cause.MAXSTARTUPS, Confidence.CERTAIN)


def test_drops_below_the_begin_of_maxstartups_are_those_of_the_limit_per_source(host: Host) -> None:
    host.parts = with_sshd(document(), begin=30)
    host.write("auth.log", syslog(drop(29), drop(30)))
    found = host.run()
    assert figures(found) == {"maxstartups_drops": 1, "per_source_drops": 1}
    assert sentences(found)[1] == "1 connection dropped by PerSourceMaxStartups in 10 min (1 from 198.51.100.9)"
    assert found.problems[1].cause is Cause.PER_SOURCE_LIMIT


def test_a_child_that_failed_is_critical_in_the_log_s_own_words(host: Host) -> None:
    words = "error: rexec of /usr/lib/openssh/sshd-session failed: No such file or directory"
    host.write("auth.log", syslog(*[words] * 2))
    (problem,) = host.run().problems
    assert problem.state is Critical
    assert problem.cause is Cause.SERVER_FAULT
    assert problem.sentence == (
        'sshd failed 2 times in 10 min: "rexec of /usr/lib/openssh/sshd-session failed: No such file or directory"'
    )


def test_only_the_ports_that_are_asked_for_count(host: Host) -> None:
    host.write("auth.log", syslog(drop(10), drop(10, port=2222)))
    found = judged(host.look(), About(ports=(2222,)))
    assert figures(found) == {"maxstartups_drops": 1}


# --- lines that stand for many

BEGINNING = "error: beginning MaxStartups throttling"
GOES_ON = "error: in MaxStartups throttling for 00:05:01, 100 connections dropped"


def tally(*messages: str, episodes: Mapping[str, Any] | None = None) -> Refusals:
    lines = [Line(AT - 300 + at, PID, message) for at, message in enumerate(messages)]
    return Refusals(lambda _port, _pid: 10, (), episodes or {}).read(lines)


@pytest.mark.parametrize(
    ("messages", "number"),
    [
        # 8.4 to 9.9 at INFO: the first drop has a line, the end says how many there were.
        ([BEGINNING, drop(10), "exited MaxStartups throttling after 00:01:00, 312 connections dropped"], 312),
        # at VERBOSE each has its line
        ([BEGINNING, *[drop(10)] * 5, "exited MaxStartups throttling after 00:01:00, 5 connections dropped"], 5),
        # every five minutes; the number has the connection in it whose line follows
        ([BEGINNING, drop(10), GOES_ON, drop(12)], 100),
        (
            [BEGINNING, drop(10), GOES_ON, drop(12), "exited MaxStartups throttling after 0, 150 connections dropped"],
            150,
        ),
        # twice
        ([BEGINNING, drop(10), "exited MaxStartups throttling after 00:00:02, 7 connections dropped"] * 2, 14),
        # 10.0 and later
        ([drop(10, words="Maxstartups"), "Maxstartups logging rate-limited: additional 40 connections dropped"], 41),
        ([drop(10, words="MaxStartups"), "MaxStartups logging rate-limited: additional 3 connections dropped"], 4),
        # absurd
        (["exited MaxStartups throttling after 00:00:02, 999999999 connections dropped"], 10_000_000),
        (["exited MaxStartups throttling after 00:00:02, 9999999999999 connections dropped"], 0),
    ],
)
def test_lines_that_stand_for_many_drops_are_added_up_and_none_counts_twice(messages: list[str], number: int) -> None:
    assert tally(*messages).counts["maxstartups_drops"] == number


def test_a_limit_per_source_and_penalties_keep_their_label_where_lines_were_left_out() -> None:
    found = tally(BEGINNING, drop(2), "exited MaxStartups throttling after 00:00:02, 7 connections dropped")
    assert found.counts == {"per_source_drops": 7}
    words = "PerSourcePenalties logging rate-limited: additional 4 connections dropped"
    assert tally(drop(0, words="penalty: failed authentication"), words).counts == {"penalty_drops": 5}


def test_a_throttling_that_began_before_the_lines_is_told_with_its_own_time(host: Host) -> None:
    host.write("auth.log", syslog("exited MaxStartups throttling after 02:00:00, 900 connections dropped"))
    assert sentences(host.run()) == ["900 connections dropped in 2 h"]


def test_a_throttling_that_goes_on_is_counted_on_at_the_next_run(host: Host) -> None:
    host.write("auth.log", syslog(BEGINNING, drop(10), at=AT - 90))
    assert sentences(host.run(AT - 60)) == ["at least 1 connection dropped in 10 min (1 from 198.51.100.9)"]
    host.add("auth.log", syslog(GOES_ON.replace("100", "50"), drop(12), at=AT - 30))
    assert figures(host.run(AT)) == {"maxstartups_drops": 49}
    quiet = host.run(AT + 10)
    assert (quiet.problems, quiet.summary) == (
        (), "MaxStartups throttling has not ended, and what it drops is logged at its end"
    )  # fmt: skip
    host.add("auth.log", syslog("exited MaxStartups throttling after 00:06:00, 60 connections dropped", at=AT + 30))
    found = host.run(AT + 60)
    assert sentences(found) == ["10 connections dropped in 50 s"]
    assert ("maxstartups_drops", 10.0) in found.finding.counters
    assert host.run(AT + 120).summary == "nothing turned away in 1 min"


def test_a_throttling_ends_with_the_sshd_that_logged_it(host: Host) -> None:
    host.write("auth.log", syslog(BEGINNING, drop(10), pid=99, at=AT - 90))
    host.run(AT - 60)
    host.parts = with_sshd(document())
    assert host.run(AT).summary == "nothing turned away in 1 min"


# --- penalties

PENALISED = "srclimit_penalise: {}: activating ipv4 penalty of 120.500 seconds for penalty: failed authentication"


@pytest.mark.parametrize("source", ["192.0.2.7/32", "192.0.2.0/24", "192.0.2.7/24"])
def test_a_penalised_monitor_is_critical_also_within_a_block(host: Host, source: str) -> None:
    host.write("auth.log", syslog(PENALISED.format(source)))
    (problem,) = host.run(AT, "192.0.2.7").problems
    assert (problem.state, problem.cause) == (Critical, Cause.PENALTY)
    block = "" if source == "192.0.2.7/32" else f" ({source})"
    assert problem.sentence == f"the monitor 192.0.2.7 is penalised for 60 s more{block}: failed authentication"


def test_a_monitor_of_ipv6_is_found_in_its_block_and_a_penalty_that_is_over_is_said_to_be(host: Host) -> None:
    words = "srclimit_penalise: ipv6: new 2001:db8:1:2::/64 active penalty of 20.000 seconds for penalty: caused crash"
    host.write("auth.log", syslog(words))
    found = host.run(AT, "2001:db8:1:2::7", "192.0.2.7")
    assert "the monitor 2001:db8:1:2::7 was penalised 40 s ago (2001:db8:1:2::/64): caused crash" in sentences(found)
    assert len(found.problems) == 2


def test_a_penalty_that_lasts_is_critical_at_the_next_run_too(host: Host) -> None:
    host.write("auth.log", syslog(PENALISED.format("192.0.2.7/32")))
    host.run(AT, "192.0.2.7")
    assert sentences(host.run(AT + 30, "192.0.2.7")) == [
        "the monitor 192.0.2.7 is penalised for 30 s more: failed authentication"
    ]
    assert not host.run(AT + 90, "192.0.2.7").problems


def test_a_monitor_that_was_turned_away_is_critical_where_the_log_has_no_penalty(host: Host) -> None:
    """9.8 to 10.0 log penalties at VERBOSE only."""
    host.write("auth.log", syslog(*[drop(0, "192.0.2.7", "penalty: failed authentication")] * 2))
    assert sentences(host.run(AT, "192.0.2.7")) == [
        "the monitor 192.0.2.7 was turned away 2 times for a penalty: failed authentication"
    ]


def test_crashes_are_counted_apart_but_not_those_of_9_8_and_9_9_which_are_none(host: Host) -> None:
    words = "srclimit_penalise: ipv4: new 198.51.100.9/32 active penalty of 90.000 seconds for penalty: caused crash"
    host.write("auth.log", syslog(words, drop(0, words="penalty: caused crash")))
    (problem,) = judged(host.look(), About()).problems
    assert problem.state is Warn
    assert problem.sentence == "clients made sshd crash 1 time in 10 min, as an attack would (198.51.100.9/32)"
    host.parts = with_sshd(document(), version="OpenSSH_9.8p1")
    assert not judged(host.look(), About()).problems


# --- files


@pytest.mark.parametrize(
    ("row", "zone", "at"),
    [
        ("Dec 31 23:59:00 web1 sshd[1]: x", 0, AT - 60),  # of the year before
        ("Jan  1 00:59:00 web1 sshd[1]: x", 3600, AT - 60),
        ("2025-12-31T23:59:00.250000+00:00 web1 sshd-session[1]: x", 7200, AT - 59.75),  # rsyslog of Debian 12
        ("2025-12-31T18:59:00.5-05:00 web1 sshd[1]: x", 0, AT - 59.5),
        ("2025-12-31T23:59:00Z web1 sshd[1]: x", 3600, AT - 60),
        ("2026-01-01T00:59:00 web1 sshd[1]: x", 3600, AT - 60),
        ("Dec 31 23:59:00 alpine auth.info sshd[1]: x", 0, AT - 60),  # busybox syslogd
        ("Dec 31 23:59:00 sshd[1]: x", 0, AT - 60),  # busybox syslogd -S
        ("Dec 31 23:59:00 web1 sshd: x", 0, AT - 60),
    ],
)
def test_dates_of_syslogs(row: str, zone: int, at: float) -> None:
    found = line_of(row, Clock(AT, zone))
    assert found is not None
    assert found.at == pytest.approx(at)
    assert found.message == "x"


def test_the_snapshot_holds_no_more_than_what_is_new(host: Host) -> None:
    host.write("auth.log", syslog("old", at=AT - 3600) + syslog("new"))
    assert host.look().text(str(host.root / "auth.log")) == syslog("new")
    host.run()
    assert host.look(AT + 60).text(str(host.root / "auth.log")) == ""


@pytest.mark.parametrize(
    "row",
    [
        "Dec 31 23:59:00 web1 sudo: joe : COMMAND=/usr/bin/grep sshd /var/log/auth.log",
        "Dec 31 23:59:00 web1 cron[1]: sshd[1]: error: fork: x",
        "Dec 31 23:59:00 web1 sshd-keygen[1]: x",
        "web1 sshd[1]: x",
        "",
    ],
)
def test_lines_of_other_programs_do_not_stay_in_the_snapshot(host: Host, row: str) -> None:
    host.write("auth.log", f"{row}\n" + syslog("kept"))
    text = host.look().text(str(host.root / "auth.log"))
    assert text == syslog("kept")


def test_no_line_counts_twice_and_none_is_lost_over_runs_rotations_and_truncation(host: Host) -> None:
    host.write("auth.log", syslog(*["x" * 60] * 3, drop(10), at=AT - 30))
    assert figures(host.run(AT)) == {"maxstartups_drops": 1}
    assert figures(host.run(AT)) == {}
    host.add("auth.log", syslog(drop(10), at=AT + 10))
    assert figures(host.run(AT + 20)) == {"maxstartups_drops": 1}
    # renamed, with lines that were not read yet
    host.add("auth.log", syslog(drop(10), drop(10), at=AT + 30))
    (host.root / "auth.log").rename(host.root / "auth.log.1")
    host.write("auth.log", syslog("y" * 120, drop(10), at=AT + 35))
    assert figures(host.run(AT + 40)) == {"maxstartups_drops": 3}
    # compressed
    host.add("auth.log", syslog(drop(10), at=AT + 50))
    data = (host.root / "auth.log").read_bytes()
    (host.root / "auth.log.1").rename(host.root / "auth.log-20260101")
    (host.root / "auth.log.2.gz").write_bytes(b"no gzip")
    (host.root / "auth.log.1.gz").write_bytes(gzip.compress(data))
    host.write("auth.log", syslog("z" * 120, drop(10), at=AT + 55))
    assert figures(host.run(AT + 60)) == {"maxstartups_drops": 2}
    # copied and truncated, then longer than before
    shutil.copy(host.root / "auth.log", host.root / "auth.log.1")
    (host.root / "auth.log.1.gz").unlink()
    host.write("auth.log", syslog("w" * 120, *[drop(10)] * 20, at=AT + 65))
    assert figures(host.run(AT + 70)) == {"maxstartups_drops": 20}
    # emptied
    host.write("auth.log", "")
    assert figures(host.run(AT + 80)) == {}


def test_a_line_that_is_still_being_written_counts_when_it_is_whole(host: Host) -> None:
    host.write("auth.log", syslog("x" * 120) + syslog(drop(10))[:-30])
    assert figures(host.run(AT)) == {}
    host.add("auth.log", syslog(drop(10))[-30:])
    assert figures(host.run(AT + 30)) == {"maxstartups_drops": 1}


def test_a_snapshot_taken_without_a_position_is_counted_by_the_memory(host: Host) -> None:
    host.write("auth.log", syslog("x" * 120, drop(10)))
    assert figures(host.run(AT, is_stateless=True)) == {"maxstartups_drops": 1}
    host.add("auth.log", syslog(drop(10), at=AT + 10))
    assert figures(host.run(AT + 60, is_stateless=True)) == {"maxstartups_drops": 1}
    assert host.run(AT + 120, is_stateless=True).summary == "nothing turned away in 1 min"


def test_lines_older_than_the_time_asked_for_do_not_count(host: Host) -> None:
    host.write("auth.log", syslog(drop(10), at=AT - 601) + syslog(drop(10), at=AT - 599))
    assert figures(host.run()) == {"maxstartups_drops": 1}


def test_a_line_in_two_files_counts_once_and_two_alike_count_twice(host: Host) -> None:
    host.write("secure", syslog(drop(10), drop(10)))
    host.write("messages", syslog(drop(10), drop(10)))
    host.write("sshd.log", f"2025-12-31T23:59:00.123456+00:00 web1 sshd[{PID}]: {drop(10)}\n")
    assert figures(host.run()) == {"maxstartups_drops": 2}


def test_the_log_of_many_hosts_counts_this_one_s_lines(host: Host) -> None:
    host.write("auth.log", syslog("x", drop(10)) + syslog(drop(10)).replace("web1", "db7"))
    assert figures(host.run()) == {"maxstartups_drops": 1}


def test_a_log_longer_than_can_be_read_at_once_is_read_from_its_end(host: Host) -> None:
    host.write("auth.log", syslog("x" * 120))
    host.run()
    noise = ("y" * 1000 + "\n") * 5000
    host.add("auth.log", syslog(drop(10)) + noise + syslog(drop(10), at=AT + 5))
    found = host.run(AT + 10)
    assert figures(found) == {"maxstartups_drops": 1}
    assert f"{host.root}/auth.log has grown by more than can be read at once" in found.finding.evidence


def test_no_log_at_all_is_skipped_and_no_figure_is_made_up(host: Host) -> None:
    found = host.run()
    assert (found.finding.is_skipped, found.summary, found.finding.figures, found.finding.unseen) == (
        True,
        "no log of sshd is here",
        (),
        (),
    )


def test_a_log_without_the_right_to_it_is_not_no_events() -> None:
    parts = document(uid=1000)
    parts["files"]["/var/log/auth.log"] = {"error": "EACCES"}
    found = judged(Snapshot(parts), About())
    assert found.finding.is_skipped
    assert found.finding.unseen == ("root, or the group adm, would show /var/log/auth.log",)


# --- the journal

# journalctl(1) of systemd 252, as a user who is in neither adm nor systemd-journal.
HINT = (
    "Hint: You are currently not seeing messages from other users and the system.\n"
    "      Users in groups 'adm', 'systemd-journal' can see all messages.\n"
)
NO_FILES = "No journal files were opened due to insufficient permissions.\n"


def entry(message: object, at: float = AT - 60, number: int = 1, **fields: object) -> str:
    """An entry as journalctl -o json prints it (systemd.journal-fields(7))."""
    kept = {
        "__CURSOR": f"s=ab;i={number:x}", "__REALTIME_TIMESTAMP": str(int(at * 1e6)), "_PID": str(PID), "_COMM": "sshd",
        "SYSLOG_IDENTIFIER": "sshd", "MESSAGE": message, **fields,
    }  # fmt: skip
    return json.dumps({key: value for key, value in kept.items() if value != "-"}) + "\n"


def journalled(out: str, err: str = "", code: int = 0, at: float = AT, **parts: Any) -> Snapshot:
    commands = {log_places.JOURNAL: {"code": code, "out": out, "err": err}}
    return Snapshot(document(at, commands=commands, **parts))


def test_the_journal_counts_and_messages_that_are_missing_null_or_bytes_do_no_harm() -> None:
    out = (
        entry(drop(10), number=1)
        + entry(None, number=2)
        + entry("-", number=3)
        + entry([*drop(10).encode(), 0xFF, 0x1B], number=4)
        + entry([drop(10), "twice in one entry"], number=5)
        + "no JSON\n{broken\n[1]\n"
    )
    found = judged(journalled(out), About())
    assert figures(found) == {"maxstartups_drops": 3}
    assert isinstance(found.finding.remember, dict)
    assert found.finding.remember["cursor"] == "s=ab;i=5"


def test_what_calls_itself_sshd_and_is_not_does_not_count() -> None:
    forged = entry("fatal: fork of unprivileged child failed", _COMM="logger")
    gone = entry("fatal: fork of unprivileged child failed", _COMM="-")  # it had ended before journald looked
    assert figures(judged(journalled(forged), About())) == {}
    assert figures(judged(journalled(gone), About())) == {"child_failures": 1}


@pytest.mark.parametrize("hint", [HINT, NO_FILES])
def test_a_journal_without_the_right_to_it_is_not_no_events(hint: str) -> None:
    found = judged(journalled("", hint), About())
    assert found.finding.is_skipped
    assert found.finding.unseen == ("root, or the group systemd-journal, would show sshd's lines in the journal",)


def test_the_memory_counts_entries_of_a_journal_once() -> None:
    first = entry(drop(10), number=1)
    memory = {"log": judged(journalled(first), About()).finding.remember}
    both = first + entry(drop(10), at=AT - 30, number=2)
    # a snapshot without a position: the cursor is among the entries; then it was vacuumed away
    assert figures(judged(journalled(both), About(memory=memory))) == {"maxstartups_drops": 1}
    newer = entry(drop(10), at=AT - 30, number=2)
    assert figures(judged(journalled(newer), About(memory=memory))) == {"maxstartups_drops": 1}
    # in one process: journalctl was asked for what comes behind it, even where the clock was set back
    behind = journalled(entry(drop(10), at=AT - 500, number=2), position=memory["log"])
    assert figures(judged(behind, About(memory=memory))) == {"maxstartups_drops": 1}
    quiet = judged(journalled("", position=memory["log"], at=AT + 60), About(memory=memory))
    assert quiet.summary == "nothing turned away in 1 min"
    assert isinstance(quiet.finding.remember, dict)
    assert quiet.finding.remember["cursor"] == "s=ab;i=1"


def test_the_journal_counts_and_not_the_files_that_hold_the_same(host: Host) -> None:
    host.write("auth.log", syslog(drop(10)))
    host.parts = {"commands": {log_places.JOURNAL: {"code": 0, "out": entry(drop(10)), "err": ""}}}
    assert figures(host.run()) == {"maxstartups_drops": 1}
    # later than the journal, which has said all of it already
    host.parts = {"commands": {log_places.JOURNAL: {"code": 0, "out": "", "err": ""}}}
    host.add("auth.log", syslog(drop(10), at=AT + 1))
    assert figures(host.run(AT + 30)) == {}


def test_a_journal_without_sshd_leaves_the_files_to_count(host: Host) -> None:
    host.write("auth.log", syslog(drop(10)))
    host.parts = {"commands": {log_places.JOURNAL: {"code": 0, "out": "-- No entries --\n", "err": ""}}}
    assert figures(host.run()) == {"maxstartups_drops": 1}


class Journalctl:
    """A journalctl in the place of the real one: what it was asked, and what it answers."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = root / "asked"
        self.program = root / "bin" / "journalctl"
        self.program.parent.mkdir()
        (root / "journal" / "0123").mkdir(parents=True)
        monkeypatch.setattr(
            "check_ssh_exchange.host.door.ENVIRONMENT", {"PATH": f"{self.program.parent}:/bin:/usr/bin"}
        )
        self.answers("true")

    def answers(self, script: str) -> None:
        self.program.write_text(f'#!/bin/sh\necho "$@" >> {self.asked}\n{script}\n')
        self.program.chmod(0o755)


def test_a_cursor_that_is_lost_and_an_old_journalctl_are_asked_by_time(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Journalctl(host.root, monkeypatch)
    host.memory = {"log": {"at": AT - 60, "cursor": "s=gone", "entry": int((AT - 90) * 1e6), "by": "journal"}}
    row = entry(drop(10), at=AT - 30).strip().replace('"', '\\"')
    program.answers(
        'case "$*" in *after-cursor*) echo "Failed to seek to cursor: Invalid argument" >&2; exit 1;;\n'
        f'*_COMM*) echo "{row}";; *) exit 1;; esac'
    )
    assert figures(host.run()) == {"maxstartups_drops": 1}
    asked = program.asked.read_text().splitlines()
    assert any("--after-cursor=s=gone" in line for line in asked)
    assert any(f"--since=@{int(AT - 60)} _COMM=sshd" in line for line in asked)
    assert all(" -q" not in line for line in asked)
    assert len(asked) == 3


# --- denials

# Red Hat's and the kernel's documentation of these records: SELinux User's and Administrator's Guide, "Raw Audit
# Messages"; AppArmor wiki, "AppArmor Failures"; OpenSSH bug 2361 and Debian bug 1088287 for seccomp.
SELINUX = (
    'type=AVC msg=audit({}:{}): avc:  denied  {{ name_bind }} for  pid=812 comm="sshd" src=2222 '
    "scontext=system_u:system_r:sshd_t:s0-s0:c0.c1023 tcontext=system_u:object_r:unreserved_port_t:s0 "
    "tclass=tcp_socket permissive={}"
)
APPARMOR = (
    'Dec 31 23:59:00 web1 kernel: [ 12.345678] audit: type=1400 audit({}:{}): apparmor="DENIED" operation="open" '
    'profile="/usr/sbin/sshd" name="/etc/gss/mech.d/" pid=812 comm="sshd" requested_mask="r" denied_mask="r"'
)
SECCOMP = (
    "Dec 31 23:59:00 web1 kernel: [ 12.345678] audit: type=1326 audit({}:{}): auid=4294967295 uid=104 pid=900 "
    'comm="sshd" exe="/usr/sbin/sshd" sig={} arch=c000003e syscall=41 compat=0 ip=0x7f4b code=0x0'
)
WHEN = f"{AT - 60:.3f}"


def denied(host: Host, at: float = AT) -> Judged:
    found = judged(host.look(at), About(memory=host.memory), "denials")
    host.memory = {**host.memory, "denials": json.loads(json.dumps(found.finding.remember))}
    return found


def test_denials_of_sshd_are_counted_once_by_their_number(host: Host) -> None:
    host.write("audit/audit.log", "".join(f"{SELINUX.format(WHEN, number, 0)}\n" for number in (7, 7, 8)))
    host.write("kern.log", f"{APPARMOR.format(WHEN, 9)}\n{SECCOMP.format(WHEN, 10, 31)}\n")
    host.write("syslog", f"{APPARMOR.format(WHEN, 9)}\n{SECCOMP.format(WHEN, 10, 31)}\n")
    found = denied(host)
    assert figures(found) == {"denials": 4}
    (problem,) = found.problems
    assert problem.state is Warn
    assert problem.sentence == "4 denials of sshd in 10 min (2 by SELinux: name_bind of 2222)"
    assert figures(denied(host, AT + 60)) == {}
    host.add("audit/audit.log", f"{SELINUX.format(f'{AT + 70:.3f}', 11, 0)}\n")
    found = denied(host, AT + 120)
    assert sentences(found) == ["1 denial of sshd in 1 min (SELinux: name_bind of 2222)"]


@pytest.mark.parametrize(
    "record",
    [
        SELINUX.format(WHEN, 7, 1),  # permissive: it was let through
        SECCOMP.format(WHEN, 7, 0),  # logged and let through
        APPARMOR.format(WHEN, 7).replace("DENIED", "ALLOWED"),  # complain mode
        # sshd was the object: a monitoring agent may not look at it
        f'type=AVC msg=audit({WHEN}:7): avc:  denied  {{ ptrace }} for  pid=5 comm="nrpe" '
        "scontext=system_u:system_r:nrpe_t:s0 tcontext=system_u:system_r:sshd_t:s0 tclass=process permissive=0",
        f"type=USER_AUTH msg=audit({WHEN}:7): pid=8 uid=0 op=PAM:authentication exe=/usr/sbin/sshd res=failed denied",
        SELINUX.format(f"{AT - 700:.3f}", 7, 0),  # long ago
    ],
)
def test_what_is_no_denial_of_sshd_of_late_does_not_count(host: Host, record: str) -> None:
    host.write("audit/audit.log", f"{record}\n")
    found = denied(host)
    assert (found.problems, figures(found), found.finding.is_skipped) == ((), {}, False)


@pytest.mark.parametrize(
    ("root", "exe", "counted"),
    [
        (None, "/usr/sbin/sshd", 1),
        (None, "/srv/jail/usr/sbin/sshd", 1),  # no listener to compare with
        ("/", "/usr/sbin/sshd", 1),
        ("/", "/usr/lib/openssh/sshd-session", 1),
        ("/", "/bin/sshd", 1),
        ("/", "/srv/jail/usr/sbin/sshd", 0),
        ("/", "/srv/jail/usr/lib/openssh/sshd-session", 0),
        ("/srv/jail", "/srv/jail/usr/sbin/sshd", 1),
        ("/srv/jail", "/srv/other/usr/sbin/sshd", 0),
        ("/srv/jail", "/usr/sbin/sshd", 0),
    ],
)
def test_the_denials_of_another_root_s_sshd_are_not_ours(host: Host, root: str | None, exe: str, counted: int) -> None:
    host.write("kern.log", SECCOMP.format(WHEN, 7, 31).replace('exe="/usr/sbin/sshd"', f'exe="{exe}"') + "\n")
    parts = document()
    if root is not None:
        with_sshd(parts)
        links = {"exe": f"{root.rstrip('/')}/usr/sbin/sshd", "root": root}
        parts["links"].update({f"/proc/{PID}/{name}": {"target": target} for name, target in links.items()})
    host.parts = {part: parts[part] for part in PARTS}
    seen = host.look()
    assert figures(judged(seen, About(), "denials")).get("denials", 0) == counted


def test_a_denial_of_a_program_that_sshd_runs_is_said_to_be_that(host: Host) -> None:
    record = SELINUX.format(WHEN, 7, 0).replace('comm="sshd"', 'comm="keys.sh"')
    host.write("audit/audit.log", f"{record}\n")
    (problem,) = denied(host).problems
    assert problem.sentence == "1 denial of a program that sshd runs in 10 min (SELinux: name_bind of 2222)"


def test_the_journal_s_two_records_of_a_denial_are_one() -> None:
    """systemd.journal-fields(7): journald takes number and time out of what it has from the audit."""
    printk = entry(APPARMOR.format(WHEN, 9).partition("audit: ")[2], _TRANSPORT="kernel", _COMM="-")
    audit = entry(
        'AVC apparmor="DENIED" operation="open" profile="/usr/sbin/sshd" name="/etc/gss/mech.d/" comm="sshd"',
        _TRANSPORT="audit", _AUDIT_ID="9", _SOURCE_REALTIME_TIMESTAMP=str(int((AT - 60) * 1e6)),
    )  # fmt: skip
    commands = {log_places.KERNEL_JOURNAL: {"code": 0, "out": printk + audit, "err": ""}}
    assert figures(judged(Snapshot(document(commands=commands)), About(), "denials")) == {"denials": 1}


def test_denials_without_a_right_or_without_a_log() -> None:
    assert judged(Snapshot(document()), About(), "denials").finding.is_skipped
    parts = document()
    parts["stats"]["/var/log/audit/audit.log"] = {"error": "EACCES"}
    found = judged(Snapshot(parts), About(), "denials")
    assert found.finding.is_skipped
    assert found.finding.unseen == ("root would show /var/log/audit/audit.log, with what SELinux and AppArmor deny",)
    nothing = {"code": 1, "out": "", "err": ""}  # journalctl --grep, where nothing matches
    found = judged(Snapshot(document(commands={log_places.KERNEL_JOURNAL: nothing})), About(), "denials")
    assert (found.finding.is_skipped, figures(found)) == (False, {})


# --- hostile

# fmt: off
PIECES = [
    "drop connection #", "10", "99999999999999999999", " from [", "]:1 on [", "]:22 ", "past MaxStartups", "penalty: ",
    "\x1b[31m", "|", "\0", "\udcff", "<b>", "\\", "in MaxStartups throttling for ", "99w9d", "00:00:00", ", ",
    " connections dropped",
    "srclimit_penalise: ", "192.0.2.7/999", ": activating ipv4 penalty of ",
    "1e999", "....", " seconds for ", "error: ",
    "fork: ", "refused connect from ", " logging rate-limited: additional ",
    "rexec of ", "sshd-session", " failed",
    "audit(1767225540.000:9): ", 'comm="sshd" ', "avc:  denied  { ", " } ", "type=1326 sig=31 ", "a" * 3000, "\n", "\r",
]
# fmt: on


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_line_raises_and_none_gets_out_unescaped(message: str) -> None:
    text = syslog(message)
    record = {
        "text": text, "offsets": list(range(text.count("\n"))), "end": len(text), "begin": 0, "identity": "x",
    }  # fmt: skip
    parts = document(commands={log_places.KERNEL_JOURNAL: {"code": 0, "out": entry(message), "err": ""}})
    parts["files"] = {"/var/log/auth.log": record, "/var/log/kern.log": {"text": text}}
    for found in (
        judged(Snapshot(parts), About(monitors=("192.0.2.7", "web"))),
        judged(Snapshot(parts), About(), "denials"),
    ):
        json.dumps(found.finding.remember)
        for sentence in (*sentences(found), *found.finding.evidence, found.summary):
            assert sentence.isascii()
            assert sentence.isprintable()
            assert len(sentence) < 1000
            assert "|" not in sentence


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
)
def test_no_entry_of_a_journal_raises(value: Any) -> None:
    line_of_entry({"MESSAGE": value, "_PID": value, "__CURSOR": value, "__REALTIME_TIMESTAMP": value, "_COMM": "sshd"})
    judged(journalled(entry(value, __CURSOR=value, __REALTIME_TIMESTAMP=value)), About())


WRONG = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers() | st.text(max_size=1), max_size=4)
REMEMBERED = dict.fromkeys(("by", "cursor", "entry", "files", "episodes", "penalised", "last"), WRONG)


@given(st.fixed_dictionaries({"at": st.just(AT - 60) | WRONG}, optional=REMEMBERED))
def test_no_memory_raises(value: dict[str, Any]) -> None:
    seen = journalled(entry(drop(10)), position=value)
    about = About(memory={"log": value, "denials": value})
    judged(seen, about)
    judged(seen, about, "denials")


def test_a_megabyte_without_an_end_and_endless_repetition_are_read_in_time(host: Host) -> None:
    host.write("auth.log", syslog("sshd " * 300_000) + syslog(drop(10)))
    host.write("messages", syslog("fork: x" + "sshd" * 100_000) * 8)
    begun = time.process_time()
    found = host.run()
    assert time.process_time() - begun < 2
    assert figures(found) == {"maxstartups_drops": 1, "child_failures": 8}


# --- real servers, a real journal


class Logging(zoo.Server):
    """A server that logs to syslog."""

    def _command(self) -> list[str]:
        return [word for word in super()._command() if word != "-e"]


class Syslogd(threading.Thread):
    """What is between /dev/log and a file: it adds the date and the host, as every syslogd does."""

    def __init__(self, chroot: zoo.Chroot, file: Path) -> None:
        super().__init__(daemon=True)
        self.file = file
        self.file.touch()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(chroot.root / "dev" / "log"))
        (chroot.root / "dev" / "log").chmod(0o666)
        self.start()

    def run(self) -> None:
        while data := self.socket.recv(65536):
            # <86>Nov 28 06:00:00 sshd[123]: words
            message = data.decode(errors="replace").partition(">")[2].rstrip("\0\n")
            with self.file.open("a") as file:
                file.write(f"{message[:15]} web1 {message[16:]}\n")

    def stop(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.join(5)
        self.socket.close()


class Live:
    """A real server whose log the real source reads."""

    def __init__(self, host: Host, server: zoo.Server) -> None:
        self.host = host
        self.server = server
        self.held: list[socket.socket] = []

    def connect(self) -> socket.socket:
        return socket.create_connection((self.server.address, self.server.port), 60)

    def refused(self) -> bool:
        """Whether a connection is closed before the banner."""
        with self.connect() as one:
            try:
                return not one.recv(256).startswith(b"SSH-2.0")
            except ConnectionResetError:
                return True

    def is_idle(self) -> bool:
        """Whether sshd has no child left: it has seen the end of each by then, and its slot is free."""
        pid = self.server.pid
        return not Path(f"/proc/{pid}/task/{pid}/children").read_text()

    def hold(self, number: int) -> None:
        for _ in range(number):
            self.held.append(self.connect())
            assert self.held[-1].recv(256).startswith(b"SSH-")

    def release(self) -> None:
        while self.held:
            self.held.pop().close()

    def look(self, *monitors: str) -> Judged:
        about = About(monitors=monitors, memory={})
        return judged(self.host.look(time.time(), zone=time.localtime().tm_gmtoff), about)

    def until(self, wanted: Callable[[Judged], bool], *monitors: str) -> Judged:
        """Look again until it is as wanted: children write after they have closed."""
        end = time.monotonic() + 60
        while not wanted(found := self.look(*monitors)) and time.monotonic() < end:
            time.sleep(0.1)
        return found


@contextmanager
def live(host: Host, name: str, options: Mapping[str, str] = MappingProxyType({})) -> Iterator[Live]:
    if reason := zoo.missing():
        pytest.skip(reason)
    with zoo.copy(name) as chroot:
        syslogd = Syslogd(chroot, host.root / "auth.log")
        try:
            with Logging(chroot, {"options": options}) as server:
                it = Live(host, server)
                try:
                    yield it
                finally:
                    it.release()
        finally:
            syslogd.stop()


@pytest.mark.real
@pytest.mark.parametrize("name", ["openssh-8.4", "openssh-9.2", "openssh-10.0", "openssh-10.6"])
def test_a_real_sshd_that_throttles(host: Host, name: str) -> None:
    with live(host, name, {"MaxStartups": "3:100:3"}) as it:
        it.hold(3)
        assert all(it.refused() for _ in range(6))
        it.release()
        wait_until(it.is_idle)
        assert not it.refused()  # sshd says that it has ended at the first connection that finds the slots free
        file = host.root / "auth.log"
        ends = "exited MaxStartups" if name in ("openssh-8.4", "openssh-9.2") else "Connection closed"
        wait_until(lambda: ends in file.read_text())
        found = it.until(lambda one: bool(one.problems))
        (problem,) = found.problems
        assert problem.cause is Cause.MAXSTARTUPS
        assert "from 127.0.0.1)" in problem.sentence
        if ends.startswith("exited"):
            assert figures(found)["maxstartups_drops"] >= 6
            assert file.read_text().count("drop connection") == 1
            assert f"{figures(found)['maxstartups_drops']:.0f} connections dropped" in file.read_text()
        else:
            assert figures(found)["maxstartups_drops"] >= 3


@pytest.mark.real
@pytest.mark.parametrize("name", ["openssh-9.2", "openssh-10.6"])
def test_a_real_limit_per_source(host: Host, name: str) -> None:
    with live(host, name, {"PerSourceMaxStartups": "2"}) as it:
        it.hold(2)
        assert it.refused()
        host.parts = with_sshd(document(), port=it.server.port)
        found = it.until(lambda one: bool(one.problems))
        assert figures(found) == {"per_source_drops": 1}


@pytest.mark.real
@pytest.mark.parametrize("name", ["openssh-10.0", "openssh-10.6"])
def test_a_real_penalty_of_the_monitor(host: Host, name: str) -> None:
    with live(host, name, {"PerSourcePenalties": "noauth:60 min:1"}) as it:
        assert not it.refused()
        wait_until(it.refused)
        found = it.until(lambda one: "penalty_drops" in figures(one), "127.0.0.1")
        (problem,) = found.problems
        assert (problem.state, problem.cause) == (Critical, Cause.PENALTY)
        words = "is penalised for " if name == "openssh-10.6" else "was turned away "
        assert f"the monitor 127.0.0.1 {words}" in problem.sentence
        assert "connections without attempting authentication" in problem.sentence
        assert figures(found)["penalty_drops"] >= 1
        assert not judged(host.look(time.time(), zone=time.localtime().tm_gmtoff), About()).problems


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("openssh-8.4", "etc/ssh/ssh_host_*_key", "no hostkeys available"),
        ("openssh-9.2", "etc/ssh/ssh_host_*_key", "no hostkeys available"),
        ("openssh-10.0", "usr/lib/openssh/sshd-session", "sshd-session failed: No such file"),
        ("openssh-10.6", "usr/lib/openssh/sshd-session", "sshd-session failed: No such file"),
        ("openssh-10.6", "usr/lib/openssh/sshd-auth", "privsep_preauth: exec of"),
        ("openssh-9.2", "run/sshd", "Missing privilege separation directory"),
        ("openssh-10.0", "run/sshd", "run/sshd"),
    ],
)
def test_a_real_sshd_that_is_damaged(host: Host, name: str, damage: str, words: str) -> None:
    with live(host, name) as it:
        root = Path(f"/proc/{it.server.pid}/root")
        for path in root.glob(damage):
            path.rmdir() if path.is_dir() else path.unlink()
        with it.connect() as one:
            one.sendall(b"SSH-2.0-test_1.0\r\n")
            while True:
                try:
                    if not one.recv(4096):
                        break
                except ConnectionResetError:
                    break
        found = it.until(lambda one: bool(one.problems))
        (problem,) = found.problems
        assert (problem.state, problem.cause) == (Critical, Cause.SERVER_FAULT)
        assert words in problem.sentence


@pytest.mark.real
@pytest.mark.parametrize("name", ["openssh-9.2", "openssh-10.6"])
def test_a_real_hosts_deny_and_real_scanners_are_figures_and_no_problem(host: Host, name: str) -> None:
    with live(host, name) as it:
        for words in (b"", b"GET / HTTP/1.0\r\n\r\n", b"SSH-2.0-x\r\n"):
            with it.connect() as one:
                assert one.recv(256)  # it has read hosts.deny by then
                one.sendall(words)
        deny = Path(f"/proc/{it.server.pid}/root/etc/hosts.deny")
        deny.write_text("ALL: ALL\n")
        with it.connect():
            found = it.until(lambda one: bool(figures(one)))
        assert (found.problems, figures(found)) == ((), {"denied": 1})
        assert found.finding.evidence[0] == "1 connection refused by hosts.deny in 10 min (1 from 127.0.0.1)"


DEV_LOG = "run/systemd/journal/dev-log"


@contextmanager
def journald(root: Path) -> Iterator[int]:
    """A real systemd-journald in a mount namespace with a /run of its own; its process id."""
    program = Path("/lib/systemd/systemd-journald")
    if not program.exists() or os.geteuid():
        pytest.skip("needs root and systemd-journald")
    script = (
        "mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/log/journal /run/systemd/journal"
        f" && mount --bind {root / 'journal'} /var/log/journal && exec {program}"
    )
    process = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stderr=subprocess.DEVNULL)
    try:
        here = Path("/proc") / str(process.pid)
        # Until it is journald, /run may be that of this machine, where another journald has the same file.
        wait_until(
            lambda: (
                process.poll() is not None
                or ((here / "comm").read_text().startswith("systemd-journal") and (here / "root" / DEV_LOG).exists())
            )
        )
        assert process.poll() is None
        yield process.pid
    finally:
        process.kill()
        process.wait()


@pytest.mark.real
def test_a_real_journal_by_cursor_and_without_the_right_to_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := zoo.missing():
        pytest.skip(reason)
    (host.root / "kern.log").unlink()
    program = Journalctl(host.root, monkeypatch)
    with journald(host.root) as pid, zoo.copy("openssh-9.2") as chroot:
        inside = ("nsenter", "-m", "-t", str(pid))
        program.answers(f'exec {" ".join(inside)} /usr/bin/journalctl "$@"')
        place = chroot.root / "dev" / "log"
        place.touch()
        subprocess.run([*inside, "mount", "--bind", "/run/systemd/journal/dev-log", str(place)], check=True)
        with Logging(chroot, {"prefix": inside, "options": {"MaxStartups": "1:100:1"}}) as server:
            it = Live(host, server)
            it.hold(1)
            assert it.refused()
            found = host.run(time.time())
            end = time.monotonic() + 60
            while not found.problems and time.monotonic() < end:
                time.sleep(0.1)
                host.memory = {}
                found = host.run(time.time())
            assert sentences(found) == ["at least 1 connection dropped in 10 min (1 from 127.0.0.1)"]
            assert host.memory["log"]["cursor"]
            assert host.run(time.time()).summary.startswith("MaxStartups throttling has not ended")
            assert any("--after-cursor=s=" in line for line in program.asked.read_text().splitlines())
            # one taken by sudo, without a position
            assert not host.run(time.time(), is_stateless=True).problems
            # a cursor that is no longer there
            host.memory["log"]["cursor"] = "broken"
            assert not host.run(time.time()).problems
            user = "setpriv --reuid 65534 --regid 65534 --clear-groups"
            program.answers(f'exec {" ".join(inside)} {user} /usr/bin/journalctl "$@"')
            host.memory = {}
            found = host.run(time.time())
            assert found.finding.is_skipped
            assert found.finding.unseen == (
                "root, or the group systemd-journal, would show sshd's lines in the journal",
            )
            it.release()
