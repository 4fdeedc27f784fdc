"""What --probe and --trial have found: a problem where nothing else is, evidence where another item names the fault."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.finding import Finding, Kind, Problem
from check_ssh_exchange.host.findings.served import with_probes, with_trials
from check_ssh_exchange.host.judge import Outcome, Wishes, judge
from check_ssh_exchange.host.local_probe import probe
from check_ssh_exchange.host.trial import try_out
from check_ssh_exchange.plugin.nagios import Critical, Ok, Warn
from tests.host.asked import collected, host, hostile, is_printable, trust
from tests.host.by_hand import Host
from tests.lab import zoo

ABOUT = About()
NO_KEYS = "Unable to load host key: /etc/ssh/k\r\nsshd: no hostkeys available -- exiting.\r\n"
BAD_LINE = (
    "debug2: load_server_config: filename /etc/ssh/sshd_config\r\n"
    "/etc/ssh/sshd_config line 2: Deprecated option UsePrivilegeSeparation\r\n"
    "/etc/ssh/sshd_config: line 7: Bad configuration option: PermitRotLogin\r\n"
    "/etc/ssh/sshd_config: terminating, 1 bad configuration options\r\n"
)


def probed(*more: dict[str, Any]) -> Host:
    made = host()
    plain = {
        "pid": 10, "address": "127.0.0.1", "port": 22, "ending": "closed", "text": None, "banner": None, "seconds": 5.0,
        "cause": "server_fault", "keys": [], "fault": None,
    }  # fmt: skip
    made.document["probes"] = [{**plain, **one} for one in more or ({},)]
    return made


def tried(said: str, **more: Any) -> Host:
    made = host()
    made.document["trials"] = [{"pid": 10, "code": 255, "said": said, **more}]
    return made


def daemon_item(made: Host, *others: tuple[str, Problem]) -> Finding:
    return with_probes(Finding("daemon"), made.seen, ABOUT, others)


def configuration_item(made: Host, *others: tuple[str, Problem]) -> Finding:
    return with_trials(Finding("configuration"), made.seen, ABOUT, others)


def sentences(finding: Finding) -> list[str]:
    return [problem.sentence for problem in finding.problems]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({}, "closed without a word"),
        ({"ending": "banner_timeout"}, "left without a banner for 5 s"),
        ({"ending": "turned_away", "text": "Exceeded MaxStartups\x1b"}, "turned away (Exceeded MaxStartups\\x1b)"),
        ({"ending": None, "fault": "no address"}, "no address"),
        ({"ending": "x"}, "no answer"),
    ],
)
def test_a_probe_that_fails_is_told_in_words(record: dict[str, Any], words: str) -> None:
    finding = daemon_item(probed(record))
    assert sentences(finding) == [f"127.0.0.1:22 is not served from here: {words}"]
    assert finding.problems[0].cause is Cause.SERVER_FAULT
    assert finding.remedies[0].startswith("check_ssh_exchange -H 127.0.0.1 -p 22 -v ")


def test_the_same_fault_is_said_once() -> None:
    finding = daemon_item(probed({}, {"address": "::1"}, {"port": 2222, "ending": "reset"}))
    assert sentences(finding) == [
        "127.0.0.1:22 and [::1]:22 are not served from here: closed without a word",
        "127.0.0.1:2222 is not served from here: reset",
    ]


def test_what_another_item_explains_is_evidence() -> None:
    culprit = ("binaries", Problem(Critical, "sshd-session is missing", Cause.SERVER_FAULT))
    finding = daemon_item(probed(), culprit)
    assert not finding.problems
    assert not finding.remedies
    assert finding.evidence == ("127.0.0.1:22 is not served from here: closed without a word",)
    assert daemon_item(probed(), ("log", Problem(Warn, "x"))).problems


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (NO_KEYS, "sshd: no hostkeys available -- exiting"),
        (BAD_LINE, "/etc/ssh/sshd_config: line 7: Bad configuration option: PermitRotLogin"),
        ("debug1: x\nServer listening on 127.0.0.1 port 1.\nfatal: no\x1b\n", "fatal: no\\x1b"),
        ("debug1: x\n", "it said nothing"),
    ],
)
def test_a_trial_is_told_by_the_line_that_says_why(said: str, line: str) -> None:
    finding = configuration_item(tried(said))
    assert sentences(finding) == [f"a new sshd would not serve: {line}"]
    assert finding.remedies[0].startswith("/usr/sbin/sshd -t ")


NO_RESTART = Problem(Warn, "sshd would not start again: x", Cause.SERVER_FAULT, kind=Kind.NO_RESTART)


@pytest.mark.parametrize(
    ("said", "item", "problem", "is_known"),
    [
        (BAD_LINE, "configuration", NO_RESTART, True),
        (BAD_LINE, "configuration", Problem(Warn, "MaxStartups: sshd can crash", Cause.SERVER_FAULT), False),
        (BAD_LINE, "configuration", NO_RESTART._replace(state=Ok), False),
        (NO_KEYS, "host_keys", Problem(Critical, "no host key can be used", Cause.SERVER_FAULT), True),
        (BAD_LINE, "host_keys", Problem(Critical, "no host key can be used", Cause.SERVER_FAULT), False),
        (NO_KEYS, "host_keys", Problem(Warn, "host key x is empty", Cause.SERVER_FAULT), False),
        ("x\n", "binaries", Problem(Critical, "sshd-session is missing", Cause.SERVER_FAULT), True),
        ("x\n", "memory", Problem(Critical, "no memory", Cause.SERVER_FAULT), False),
    ],
)
def test_a_trial_that_says_the_same_is_evidence(said: str, item: str, problem: Problem, *, is_known: bool) -> None:
    finding = configuration_item(tried(said), (item, problem._replace(pid=10)))
    assert bool(finding.problems) is not is_known
    assert any("a trial of the sshd of pid 10 failed: " in one for one in finding.evidence) is is_known


def test_a_trial_of_one_of_several_is_named() -> None:
    made = tried(NO_KEYS)
    made.sshd(20, port=2222)
    trust(made, 20)
    for pid, told in (
        (20, ["OpenSSH_9.2p1 on 0.0.0.0:22: a new sshd would not serve: sshd: no hostkeys available -- exiting"]),
        (10, []),
    ):
        problem = Problem(Critical, "no host key can be used", Cause.SERVER_FAULT, pid=pid)
        assert sentences(configuration_item(made, ("host_keys", problem))) == told


def test_a_trial_that_was_not_made_is_said() -> None:
    finding = configuration_item(tried("", skipped="others than root may change /home/u/c"))
    assert not finding.problems
    assert finding.unseen == ("no trial of the sshd of pid 10: others than root may change /home/u/c",)


def test_the_judgement_adds_them_last() -> None:
    made = probed()
    made.document["trials"] = [{"pid": 10, "code": 255, "said": BAD_LINE}]
    made.command("test of 10", code=255, err="Missing privilege separation directory: /run/sshd\r\n")
    outcome = judge(made.seen, ABOUT, Wishes(items=("daemon", "configuration")))
    assert list(outcome.verdict.reasons) == ["/run/sshd is missing: every new connection ends at once"]
    made.command("test of 10")
    made.document["trials"] = []
    for states, state in (({}, Critical), ({"daemon": "warning"}, Warn)):
        outcome = judge(made.seen, ABOUT, Wishes(items=("daemon", "configuration"), states=states))
        assert outcome.verdict.state is state
        assert outcome.causes[0].cause is Cause.SERVER_FAULT


def test_hostile_records_are_bounded_and_printable() -> None:
    for text in hostile({"said": BAD_LINE, "no": NO_KEYS}):
        findings = (configuration_item(tried(text)), daemon_item(probed({"ending": "turned_away", "text": text})))
        for finding in (*findings, daemon_item(probed({"ending": None, "fault": text}))):
            assert all(map(is_printable, [*sentences(finding), *finding.evidence, *finding.remedies]))


# --- real servers

real = pytest.mark.real


def of(port: int, monkeypatch: pytest.MonkeyPatch, *items: str, tries: bool = False) -> Outcome:
    seen = collected(monkeypatch)
    probe(seen, (port,))
    if tries:
        try_out(seen, (port,))
    return judge(seen, About(ports=(port,)), Wishes(items=items or ("daemon", "configuration", "host_keys")))


def lines(outcome: Outcome) -> list[str]:
    return list(outcome.verdict.reasons)


@pytest.fixture(params=["openssh-9.2", "openssh-10.6"])
def chroot(request: pytest.FixtureRequest, complete_zoo: None) -> Iterator[zoo.Chroot]:
    with zoo.copy(request.param) as made:
        yield made


@real
def test_the_culprit_leads_and_probe_and_trial_are_evidence(
    chroot: zoo.Chroot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with chroot.server() as server:
        passwd = chroot.root / "etc" / "passwd"
        passwd.write_text("".join(one for one in passwd.read_text().splitlines(True) if not one.startswith("sshd:")))
        outcome = of(server.port, monkeypatch, tries=True)
    assert lines(outcome) == ["the user sshd does not exist: every new connection ends at once"]
    told = [sentence for one in outcome.judged for sentence in one.finding.evidence]
    assert f"127.0.0.1:{server.port} is not served from here: closed without a word" in told
    trial = f"a trial of the sshd of pid {server.pid} failed: Privilege separation user sshd does not exist"
    assert trial in told


@real
def test_alone_a_probe_is_a_problem(chroot: zoo.Chroot, monkeypatch: pytest.MonkeyPatch) -> None:
    with chroot.server() as server:
        (chroot.root / "run" / "sshd").rename(chroot.root / "run" / "other")
        outcome = of(server.port, monkeypatch, "daemon")
    # The children of 9.2 die before they say who they are, those of 10.6 after it.
    (line,) = lines(outcome)
    assert re.fullmatch(rf"127\.0\.0\.1:{server.port} is not served from here: (closed|reset).*", line)


@real
@pytest.mark.usefixtures("complete_zoo")
def test_a_stopped_server_leaves_a_probe_without_a_banner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("check_ssh_exchange.host.local_probe.SECONDS", 0.5)
    with zoo.server("openssh-10.6") as server:
        os.kill(server.pid, signal.SIGSTOP)
        seen = collected(monkeypatch)
        probe(seen, (server.port,))
        os.kill(server.pid, signal.SIGCONT)
    finding = with_probes(Finding("daemon"), seen, About(ports=(server.port,)), ())
    assert sentences(finding) == [f"127.0.0.1:{server.port} is not served from here: left without a banner for 0.5 s"]


@real
@pytest.mark.usefixtures("complete_zoo")
def test_a_loaded_key_that_is_not_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    with zoo.copy("openssh-10.6") as chroot, chroot.server() as server:
        assert not lines(of(server.port, monkeypatch))
        keys = chroot.root / "etc" / "ssh"
        own = keys / "ssh_host_ed25519_key"
        own.unlink()
        (keys / "ssh_host_ed25519_key.pub").unlink()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", own], check=True)
        outcome = of(server.port, monkeypatch)
    path = "/etc/ssh/ssh_host_ed25519_key"
    assert lines(outcome) == [f"sshd shows another ssh-ed25519 key than {path}: restart or restore"]
    keys_item = outcome.of("host_keys")
    assert keys_item is not None
    assert keys_item.problems[0].cause is Cause.HOST_KEY
    assert keys_item.finding.remedies[0].startswith(f"kill -HUP {server.pid} ")


@real
@pytest.mark.parametrize("place", ["etc", "etc/zoo.conf"])
def test_a_configuration_that_others_may_change_is_not_tried(
    chroot: zoo.Chroot, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with chroot.server() as server:
        target: Path = chroot.root / place
        target.chmod(target.stat().st_mode | 0o002)
        seen = collected(monkeypatch)
        try_out(seen, (server.port,))
        assert seen.document["trials"] == [{"pid": server.pid, "skipped": f"others than root may change /{place}"}]
        target.chmod(target.stat().st_mode & ~0o002)
        (chroot.root / "etc" / "zoo.conf").rename(chroot.root / "etc" / "other.conf")
        (chroot.root / "etc" / "zoo.conf").symlink_to("other.conf")
        try_out(seen, (server.port,))
        assert seen.document["trials"][0]["skipped"] == "others than root may change /etc/zoo.conf"


@real
def test_a_trial_listens_nowhere_itself(chroot: zoo.Chroot, monkeypatch: pytest.MonkeyPatch) -> None:
    with chroot.server() as server:
        with (chroot.root / "etc" / "zoo.conf").open("a") as configuration:
            configuration.write("ListenAddress 127.0.0.2\n")
        seen = collected(monkeypatch)
        try_out(seen, (server.port,))
    (found,) = seen.document["trials"]
    assert found["ending"] == "completed"
    assert "debug" in found["said"]
    assert "Server listening on" not in found["said"]
