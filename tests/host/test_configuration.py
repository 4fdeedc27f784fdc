"""Settings by sshd's own word: what they mean, whether it would start again, whom it refuses."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.maxstartups import MaxStartups
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.account import Account
from check_ssh_exchange.host.answers import WITHOUT_KEYS, key_of
from check_ssh_exchange.host.configuration_files import hidden_file
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.findings import binaries, configuration
from check_ssh_exchange.host.settings import chosen, parse, settings_of
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sshd import daemons
from check_ssh_exchange.host.trusted import is_trusted
from check_ssh_exchange.plugin.nagios import Critical, Warn
from tests.host.asked import DUMP, MIXED, collected, host, hostile, is_printable, missing, stat, trust
from tests.host.by_hand import LISTEN, Host
from tests.lab import zoo
from tests.lab.front_door import wait_until

MONITOR = "198.51.100.9"
ABOUT = About(monitors=(MONITOR,))


def find(made: Host, about: About = ABOUT) -> Finding:
    return configuration.find(made.seen, about)


def sentences(finding: Finding) -> list[str]:
    return [problem.sentence for problem in finding.problems]


# --- the settings


def test_names_are_compared_without_case_and_every_value_is_kept() -> None:
    settings = parse(DUMP)
    assert settings.get("MaxStartups") == settings.get("maxstartups") == "10:30:100"
    assert settings.all("ListenAddress") == ("[::]:22", "0.0.0.0:22")
    assert settings.maxstartups() == MaxStartups(10, 30, 100)
    assert settings.seconds("LoginGraceTime") == 120
    assert settings.number("PerSourceMaxStartups") is None
    assert not settings.yes("UseDNS")
    assert settings.get("NoSuchThing") == ""
    assert settings.penalties() is None


@pytest.mark.parametrize(
    ("line", "penalties"),
    [
        ("PerSourcePenalties crash:90.000000 min:15.500000", {"crash": 90.0, "min": 15.5}),
        ("persourcepenalties crash:90 overflow6:permissive", {"crash": 90.0, "overflow6": "permissive"}),
        ("persourcepenalties no", None),
        ("persourcepenalties", None),
        ("port 22", None),
    ],
)
def test_penalties_are_read_whole_and_as_fractions(line: str, penalties: object) -> None:
    assert parse(line + "\n").penalties() == penalties


def test_the_key_that_sshd_was_lent_is_no_host_key() -> None:
    assert parse("hostkey /dev/stdin\nhostkey /etc/ssh/own\n").all("HostKey") == ("/etc/ssh/own",)


def test_a_second_asking_counts_where_sshd_had_no_host_key() -> None:
    made = host()
    made.command("configuration of 10", code=1, err="sshd: no hostkeys available -- exiting.\r\n")
    daemon = daemons(made.seen)[0]
    assert settings_of(made.seen, daemon) is None
    made.command("configuration of 10" + WITHOUT_KEYS, DUMP)
    assert settings_of(made.seen, daemon) is not None


def test_its_ports_are_known_from_the_second_asking_too() -> None:
    made = host(uid=1000)
    made.connection(10, 2222, state=LISTEN)
    assert daemons(made.seen)[0].ports == (22,)
    made.command("configuration of 10", code=1, err="sshd: no hostkeys available -- exiting.\r\n")
    made.command("configuration of 10" + WITHOUT_KEYS, "port 2222\n")
    assert daemons(made.seen)[0].ports == (2222,)


# --- the listener's own words


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", ()),
        ("sshd: /usr/sbin/sshd -D -f /etc/own -p 2222 [listener] 0 of 9-9 startups", ("-f", "/etc/own", "-p", "2222")),
        ("/usr/sbin/sshd -De -f/etc/own -oUseDNS=no", ("-f", "/etc/own", "-o", "UseDNS=no")),
        ("/usr/sbin/sshd -o Port 22 -oListenAddress ::1 -4", ("-o", "Port 22", "-o", "ListenAddress ::1", "-4")),
        ("/usr/sbin/sshd -46Dp 22 -h /a -c /b -g 5", ("-4", "-6", "-p", "22", "-h", "/a", "-c", "/b", "-g", "5")),
        # -E and -C take a word, which is not to be taken for an option; -t and -T were not asked for.
        ("/usr/sbin/sshd -E /tmp/log -C addr=x -t -T -d -p 22", ("-p", "22")),
        ("/usr/sbin/sshd -p", ()),
        ("/usr/sbin/sshd - -- --", ()),
    ],
)
def test_the_words_that_choose_the_configuration_are_taken_over(title: str, words: tuple[str, ...]) -> None:
    made = host()
    made.file("/proc/10/cmdline", title)
    assert chosen(daemons(made.seen)[0]) == words


def test_a_word_that_the_title_cut_off_is_left_out() -> None:
    # RHEL 8: sshd -D -oCiphers=... with every algorithm, longer than setproctitle's 1024 characters.
    made = host()
    made.file("/proc/10/cmdline", "sshd: /usr/sbin/sshd -D -p 22 -oCiphers=" + "aes," * 300)
    assert chosen(daemons(made.seen)[0]) == ("-p", "22")


@pytest.mark.parametrize(
    ("uids", "changed", "trusted"),
    [
        ("0 0 0 0", {}, True),
        ("1000 0 0 0", {}, False),  # a set-uid program that a user calls sshd
        ("1000 1000 1000 1000", {}, False),
        ("0 0 0 0", {"uid": 1000}, False),
        ("0 0 0 0", {"mode": 0o100775}, False),
        ("", {}, False),
    ],
)
def test_only_roots_own_binary_is_run(uids: str, changed: dict[str, int], *, trusted: bool) -> None:
    made = host()
    trust(made, uids=uids, **changed)
    assert is_trusted(made.seen, daemons(made.seen, (22,))[0]) is trusted
    assert ("not root's" in " ".join(find(made, About(ports=(22,))).evidence)) is not trusted


def test_the_sshd_of_a_container_is_not_asked() -> None:
    made = host()
    made.document["links"] |= {"/proc/10/ns/pid": {"target": "pid:[2]"}, "/proc/self/ns/pid": {"target": "pid:[1]"}}
    finding = find(made)
    assert not finding.problems
    assert "container" in finding.evidence[0]


# --- judgement

# What 9.2 prints of a key with mode 0644, before what is really wrong.
TOO_OPEN = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Permissions 0644 for '/etc/ssh/ssh_host_rsa_key' are too open.
It is required that your private key files are NOT accessible by others.
This private key will be ignored.
Unable to load host key "/etc/ssh/ssh_host_rsa_key": bad permissions
Unable to load host key: /etc/ssh/ssh_host_rsa_key
"""


