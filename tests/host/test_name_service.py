"""The item name_service: who looks names up, and how long the monitor's takes."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host import collect as collecting
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.answers import WITHOUT_KEYS
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.findings import name_service
from check_ssh_exchange.host.hosts_access import DENY
from check_ssh_exchange.host.judge import Wishes, judge
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import binaries, configuration, processes, system, tcp_wrappers
from check_ssh_exchange.host.sources import name_service as source
from check_ssh_exchange.plugin.nagios import Critical, Ok, Warn
from tests.host.by_hand import Host
from tests.lab import zoo

MONITOR = "192.0.2.7"
ABOUT = About(monitors=(MONITOR,))
KEY = f"reverse lookup of {MONITOR} in /"


def host(took: float = 0.003, configuration: str = "usedns yes\n", **more: object) -> Host:
    made = Host()
    made.sshd(10)
    made.command("configuration of 10", configuration)
    made.command(KEY, f"{MONITOR}      monitor.example.com\n", took=took, **more)
    return made


def said(seen: Snapshot) -> tuple[object, list[str]]:
    outcome = judge(seen, ABOUT, Wishes(("name_service",)))
    return outcome.verdict.state, [problem.sentence for one in outcome.judged for problem in one.problems]


@pytest.mark.parametrize("key", ["usedns", "UseDNS"])
@pytest.mark.parametrize(("took", "state"), [(0.003, Ok), (2.1, Warn), (11.0, Critical)])
def test_a_slow_lookup_delays_every_connection(key: str, took: float, state: object) -> None:
    seen = host(took, f"port 22\n{key} yes\n").seen
    told = [f"the name of the monitor {MONITOR} takes {took:.1f} s to be looked up (UseDNS yes)"]
    assert said(seen) == (state, told if state != Ok else [])
    assert dict(name_service.find(seen, ABOUT).figures) == {"reverse_lookup": took}


def test_without_host_keys_the_second_asking_counts() -> None:
    made = host(3.0)
    made.command("configuration of 10", code=1, err="sshd: no hostkeys available -- exiting.\r\n")
    assert name_service.find(made.seen, ABOUT).is_skipped
    made.command("configuration of 10" + WITHOUT_KEYS, "usedns yes\n")
    assert said(made.seen)[0] == Warn


def test_a_lookup_that_does_not_end_is_slow() -> None:
    seen = host(2.2, code=None, error="ETIMEDOUT").seen
    assert said(seen) == (
        Warn, [f"the name of the monitor {MONITOR} takes 2.2 s or more to be looked up (UseDNS yes)"]
    )  # fmt: skip
    outcome = judge(seen, ABOUT, Wishes(("name_service",)))
    assert outcome.judged[0].cause == Cause.SLOW
    assert name_service.find(seen, ABOUT).remedies[0] == (
        "set UseDNS no in sshd_config, then service sshd reload   # no lookup, no wait"
    )


def test_an_address_without_a_name_is_as_good() -> None:
    assert said(host(0.01, code=2).seen) == (Ok, [])


@pytest.mark.parametrize("configuration", ["usedns no\n", "", "x usedns yes\n", "usedns yes please\n"])
def test_an_sshd_that_looks_nothing_up_is_left_out(configuration: str) -> None:
    finding = name_service.find(host(9.0, configuration).seen, ABOUT)
    assert (finding.is_skipped, finding.summary) == (True, "sshd does not look up names")


def test_without_a_monitor_or_getent_there_is_nothing_to_say() -> None:
    assert name_service.find(host().seen, About()).summary == "no --monitor to look up"
    for more in ({"error": "ENOENT", "code": None}, {"code": 127}):
        assert name_service.find(host(**more).seen, ABOUT).summary == "no monitor's address was looked up"


def wrapped(deny: str, **more: object) -> Host:
    """A host whose sshd is linked with libwrap, with rules in hosts.deny."""
    made = host(3.0, "usedns no\n", **more)
    made.document["stats"]["contains libwrap.so:/usr/sbin/sshd"] = {"found": True}
    made.document["files"][DENY] = {"text": deny, "size": len(deny.encode())}
    return made


@pytest.mark.parametrize("rules", [
    "sshd: .example.com", "ALL: LOCAL", "sshd, vsftpd: KNOWN", "ALL: ALL EXCEPT host.example.com", "sshd: @trusted",
    "sshd@192.0.2.1: 192.0.2.0/24 user@host.example.com : allow", "sshd: 192.0.2. \\\n  host.example.com",
    "ALL: PARANOID", "ALL EXCEPT vsftpd: .example.com", "22: .example.com", "sshd: user@@trusted",
])  # fmt: skip
def test_rules_with_names(rules: str) -> None:
    made = wrapped(f"# comment\n{rules}\n")
    assert said(made.seen) == (
        Warn, [f"the name of the monitor {MONITOR} takes 3.0 s to be looked up (a host name in {DENY})"]
    )  # fmt: skip
    assert not [one for one in name_service.find(made.seen, ABOUT).remedies if "UseDNS" in one]


@pytest.mark.parametrize("rules", [
    "sshd: ALL", "ALL: 192.0.2.", "sshd: 192.0.2.0/255.255.255.0", "sshd: [2001:db8::]/32 : deny",
    "vsftpd: .example.com", "sshd: ALL EXCEPT 192.0.2.7 : spawn (echo abc)", "\0\x1b:" * 100,
    "# sshd: .example.com", "", ":", "sshd", "sshd: /etc/denied", "ALL EXCEPT sshd: .example.com", "23: .example.com",
    "sshd: user@192.0.2.7", "x" * 3000 + ": .example.com\nsshd: .example.com",
])  # fmt: skip
def test_rules_without(rules: str) -> None:
    assert name_service.find(wrapped(f"{rules}\n").seen, ABOUT).summary == "sshd does not look up names"


@pytest.mark.parametrize("distribution", ["debian", "fedora"])
@pytest.mark.parametrize(
    ("version", "program"),
    [("OpenSSH_9.2p1", "/usr/sbin/sshd"), ("OpenSSH_10.0p2", "/usr/libexec/openssh/sshd-session")],
)
def test_rules_count_only_where_libwrap_judges(distribution: str, version: str, program: str) -> None:
    made = wrapped("sshd: .example.com\n")
    made.file("/etc/os-release", f"ID={distribution}\n")
    made.command("version of 10", err=f"{version}, OpenSSL 3.5\n")
    for found, is_looked_up in ((True, True), (False, False), (None, False)):
        made.document["stats"]["contains libwrap.so:/usr/sbin/sshd"] = {"error": "EACCES"}
        made.document["stats"][f"contains libwrap.so:{program}"] = (
            {"error": "EACCES"} if found is None else {"found": found}
        )
        assert (said(made.seen)[0] == Warn) is is_looked_up


@pytest.fixture
def chroot(complete_zoo: None) -> Iterator[zoo.Chroot]:
    """A chroot with the program that looks up; Debian 12's own, as that is what its libc.so.6 is for."""
    del complete_zoo
    with zoo.copy("openssh-9.2") as made:
        getent = shutil.which("getent") or pytest.skip("no getent here")
        shutil.copy(getent, made.root / "usr/bin/getent")
        if (
            subprocess.run(["chroot", made.root, "getent", "hosts", "::1"], capture_output=True, check=False).returncode
            == 1
        ):
            pytest.skip("this host's getent does not run in Debian 12's chroot")
        (made.root / "etc/hosts.deny").write_text("sshd: .example.net\n")
        yield made


