"""hosts.allow and hosts.deny as libwrap reads them; tcpdmatch and real servers are the witnesses."""

import ipaddress
import random
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.findings import tcp_wrappers
from check_ssh_exchange.host.hosts_access import BUFFER, Client, rules, verdict
from check_ssh_exchange.plugin.nagios import Critical
from tests.host.asked import MIXED, collected, host, hostile, is_printable
from tests.host.by_hand import Host
from tests.lab import zoo

ALLOW, DENY = "/etc/hosts.allow", "/etc/hosts.deny"
MONITOR, MONITOR6 = "198.51.100.7", "2001:db8::1"
ABOUT = About(monitors=(MONITOR,))


def decided(allow: str, deny: str, address: str = MONITOR, port: int = 22, server: str = "") -> "bool | None":
    """Whether the client with this address is served."""
    local = ipaddress.ip_address(server) if server else None
    client = Client(ipaddress.ip_address(address), port, server=local)
    return verdict(rules(ALLOW, allow), rules(DENY, deny), client).is_served


# Rules of hosts.deny, and whether they deny the client; each as tcpdmatch 7.6.q-32 has it.
DENIES: list[tuple[str, str, "bool | None"]] = [
    ("sshd: ALL\n", MONITOR, True),
    ("ALL: ALL\n", MONITOR, True),
    ("SSHD : all\n", MONITOR, True),
    ("vsftpd: ALL\n", MONITOR, False),
    ("sshd,vsftpd : 192.0.2.1, 198.51.100.7\n", MONITOR, True),
    ("ssh*: 198.51.100.*\n", MONITOR, True),
    ("ss?d: 19?.51.100.7\n", MONITOR, True),
    ("KNOWN: 198.51.100.7\n", MONITOR, True),
    ("sshd-session: ALL\n", MONITOR, False),
    ("sshd: 198.51.\n", MONITOR, True),
    ("sshd: 198.51\n", MONITOR, False),
    ("sshd: 198.51.100.0/255.255.255.0\n", MONITOR, True),
    ("sshd: 198.51.100.0/24\n", MONITOR, True),
    ("sshd: 198.51.100.7/24\n", MONITOR, False),  # its own bits are not cut off
    ("sshd: 198.51.100.7/32\n", MONITOR, True),
    ("sshd: 198.51.100.7/255.255.255.255\n", MONITOR, False),  # hosts_access(5): no valid mask
    ("sshd: 0.0.0.0/0\n", MONITOR, False),
    ("sshd: 0.0.0.0/0.0.0.0\n", MONITOR, True),
    ("sshd: 198.51.100.0/33\n", MONITOR, False),
    ("sshd: 198.51.100.0/24x\n", MONITOR, True),
    ("sshd: 198.51.100/24\n", MONITOR, False),
    ("sshd: 2001:db8::1\n", MONITOR6, False),  # its colons end the field
    ("sshd: [2001:db8::1]\n", MONITOR6, True),
    ("sshd: [2001:0db8:0:0::1]\n", MONITOR6, True),
    ("sshd: [2001:db8::]/32\n", MONITOR6, True),
    ("sshd: [2001:db8::9]/64\n", MONITOR6, True),
    ("sshd: [2001:db8::]/129\n", MONITOR6, False),
    ("sshd: [2001:db8::/32]\n", MONITOR6, False),
    ("sshd: [::]/0\n", MONITOR, False),
    ("sshd: [::ffff:198.51.100.7]\n", MONITOR, False),
    ("sshd: ALL EXCEPT 198.51.100.7\n", MONITOR, False),
    ("sshd: ALL EXCEPT 198.51.100. EXCEPT 198.51.100.7\n", MONITOR, True),
    ("sshd: ALL EXCEPT 198.51.100. EXCEPT 198.51.100.7 EXCEPT ALL\n", MONITOR, False),
    ("ALL EXCEPT sshd: ALL\n", MONITOR, False),
    ("ALL EXCEPT vsftpd: ALL\n", MONITOR, True),
    ("sshd except: ALL\n", MONITOR, True),
    ("sshd: \\\nALL\n", MONITOR, True),
    ("# sshd: ALL\n", MONITOR, False),
    (" # sshd: ALL\n", MONITOR, True),  # only a # in the first column begins a comment
    ("sshd: 192.0.2.1 # ALL\n", MONITOR, True),
    ("sshd\n", MONITOR, False),
    ("sshd:\n", MONITOR, False),
    (": ALL\n", MONITOR, False),
    ("\r\nsshd: 198.51.100.7\r\n", MONITOR, True),
    # what is not ended denies everybody, be it a comment
    ("# nothing", MONITOR, True),
    ("vsftpd: ALL", MONITOR, True),
    ("vsftpd: ALL \\\n", MONITOR, True),
    (f"vsftpd:{' ' * (BUFFER - 10)}ALL\n", MONITOR, False),
    (f"vsftpd:{' ' * (BUFFER - 9)}ALL\n", MONITOR, True),
    (f"vsftpd: \\\n{' ' * (BUFFER - 10)}ALL\n", MONITOR, True),
    # options
    ("sshd: ALL: allow\n", MONITOR, False),
    ("sshd: ALL: deny\n", MONITOR, True),
    ("sshd: ALL: spawn (/bin/echo %h \\: x) & : allow\n", MONITOR, False),
    ("sshd: ALL: allow: spawn x\n", MONITOR, True),
    ("sshd: ALL: severity auth.info: ALLOW\n", MONITOR, False),
    # names, users, groups, files and commands: cannot be told
    ("sshd: .example.org\n", MONITOR, None),
    ("sshd: monitor.example.org\n", MONITOR, None),
    ("sshd: LOCAL\n", MONITOR, None),
    ("sshd: UNKNOWN PARANOID\n", MONITOR, None),
    ("sshd: @group\n", MONITOR, None),
    ("sshd: /etc/denied\n", MONITOR, None),
    ("sshd: root@198.51.100.7\n", MONITOR, None),
    ("sshd: root@192.0.2.1\n", MONITOR, False),
    ("sshd: ALL EXCEPT .example.org\n", MONITOR, None),
    ("sshd: 198.51.100.7 EXCEPT .example.org\n", MONITOR, None),
    ("sshd: .example.org 198.51.100.7\n", MONITOR, True),
    ("sshd: .example.org\nsshd: ALL\n", MONITOR, True),
    ("sshd: ALL: aclexec /bin/check %a\n", MONITOR, None),
    ("sshd@192.0.2.9: ALL\n", MONITOR, None),
    ("sshd@ALL: ALL\n", MONITOR, True),
]