def test_a_healthy_configuration_is_told_in_a_line() -> None:
    finding = find(host())
    assert finding.summary == "MaxStartups 10:30:100, LoginGraceTime 120 s"
    assert not finding.problems
    assert not finding.unseen


def test_nothing_listens() -> None:
    assert find(Host()).is_skipped


@pytest.mark.parametrize(
    ("err", "line"),
    [
        (
            "/etc/ssh/sshd_config: line 3: Bad configuration option: Foo\r\n"
            "/etc/ssh/sshd_config: terminating, 1 bad configuration options\r\n",
            "/etc/ssh/sshd_config: line 3: Bad configuration option: Foo",
        ),
        (
            "/etc/ssh/sshd_config line 2: Deprecated option UsePrivilegeSeparation\r\nbad addr or host: \x1b[31m|\r\n",
            "bad addr or host: \\x1b[31m\\x7c",
        ),
        (
            "/run/sshd must be owned by root and not group or world-writable.\r\n",
            "/run/sshd must be owned by root and not group or world-writable",
        ),
        (
            TOO_OPEN + "sshd-session does not exist or is not executable\r\n",
            "sshd-session does not exist or is not executable",
        ),
    ],
)
def test_a_configuration_with_which_it_would_not_start_again(err: str, line: str) -> None:
    made = host(version="OpenSSH_9.8p1")
    made.command("test of 10", code=255, err=err)
    finding = find(made)
    assert sentences(finding) == [f"sshd would not start again: {line}"]
    assert finding.problems[0].state is Warn
    assert finding.problems[0].cause is Cause.SERVER_FAULT
    assert ("sshd -t" if "world-writable" not in err else "chmod 0755 /run/sshd") in finding.remedies[0]