def looked(server: zoo.Server, monkeypatch: pytest.MonkeyPatch) -> Finding:
    sources = (system.read, processes.read, binaries.read, configuration.read, tcp_wrappers.read, source.read)
    monkeypatch.setattr(collecting, "SOURCES", sources)
    seen = Snapshot(json.loads(json.dumps(collecting.collect(monitors=(MONITOR,)).document)))
    return name_service.find(seen, ABOUT._replace(ports=(server.port,)))


@pytest.mark.real
def test_a_real_chroot_looks_up_where_its_sshd_would(chroot: zoo.Chroot, monkeypatch: pytest.MonkeyPatch) -> None:
    etc = chroot.root / "etc"
    (etc / "hosts").write_text(f"{MONITOR} monitor.example.com\n")
    (etc / "nsswitch.conf").write_text("hosts: files\n")
    with chroot.server() as server:
        finding = looked(server, monkeypatch)
        assert dict(finding.figures)["reverse_lookup"] > 0
        assert finding.evidence == ("sshd looks names up: a host name in /etc/hosts.deny",)
        (etc / "hosts.deny").unlink()
        assert looked(server, monkeypatch).is_skipped


@pytest.mark.real
def test_a_real_name_server_that_never_answers(chroot: zoo.Chroot, monkeypatch: pytest.MonkeyPatch) -> None:
    (chroot.root / "etc/nsswitch.conf").write_text("hosts: dns\n")
    (chroot.root / "etc/resolv.conf").write_text("nameserver 127.0.7.53\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, chroot.server() as server:
        silent.settimeout(60)
        silent.bind(("127.0.7.53", 53))
        finding = looked(server, monkeypatch)
        assert silent.recv(512)
    assert finding.sentences == (
        ("reverse_lookup", f"the name of the monitor {MONITOR} takes 2.2 s or more to be looked up "
         "(a host name in /etc/hosts.deny)"),
    )  # fmt: skip
    assert dict(finding.figures)["reverse_lookup"] > 2