@pytest.mark.parametrize(("text", "address", "denied"), DENIES)
def test_hosts_deny(text: str, address: str, *, denied: "bool | None") -> None:
    assert decided("", text, address) is (None if denied is None else not denied)


@pytest.mark.parametrize(
    ("allow", "deny", "served"),
    [
        ("", "", True),
        ("sshd: 198.51.100.\n", "ALL: ALL\n", True),
        ("sshd: 192.0.2.\n", "ALL: ALL\n", False),
        ("sshd: ALL: deny\n", "", False),
        ("sshd: 198.51.100.7: deny\nsshd: ALL\n", "", False),
        ("sshd: ALL\nsshd: ALL: deny\n", "ALL: ALL\n", True),
        ("sshd: ALL: twist /bin/echo no\n", "", False),
        # a mistake in an option denies: hosts_options(5), DIAGNOSTICS
        ("sshd: ALL: alow\n", "", False),
        ("sshd: ALL:\n", "", False),
        ("sshd: ALL: spawn\n", "", False),
        ("sshd: ALL: nice x\n", "", False),
        ("sshd: ALL: nice\n", "", True),
        ("sshd: ALL: linger=5\n", "", True),
        ("sshd: ALL: severity nonsense\n", "", False),
        # hosts.allow grants nothing from such a line on
        ("sshd: ALL", "ALL: ALL\n", False),
        ("vsftpd: ALL", "", True),
        (f"{'x' * BUFFER}y\nsshd: ALL\n", "ALL: ALL\n", False),
        ("sshd: monitor.example.org\n", "ALL: ALL\n", None),
        ("sshd: monitor.example.org\n", "", True),
        ("sshd: monitor.example.org: deny\n", "", None),
        ("sshd: monitor.example.org\nsshd: 198.51.100.7\n", "ALL: ALL\n", True),
    ],
)
def test_hosts_allow_comes_first(allow: str, deny: str, *, served: "bool | None") -> None:
    assert decided(allow, deny) is served