def in_chroot(made: Host) -> Host:
    made.document["links"]["/proc/10/root"] = {"target": "/srv/a b"}
    for path in ("/usr", "/usr/sbin", "/usr/sbin/sshd"):
        stat(made, f"/proc/10/root{path}")
    return made


@pytest.mark.parametrize(
    ("err", "sentence", "remedy"),
    [
        ("Missing privilege separation directory: /run/sshd\r\n", "/run/sshd is missing",
         "install -d -m 0755 '/srv/a b/run/sshd'"),
        ("Privilege separation user sshd does not exist\r\n", "the user sshd does not exist",
         "useradd -R '/srv/a b' -r -M -d /run/sshd -s /usr/sbin/nologin sshd   # at once"),
        ("/run/sshd must be owned by root and not group or world-writable.\r\n",
         "/run/sshd may be written to by others than root",
         "chown root:root '/srv/a b/run/sshd' && chmod 0755 '/srv/a b/run/sshd'"),
    ],
)  # fmt: skip
def test_what_ends_new_connections_of_a_running_listener(err: str, sentence: str, remedy: str) -> None:
    made = in_chroot(host())
    made.command("test of 10", code=255, err=err)
    finding = find(made)
    assert sentences(finding) == [f"{sentence}: every new connection ends at once"]
    assert finding.problems[0].state is Critical
    assert finding.remedies == (remedy,)


def test_remedies_ask_the_binary_in_its_own_root_with_its_own_words() -> None:
    made = in_chroot(host())
    made.file("/proc/10/cmdline", "sshd: /usr/sbin/sshd -D -f /etc/own [listener] 0 of 10-100 startups")
    made.command("test of 10", code=255, err="/etc/own: line 1: Bad configuration option: x\n")
    assert find(made).remedies[0].startswith("chroot '/srv/a b' /usr/sbin/sshd -t -f /etc/own   # ")


@pytest.mark.parametrize(("uid", "right"), [(1000, "root"), (0, "CAP_SYS_PTRACE")])
def test_a_file_of_another_root_is_no_verdict(uid: int, right: str) -> None:
    made = host(uid=uid)
    made.file("/proc/10/cmdline", "sshd: /usr/sbin/sshd -D -f /etc/own [listener] 0 of 10-100 startups")
    made.command("configuration of 10", code=255, err="/etc/own: No such file or directory\r\n")
    made.command("test of 10", code=255, err="/etc/own: No such file or directory\r\n")
    missing(made, "/etc/own")
    finding = find(made)
    assert not finding.problems
    assert finding.unseen == (f"{right} would show the configuration of sshd, /etc/own",)
    assert hidden_file(made.seen, daemons(made.seen)[0]) == "/etc/own"
    assert not binaries.find(made.seen, About()).evidence


@pytest.mark.parametrize("change", ["it is here", "it may not be seen", "it was not looked for", "the root is seen"])
def test_a_file_that_may_be_here_is_asked_for(change: str) -> None:
    made = host(uid=1000)
    made.file("/proc/10/cmdline", "sshd: /usr/sbin/sshd -D -f /etc/own [listener] 0 of 10-100 startups")
    if change == "it is here":
        stat(made, "/etc/own")
    elif change == "it may not be seen":
        missing(made, "/etc/own", "EACCES")
    elif change == "the root is seen":
        missing(made, "/etc/own")
        made.document["links"]["/proc/10/root"] = {"target": "/"}
    assert hidden_file(made.seen, daemons(made.seen)[0]) == ""
    assert find(made).summary


def test_a_healthy_configuration_is_short() -> None:
    made = host(MIXED.replace("ExemptList none", f"ExemptList {MONITOR}"), version="OpenSSH_10.6p1")
    assert find(made).evidence == ()
    made = host(DUMP.replace("persourcemaxstartups none", "persourcemaxstartups 3"))
    assert find(made).evidence == ("PerSourceMaxStartups 3, PerSourceNetBlockSize 32:128",)


@pytest.mark.parametrize("err", ["", "/etc/ssh/sshd_config line 2: Deprecated option KeyRegenerationInterval\r\n"])
def test_deprecated_options_keep_no_sshd_from_starting(err: str) -> None:
    made = host()
    made.command("test of 10", code=0, err=err)
    assert not find(made).problems


def test_that_there_are_no_host_keys_is_said_by_the_item_of_their_own() -> None:
    made = host(MIXED, version="OpenSSH_10.6p1")
    made.command("test of 10", code=1, err="Unable to load host key: /k\r\nsshd: no hostkeys available -- exiting.\r\n")
    finding = find(made)
    assert not finding.problems
    assert "sshd would not start again without host keys" in finding.evidence


def test_without_its_directory_a_running_listener_serves_nobody() -> None:
    made = host()
    made.command("test of 10", code=255, err="Missing privilege separation directory: /run/sshd\r\n")
    finding = find(made)
    assert sentences(finding) == ["/run/sshd is missing: every new connection ends at once"]
    assert finding.problems[0].state is Critical
    assert finding.remedies[0].startswith("install -d -m 0755 /run/sshd ")


def test_without_a_listener_its_missing_directory_is_no_finding() -> None:
    # dev-sec/ansible-collection-hardening#752: ssh.socket listens, no sshd runs, and `sshd -t` complains.
    assert find(Host()).problems == ()


def test_what_root_alone_may_read_is_lacking_and_no_problem() -> None:
    # RHEL ships sshd_config with mode 0600.
    made = host(uid=1000)
    made.command("configuration of 10", code=1, err="/etc/ssh/sshd_config: Permission denied\r\n")
    del made.document["commands"]["test of 10"]
    finding = find(made)
    assert not finding.problems
    assert finding.unseen == ("root would show the settings of sshd, and whether it would start again",)


def test_refused_connections_of_the_monitor() -> None:
    made = host(MIXED, version="OpenSSH_10.6p1")
    made.command(f"configuration of 10 for {MONITOR}", MIXED.replace("RefuseConnection no", "RefuseConnection yes"))
    finding = find(made)
    assert sentences(finding) == [f"RefuseConnection refuses the monitor {MONITOR} once it asks to log in"]
    assert finding.problems[0].cause is Cause.ACCESS_DENIED
    assert finding.problems[0].state is Critical
    assert f",addr={MONITOR}," in finding.remedies[0]
    assert not find(made, About(monitors=("192.0.2.8",))).problems


@pytest.mark.parametrize(
    ("entries", "exempt"),
    [("none", False), (MONITOR, True), ("10.0.0.0/8,198.51.100.0/24", True), ("198.51.100.0/30,x,::/0", False)],
)
def test_a_monitor_that_penalties_can_hit_is_evidence(entries: str, *, exempt: bool) -> None:
    made = host(MIXED.replace("ExemptList none", f"ExemptList {entries}"), version="OpenSSH_10.6p1")
    finding = find(made)
    assert not finding.problems
    assert any("is not in PerSourcePenaltyExemptList" in sentence for sentence in finding.evidence) is not exempt
    old = "" if entries == "none" else f"{entries},"
    assert any(one.startswith(f"PerSourcePenaltyExemptList {old}{MONITOR} ") for one in finding.remedies) is not exempt


def test_penalties_that_are_off_are_not_spoken_of() -> None:
    text = MIXED.replace("PerSourcePenalties crash:90.000000", "PerSourcePenalties no")
    assert not find(host(text, version="OpenSSH_10.6p1")).remedies


@pytest.mark.parametrize("version", ["OpenSSH_10.1p1", "OpenSSH_10.2p1"])
def test_a_single_number_below_ten_can_crash_10_1_and_10_2(version: str) -> None:
    finding = find(host(DUMP.replace("10:30:100", "10:30:5"), version=version))
    assert finding.problems[0].state is Warn
    assert "sshd can crash" in sentences(finding)[0]
    assert (
        "10.1 and 10.2 read MaxStartups 50 as 10:30:50"
        in find(host(DUMP.replace("10:30:100", "10:30:50"), version=version)).evidence
    )


def test_a_single_number_is_well_elsewhere() -> None:
    assert not find(host(DUMP.replace("10:30:100", "5:30:5"))).problems