def test_ports_and_the_servers_own_address() -> None:
    assert decided("", "2222: ALL\n", port=2222) is False
    assert decided("", "2222: ALL\n", port=22) is True
    assert decided("", "sshd@192.0.2.9: ALL\n", server="192.0.2.9") is False
    assert decided("", "sshd@192.0.2.9: ALL\n", server="192.0.2.8") is True


# --- the item


def wrapped(allow: "str | None" = None, deny: "str | None" = None, version: str = "OpenSSH_9.2p1") -> Host:
    made = host(version=version)
    program = "/usr/sbin/sshd"
    if version != "OpenSSH_9.2p1":
        made.command("configuration of 10", MIXED)
        program = "/usr/lib/openssh/sshd-session"
    made.document["stats"][f"contains libwrap.so:{program}"] = {"found": True}
    for path, text in ((ALLOW, allow), (DENY, deny)):
        if text is not None:
            made.document["files"][path] = {"text": text, "size": len(text)}
    return made


def find(made: Host, about: About = ABOUT) -> Finding:
    return tcp_wrappers.find(made.seen, about)


def sentences(finding: Finding) -> list[str]:
    return [problem.sentence for problem in finding.problems]


def test_without_libwrap_there_is_nothing_to_look_at() -> None:
    # 9.8 and later: the listener may name the library, sshd-session is the one that asks it.
    made = wrapped(deny="ALL: ALL\n", version="OpenSSH_10.6p1")
    made.document["stats"]["contains libwrap.so:/usr/lib/openssh/sshd-session"] = {"found": False}
    made.document["stats"]["contains libwrap.so:/usr/sbin/sshd"] = {"found": True}
    assert find(made).is_skipped
    assert find(Host()).is_skipped


@pytest.mark.parametrize("version", ["OpenSSH_9.2p1", "OpenSSH_10.6p1"])
def test_a_monitor_that_is_denied(version: str) -> None:
    finding = find(wrapped("", "# x\nsshd: 198.51.100.\n", version))
    assert sentences(finding) == [f"{DENY} line 2 denies the monitor {MONITOR}: sshd: 198.51.100."]
    assert finding.problems[0].state is Critical
    assert finding.problems[0].cause is Cause.ACCESS_DENIED
    assert finding.remedies == (f"echo 'sshd: {MONITOR}' >> {ALLOW}   # holds from the next connection on",)


def test_a_last_line_without_its_end() -> None:
    finding = find(wrapped(deny="# nothing is denied"))
    assert sentences(finding) == [
        f"{DENY} line 1 has no line end, for which libwrap denies everybody, the monitor {MONITOR} too"
    ]
    assert finding.remedies == (f"echo >> {DENY}   # ends its last line",)


def test_monitors_that_are_served_or_not_known() -> None:
    made = wrapped("sshd: 198.51.100.\n", "ALL: ALL\n")
    assert find(made).summary == "every monitor is served"
    finding = find(made, About())
    assert not finding.problems
    assert f"{DENY} line 1 denies every client that no earlier rule admits" in finding.evidence
    assert not find(wrapped()).problems


@pytest.mark.parametrize(
    ("allow", "deny", "sentence"),
    [
        ("", "ALL: ALL\n", f"{DENY} line 1 denies everybody, hosts.allow admits nobody"),
        ("# x\n", "# x\nsshd: ALL\n", f"{DENY} line 2 denies everybody, hosts.allow admits nobody"),
        ("vsftpd: ALL\n", "ALL: ALL\n", f"{DENY} line 1 denies everybody, hosts.allow admits nobody"),
        # what names nobody: hosts_access.c, masked_match
        ("sshd: 0.0.0.0/0\n", "ALL: ALL\n", f"{DENY} line 1 denies everybody, hosts.allow admits nobody"),
        ("sshd: 192.0.2.1/24\n", "ALL: ALL\n", f"{DENY} line 1 denies everybody, hosts.allow admits nobody"),
        ("sshd: 198.51\n", "ALL: ALL\n", f"{DENY} line 1 denies everybody, hosts.allow admits nobody"),
        ("sshd: 2001:db8::1\n", "ALL: ALL\n", f"{DENY} line 1 denies everybody, hosts.allow admits nobody"),
        ("sshd: ALL", "ALL: ALL\n", f"{DENY} line 1 denies everybody, hosts.allow admits nobody"),
        ("sshd: 192.0.2.1: deny\n", "ALL: ALL\n", f"{DENY} line 1 denies everybody, hosts.allow admits nobody"),
        ("", "# x", f"{DENY} line 1 has no line end, which denies everybody, hosts.allow admits nobody"),
        ("sshd: ALL: deny\n", "", f"{ALLOW} line 1 denies everybody: sshd: ALL: deny"),
    ],
)
def test_a_server_that_serves_nobody(allow: str, deny: str, sentence: str) -> None:
    made = wrapped(allow, deny)
    finding = find(made, About())
    assert sentences(finding) == [sentence]
    assert (finding.problems[0].state, finding.problems[0].cause) == (Critical, Cause.ACCESS_DENIED)
    assert finding.remedies
    assert find(made).problems[0].state is Critical  # and so is no monitor
    assert len(find(made).problems) == 1


@pytest.mark.parametrize(
    ("allow", "deny"),
    [
        *[(f"sshd: {client}\n", "ALL: ALL\n") for client in (
            "192.0.2.1", "192.0.2.", "192.0.2.0/24", "[2001:db8::]/32", "[2001:db8::1]", ".example.org", "LOCAL",
            "@group", "/etc/allowed", "root@192.0.2.1", "192.0.2.*", "0.0.0.0/0.0.0.0", "ALL EXCEPT 192.0.2.1",
        )],
        ("ssh?: 192.0.2.1\n", "ALL: ALL\n"),
        ("", "ALL: ALL EXCEPT 192.0.2.1\n"),
        ("", "sshd: 192.0.2.1: allow\nALL: ALL\n"),
        ("", "sshd: ALL: aclexec /bin/check %a\n"),
        ("", "ALL EXCEPT sshd: ALL\n"),
        ("", "sshd@192.0.2.9: ALL\n"),
        ("sshd: 192.0.2.1: twist /bin/false\nsshd: 192.0.2.2\n", "ALL: ALL\n"),
    ],
)  # fmt: skip
def test_a_list_of_those_who_may_come_is_healthy(allow: str, deny: str) -> None:
    assert not find(wrapped(allow, deny), About()).problems


def test_the_way_out_of_denying_everybody() -> None:
    open_all = f"echo 'sshd: ALL' >> {ALLOW}   # lets everybody in; holds from the next connection on"
    assert find(wrapped("", "ALL: ALL\n"), About()).remedies == (open_all,)
    # What is put behind a line without its end would be a part of it.
    ends = f"echo >> {ALLOW}   # ends its last line"
    assert find(wrapped("sshd: ALL", "ALL: ALL\n"), About()).remedies == (ends, open_all)
    own = f"echo 'sshd: {MONITOR}' >> {ALLOW}   # holds from the next connection on"
    assert find(wrapped("sshd: ALL", "ALL: ALL\n")).remedies == (ends, own)
    assert find(wrapped("", "ALL: ALL")).remedies == (f"echo >> {DENY}   # ends its last line", own)
    long = find(wrapped(f"{'x' * BUFFER}y\n", "ALL: ALL\n")).remedies
    assert long == (f"sed -i '1i sshd: {MONITOR}' {ALLOW}   # holds from the next connection on",)