def test_slots_that_are_never_freed() -> None:
    assert "LoginGraceTime 0" in sentences(find(host(DUMP.replace("logingracetime 120", "logingracetime 0"))))[0]


@pytest.mark.parametrize("level", ["SILENT", "QUIET", "FATAL", "ERROR"])
def test_a_log_level_without_drops_is_evidence(level: str) -> None:
    finding = find(host(DUMP.replace("loglevel INFO", f"loglevel {level}")))
    assert any("leave no line" in sentence for sentence in finding.evidence)
    assert not finding.problems


def test_a_listener_that_runs_with_other_settings_than_the_file_has() -> None:
    finding = find(host(DUMP.replace("10:30:100", "100:30:200")))
    assert "the listener runs with 10-100 startups: it was not reloaded since" in finding.evidence


def test_several_listeners_are_named() -> None:
    made = host()
    made.sshd(20, port=2222)
    trust(made, 20)
    made.command("configuration of 20", DUMP)
    made.command("test of 20", code=255, err="x: line 1: Bad configuration option: y\n")
    assert sentences(find(made)) == [
        "OpenSSH_9.2p1 on 0.0.0.0:2222: sshd would not start again: x: line 1: Bad configuration option: y"
    ]


def test_hostile_output_is_bounded_and_printable() -> None:
    texts = {"dump": MIXED, "err": "/etc/ssh/sshd_config: line 3: Bad configuration option: Foo\n"}
    for text in hostile(texts):
        for key in ("configuration of 10", "test of 10", f"configuration of 10 for {MONITOR}", "account at /"):
            for code in (0, 255):
                made = host(MIXED, version="OpenSSH_10.6p1")
                made.command(key, text, code=code, err=text)
                finding = find(made, About(monitors=(MONITOR,), login_user="u"))
                told = [*sentences(finding), finding.summary, *finding.evidence, *finding.unseen, *finding.remedies]
                assert all(map(is_printable, told)), key


# --- the user who is to log in

USER = About(login_user="nagios")
HOME = ("/home/nagios", "/home/nagios/.ssh", "/home/nagios/.ssh/authorized_keys")


def with_account(**modes: int) -> Host:
    made = host()
    made.command("account at /", "nagios:x:107:114::/home/nagios:/bin/sh\n")
    for name, path in zip(("home", "directory", "file"), HOME, strict=True):
        stat(made, path, mode=modes.get(name, 0o755), uid=modes.get(f"{name}_uid", 107))
    missing(made, "/home/nagios/.ssh/authorized_keys2")
    return made


@pytest.mark.parametrize(
    ("modes", "fault"),
    [
        ({}, ""),
        ({"file_uid": 0, "home_uid": 0}, ""),
        ({"home": 0o775}, "/home/nagios has mode 0775, others may write to it"),
        ({"directory": 0o757}, "/home/nagios/.ssh has mode 0757, others may write to it"),
        ({"file": 0o664}, "/home/nagios/.ssh/authorized_keys has mode 0664, others may write to it"),
        ({"file_uid": 33}, "/home/nagios/.ssh/authorized_keys belongs to uid 33, not to nagios or root"),
    ],
)
def test_authorized_keys_as_strict_modes_sees_them(modes: dict[str, int], fault: str) -> None:
    found = sentences(find(with_account(**modes), USER))
    expected = [f"sshd with StrictModes ignores {HOME[2]}: {fault}"] if fault else []
    assert found == expected


def test_without_strict_modes_nothing_is_ignored() -> None:
    made = with_account(file=0o666)
    made.command("configuration of 10", DUMP.replace("strictmodes yes", "strictmodes no"))
    assert not find(made, USER).problems


def test_a_user_without_keys() -> None:
    made = with_account()
    missing(made, HOME[2])
    assert "nagios has no authorized keys" in sentences(find(made, USER))[0]
    made.command(
        "configuration of 10", DUMP.replace("authorizedkeyscommand none", "authorizedkeyscommand /usr/bin/sss")
    )
    assert not find(made, USER).problems


def test_what_may_not_be_seen_of_a_user_is_lacking() -> None:
    made = with_account()
    missing(made, HOME[2], "EACCES")
    finding = find(made, USER)
    assert not finding.problems
    assert "root would show" in finding.unseen[0]


def test_a_user_who_does_not_exist() -> None:
    made = host()
    made.command("account at /", code=2)
    assert sentences(find(made, USER)) == ["user nagios does not exist"]
    made.command("configuration of 10", code=255, err="x: line 1: Bad configuration option: y\n")
    assert "user nagios does not exist" in sentences(find(made, USER))


def test_a_user_of_a_chroot_without_getent() -> None:
    made = host()
    made.command("account at /", code=127, err="chroot: failed to run command 'getent'")
    assert find(made, USER).unseen == ("the user nagios could not be looked up with getent",)
    made.command("account at /, in its passwd", code=1)
    assert sentences(find(made, USER)) == ["user nagios does not exist"]
    made.command("account at /, in its passwd", "nagios:x:107:114::/home/nagios:/bin/sh\n")
    assert "no authorized keys" in sentences(find(made, USER))[0]


def test_patterns_of_authorized_keys_files() -> None:
    account = Account("u", 1000, "/home/u", "/bin/sh")
    settings = parse("authorizedkeysfile /etc/keys/%u %h/%U/k%%x none .ssh/keys\n")
    assert account.files(settings) == ("/etc/keys/u", "/home/u/1000/k%x", "/home/u/.ssh/keys")
    assert account.way("/home/u/.ssh/keys") == ("/home/u/.ssh/keys", "/home/u/.ssh", "/home/u")
    assert account.way("/etc/keys/u") == ("/etc/keys/u", "/etc/keys", "/etc", "/")


# --- real servers

RELEASES = ["openssh-8.4", "openssh-9.2", "openssh-10.0", "openssh-10.6"]
real = pytest.mark.real


def of(seen: Snapshot, port: int, *monitors: str) -> Finding:
    return configuration.find(seen, About(monitors=monitors, ports=(port,)))


@real
@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.usefixtures("complete_zoo")
def test_a_real_server_tells_its_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = "10." in name
    config = f"LoginGraceTime 33\nMatch Address {MONITOR}\n  {'RefuseConnection yes' if refusing else 'PermitTTY no'}\n"
    with zoo.server(name, config=config, options={"MaxStartups": "7:50:70"}) as server:
        seen = collected(monkeypatch, monitors=(MONITOR, "192.0.2.8"))
        finding = of(seen, server.port, MONITOR, "192.0.2.8")
        settings = settings_of(seen, daemons(seen, (server.port,))[0], MONITOR)
    assert finding.summary == "MaxStartups 7:50:70, LoginGraceTime 33 s"
    assert [MONITOR in sentence for sentence in sentences(finding)] == [True] * refusing
    assert settings is not None
    assert settings.yes("RefuseConnection") is refusing
    assert settings.yes("PermitTTY") is refusing


def ends_at_once(server: zoo.Server) -> bool:
    with socket.create_connection((server.address, server.port), timeout=10) as connection:
        return not connection.recv(16)


@real
@pytest.mark.usefixtures("complete_zoo")
def test_a_user_of_a_real_chroot(monkeypatch: pytest.MonkeyPatch) -> None:
    with zoo.server("openssh-9.2") as server:
        for name in ("nosuch", "s.hd"):
            seen = collected(monkeypatch, login_user=name)
            finding = configuration.find(seen, About(ports=(server.port,), login_user=name))
            assert sentences(finding) == [f"user {name} does not exist"]
            assert finding.problems[0].state is Warn