def test_what_hangs_on_a_name_is_said() -> None:
    finding = find(wrapped("sshd: monitor.example.org\n", "ALL: ALL\n"))
    assert not finding.problems
    assert (
        f"cannot tell whether {MONITOR} is denied: {ALLOW} line 1, monitor.example.org can only be told by a look-up"
        in (finding.evidence)
    )


def test_files_that_may_not_be_read_are_lacking() -> None:
    made = wrapped()
    made.document["files"][DENY] = {"error": "EACCES"}
    finding = find(made)
    assert not finding.problems
    assert finding.unseen == (f"root would show what {DENY} says",)
    assert finding.is_skipped


def test_a_file_that_was_not_read_whole_is_not_taken_for_one_without_its_end() -> None:
    made = wrapped(deny="sshd: 192.0.2.1\n" * 100 + "sshd: 198.5")
    made.document["files"][DENY]["size"] = 10_000_000
    finding = find(made)
    assert not finding.problems
    assert any("too long to be read whole" in sentence for sentence in finding.evidence)
    made.document["files"][DENY]["text"] = f"sshd: {MONITOR}\n"
    assert len(find(made).problems) == 1


def test_hostile_files_are_bounded_and_printable() -> None:
    for text in hostile({"rule": "sshd: ALL: deny\n", "list": "ALL EXCEPT [::1]/0: a@b /x @y *?*?*?* 1.2.3.4/5\n"}):
        for allow, deny in ((text, ""), ("", text)):
            begun = time.process_time()
            finding = find(wrapped(allow, deny), About(monitors=(MONITOR, MONITOR6)))
            told = [*sentences(finding), finding.summary, *finding.evidence, *finding.unseen, *finding.remedies]
            assert all(map(is_printable, told))
            assert time.process_time() - begun < 5


# --- witnesses

DAEMONS = ["sshd", "ALL", "vsftpd", "ssh*", "ss?d", "KNOWN", "SSHD", "sshd.", ".sshd", "sshd@ALL", "@sshd"]
CLIENTS = [
    "ALL", "192.0.2.1", "192.0.2.", "192.0.", "192.0.2.0/24", "192.0.2.0/255.255.255.0",
    "192.0.2.1/255.255.255.255", "192.0.2.1/32", "0.0.0.0/0", "0.0.0.0/0.0.0.0", "192.0.2.1/24", "[2001:db8::]/32",
    "[2001:db8::1]", "[2001:DB8::2]/128", "192.0.2.*", "192.?.2.1", "198.51.100.7", "2001:db8::1", "example.org",
    ".example.org", "LOCAL", "KNOWN", "UNKNOWN", "@group", "user@192.0.2.1", "ALL@192.0.2.1", "192.0.2",
    "1.2.3.4/33", "0.0.0.0/x", "*", "[::]/0", "[2001:db8::/32]", "[2001:db8::1]/x", "192.0.2.0/0.0.0.255",
    "[::ffff:192.0.2.1]", ".", "/nonexistent",
]  # fmt: skip
OPTIONS = [
    "", "", "", ": allow", ": deny", ": DENY", ": spawn /bin/true", ": twist /bin/echo no", ": nonsense", ": rfc931",
    ": severity auth.info : allow", ": allow : severity auth.info", ": spawn /bin/a\\:b : deny", ": keepalive",
    ": deny x", ": linger", ": nice", ": linger=5 : deny", ":",
]  # fmt: skip


def made_up(chance: random.Random) -> str:
    """A table of a few rules."""

    def words(pool: Sequence[str]) -> str:
        found = []
        for _ in range(chance.choice([1, 1, 2, 4])):
            found.append(chance.choice(pool))
            if chance.random() < 0.35:
                found.append(chance.choice(["EXCEPT", "except"]))
        return chance.choice([" ", ", ", ",", "\t"]).join(found)

    lines = []
    for _ in range(chance.choice([0, 1, 1, 2, 4])):
        line = words(DAEMONS) + chance.choice([":", " : "]) + words(CLIENTS) + chance.choice(OPTIONS)
        if chance.random() < 0.1:
            at = chance.randrange(len(line))
            line = f"{line[:at]}\\\n{line[at:]}"
        lines.append(chance.choice([line] * 8 + [f"# {line}", f" # {line}", "", line + " " * 2100]))
    return "\n".join(lines) + chance.choice(["\n"] * 8 + [""])