@real
@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.usefixtures("complete_zoo")
def test_a_real_server_that_would_not_start_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with zoo.copy(name) as chroot, chroot.server() as server:
        (chroot.root / "run" / "sshd").rename(chroot.root / "run" / "other")
        assert sentences(of(collected(monkeypatch), server.port)) == [
            "/run/sshd is missing: every new connection ends at once"
        ]
        (chroot.root / "run" / "other").rename(chroot.root / "run" / "sshd")
        assert sentences(of(collected(monkeypatch), server.port)) == []
        passwd = chroot.root / "etc" / "passwd"
        users = passwd.read_text()
        passwd.write_text("".join(line for line in users.splitlines(keepends=True) if not line.startswith("sshd:")))
        gone = of(collected(monkeypatch), server.port)
        assert sentences(gone) == ["the user sshd does not exist: every new connection ends at once"]
        assert ends_at_once(server)
        if shutil.which("useradd"):
            subprocess.run(["sh", "-c", gone.remedies[0]], check=True, stderr=subprocess.DEVNULL)
            assert not of(collected(monkeypatch), server.port).problems
        passwd.write_text(users)
        (chroot.root / "run" / "sshd").chmod(0o777)
        (writable,) = of(collected(monkeypatch), server.port).problems
        assert (writable.state is Critical) is ends_at_once(server) is (name in RELEASES[:2])
        (chroot.root / "run" / "sshd").chmod(0o755)
        (chroot.root / zoo.CONFIG.lstrip("/")).write_text("Port 22\nNoSuchOption yes\n")
        assert sentences(of(collected(monkeypatch), server.port)) == [
            f"sshd would not start again: {zoo.CONFIG}: line 2: Bad configuration option: NoSuchOption"
        ]


@pytest.fixture
def own_listener(tmp_path: Path) -> Iterator[int]:
    """Run the sshd of this machine on a port of its own; return the port."""
    if not Path("/usr/sbin/sshd").exists() or os.geteuid():
        pytest.skip("needs root and this host's own sshd: install the Debian package openssh-server")
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    file = tmp_path / "config"
    file.write_text(
        f"HostKey {key}\nPidFile none\nUsePAM no\nMaxStartups 9:30:90\nMatch Address {MONITOR}\nX11Forwarding yes\n"
    )
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.geteuid() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o711)
    port = zoo.free_port("127.0.0.1")
    command: list[str] = ["/usr/sbin/sshd", "-D", "-e", "-f", str(file), "-p", str(port), "-oListenAddress=127.0.0.1"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: process.poll() is not None or zoo.has_title(process.pid))
            assert process.poll() is None
            yield port
        finally:
            process.kill()


@real
def test_without_rights_a_lent_key_shows_the_settings(own_listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, answer = os.pipe()
    child = os.fork()
    if not child:  # nobody's process, from here on
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            finding = of(collected(monkeypatch, monitors=(MONITOR,)), own_listener, MONITOR)
            os.write(answer, f"{finding.summary};{finding.problems};{finding.unseen}".encode())
        finally:
            os._exit(0)
    os.close(answer)
    with open(sent, encoding="utf-8") as said:
        told = said.read()
    os.waitpid(child, 0)
    assert told == "MaxStartups 9:30:90, LoginGraceTime 120 s;();()"


@real
def test_a_real_server_that_has_lost_its_key_tells_its_settings_with_a_lent_one(
    own_listener: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").unlink()
    seen = collected(monkeypatch, monitors=(MONITOR,))
    daemon = daemons(seen, (own_listener,))[0]
    if daemon.release is None or daemon.release >= (9, 3):
        pytest.skip("this host's sshd needs no host key to tell its settings: it has -G")
    assert not seen.command(key_of(daemon.pid)).is_good
    assert seen.command(key_of(daemon.pid) + WITHOUT_KEYS).is_good
    told, told_for_monitor = settings_of(seen, daemon), settings_of(seen, daemon, MONITOR)
    assert told is not None
    assert told_for_monitor is not None
    assert told.maxstartups() == MaxStartups(9, 30, 90)
    assert (told.yes("X11Forwarding"), told_for_monitor.yes("X11Forwarding")) == (False, True)


@real
def test_a_real_users_keys(own_listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, login_user="root")
    finding = configuration.find(found, About(ports=(own_listener,), login_user="root"))
    home = Path(pwd.getpwnam("root").pw_dir)
    assert bool(finding.problems) is not any(
        (home / ".ssh" / name).exists() for name in ("authorized_keys", "authorized_keys2")
    )
    absent = collected(monkeypatch, login_user="no-such-user")
    assert "user no-such-user does not exist" in sentences(
        configuration.find(absent, About(ports=(own_listener,), login_user="no-such-user"))
    )