@pytest.mark.skipif(shutil.which("tcpdmatch", path="/usr/sbin") is None, reason="install the Debian package tcpd")
@pytest.mark.parametrize("seed", range(4))
def test_tcpdmatch_says_the_same(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    (tmp_path / "inetd.conf").touch()
    told = 0
    for _ in range(60):
        allow, deny = made_up(chance), made_up(chance)
        (tmp_path / "hosts.allow").write_text(allow)
        (tmp_path / "hosts.deny").write_text(deny)
        address = chance.choice(["192.0.2.1", "198.51.100.7", "2001:db8::1", "2001:db8::2"])
        command = ["/usr/sbin/tcpdmatch", "-d", "-i", "inetd.conf", "sshd", address]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
        served = decided(allow, deny, address, port=0)
        if served is not None:
            told += 1
            assert ("access:   granted" in said) is served, (allow, deny, address)
    assert told > 30


REAL = [
    ("sshd: ALL\n", ""),
    ("sshd: 127.0.0.2\n", ""),
    ("# nothing", ""),
    ("ALL: ALL\n", "sshd: 127.0.0.0/255.0.0.0\n"),
    ("sshd: ALL EXCEPT 127. EXCEPT 127.0.0.1\n", ""),
    ("sshd: 127.0.0.1/24\n", ""),
    ("sshd-session: ALL\n", ""),
    ("sshd@127.0.0.1: ALL\n", ""),
    ("{port}: ALL\n", ""),
    ("", "sshd: 127.0.0.1: nonsense\n"),
    ("", "sshd: ALL: deny\n"),
    ("ALL: ALL: allow\n", ""),
    ("ALL: ALL\n", "sshd: 0.0.0.0/0\n"),
]
CLOSING = [REAL[number] for number in (0, 2, 7, 8, 10, 12)]  # for everybody


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
@pytest.mark.parametrize("name", ["openssh-9.2", "openssh-10.6"])
def test_a_real_server_does_what_was_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with zoo.copy(name) as chroot, chroot.server(options={"MaxStartups": "100", "LogLevel": "DEBUG1"}) as server:
        about = About(monitors=("127.0.0.1",), ports=(server.port,))
        seen = collected(monkeypatch)
        assert not tcp_wrappers.find(seen, about).is_skipped
        files = seen.document["files"]
        for deny, allow in REAL:
            told = {"hosts.deny": deny.replace("{port}", str(server.port)), "hosts.allow": allow}
            for file, text in told.items():
                (chroot.root / "etc" / file).write_text(text)
                files[f"/proc/{server.pid}/root/etc/{file}"] = {"text": text, "size": len(text)}
            denied = bool(tcp_wrappers.find(seen, about).problems)
            assert is_denied(server) is denied, told
            is_closed = bool(tcp_wrappers.find(seen, About(ports=(server.port,))).problems)
            assert denied or not is_closed, told
            assert is_closed is ((deny, allow) in CLOSING), told


def is_denied(server: zoo.Server) -> bool:
    """Whether the server denies a connection: it logs that at once, and closes five seconds later without a word."""
    logged = len(server.log())
    with socket.create_connection((server.address, server.port), 30) as connection:
        while "Connection refused by tcp wrapper" not in server.log()[logged:]:
            if select.select([connection], [], [], 0.01)[0]:
                return not connection.recv(100)
        return True


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
def test_a_real_file_is_found_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    with zoo.copy("openssh-10.0") as chroot:
        (chroot.root / "etc" / "hosts.deny").write_text(f"sshd: {MONITOR}\n")
        with chroot.server() as server:
            finding = tcp_wrappers.find(collected(monkeypatch), About(monitors=(MONITOR,), ports=(server.port,)))
    assert sentences(finding) == [f"{DENY} line 1 denies the monitor {MONITOR}: sshd: {MONITOR}"]
