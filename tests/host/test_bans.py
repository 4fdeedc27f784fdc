"""The item bans: fail2ban, CrowdSec, sshguard and DenyHosts, real where they can be started."""

import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from check_ssh_exchange.diagnosis.cause import Cause, Confidence
from check_ssh_exchange.host import door as doors
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.banning import fail2ban, installed
from check_ssh_exchange.host.door import Door
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.findings import bans as item
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import bans as source
from check_ssh_exchange.plugin.nagios import Critical, Warn
from faults.ban import Fail2ban
from faults.package import environment, place, program
from faults.scenario import Skip
from tests.lab import network
from tests.lab.network import Namespace

AT = 1_800_000_000.0
MONITOR, STRANGER = "192.0.2.1", "198.51.100.7"
CLIENT = "/usr/bin/fail2ban-client"
SOCKET = "/run/fail2ban/fail2ban.sock"


def host(**more: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "schema": 1, "program": "check_sshd_local", "at": AT, "uid": 0, "host": {}, "samples": [], "since": 600.0,
        "files": {}, "stats": {}, "lists": {}, "links": {}, "commands": {},
    }  # fmt: skip
    return {**document, **more}


def said(document: dict[str, Any], *monitors: str) -> Finding:
    return item.find(Snapshot(document), About(monitors or (MONITOR,)))


def there(mode: int = stat.S_IFSOCK | 0o600, mtime: float = AT - 9000) -> dict[str, Any]:
    return {"size": 0, "mode": mode, "uid": 0, "gid": 0, "mtime": mtime, "ctime": mtime, "inode": 1, "device": 1}


# fail2ban-client -i of 1.0.2, as it answers the questions of banning/fail2ban.py.
ABSENT = "Sorry but the jail '{0}' does not exist"


def answers(**jails: dict[str, Any]) -> str:
    """What the client prints: its greeting, then a prompt and an answer for each question."""
    names = list(jails)
    said = [
        f"Status\n|- Number of jail:\t{len(names)}\n`- Jail list:\t{', '.join(names)}",
        repr([{name: list(jail.get("banned", ()))} for name, jail in jails.items()]),
    ]
    for name in fail2ban.USUAL:
        said += _of(name, jails[name]) if name in jails else [ABSENT.format(name)] * len(fail2ban.OF_A_JAIL)
    greeting = "Fail2Ban v1.0.2 reads log file that contains password failure report\n\n"
    return greeting + "".join(f"fail2ban> {one}\n" for one in said) + "fail2ban> \n"


def _of(name: str, jail: dict[str, Any]) -> list[str]:
    banned = " ".join(jail.get("banned", ()))
    reads = f"Journal matches:\t{jail['journal']}" if "journal" in jail else "File list:\t/var/log/auth.log"
    ignored = jail.get("ignored", ())
    marks = ["|-"] * (len(ignored) - 1) + ["`-"]
    return [
        f"Status for the jail: {name}\n|- Filter\n|  |- Currently failed:\t0\n"
        f"|  |- Total failed:\t{jail.get('failed', 0)}"
        f"\n|  `- {reads}\n`- Actions\n   |- Currently banned:\t{len(jail.get('banned', ()))}\n   |- Total banned:\t0\n"
        f"   `- Banned IP list:\t{banned}",
        "\n".join(["These IP addresses/networks are ignored:", *map(" ".join, zip(marks, ignored, strict=False))])
        if ignored else "No IP address/network is ignored",
        jail.get("command", ""),
        "600",
        jail.get("expression", r"^(?P<mlfid>sshd(?:\(\S+\))?(?:\[\d+\])?:)\s+(?P<content>.+)$"),
        "No journal match filter set",
        f"The jail {name} has the following actions:\n{jail.get('actions', 'iptables-multiport')}",
    ]  # fmt: skip


def with_fail2ban(out: str, *, lines: str = "", err: str = "", **more: Any) -> dict[str, Any]:
    document = host(stats={CLIENT: there(), SOCKET: there()}, **more)
    document["commands"]["fail2ban-client -i"] = {"code": 255, "out": out, "err": err}
    if lines:
        document["files"]["/var/log/auth.log"] = {
            "text": lines, "size": len(lines), "start": 0, "begin": 0, "end": len(lines), "identity": "x",
            "offsets": list(range(lines.count("\n"))),
        }  # fmt: skip
    return document


def failures(count: int, address: str = STRANGER, ago: float = 300) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(AT - ago))
    return "".join(f"{stamp} host sshd[{pid}]: Invalid user admin from {address} port {pid}\n" for pid in range(count))


def test_nothing_installed_is_nothing_to_look_at() -> None:
    assert said(host()).is_skipped


def test_bans_of_strangers_are_healthy() -> None:
    found = said(with_fail2ban(answers(sshd={"banned": [STRANGER, "2001:db8::7"], "failed": 40})))
    assert not found.problems
    assert found.summary == "2 addresses banned by fail2ban, not the monitor"
    assert [(figure.label, figure.value) for figure in found.figures] == [("banned", 2.0)]


def test_a_banned_monitor_is_critical_with_the_way_out() -> None:
    found = said(with_fail2ban(answers(sshd={"banned": [STRANGER, MONITOR], "failed": 5})))
    (problem,) = found.problems
    assert (problem.state, problem.cause, problem.confidence) == (Critical, Cause.BANNED, Confidence.CERTAIN)
    assert problem.sentence == "the monitor 192.0.2.1 is banned by fail2ban, jail sshd"
    assert found.remedies == (
        "fail2ban-client set sshd unbanip 192.0.2.1",
        "fail2ban-client set sshd addignoreip 192.0.2.1   # for good: ignoreip in /etc/fail2ban/jail.local",
    )


def test_a_network_of_recidive_holds_the_monitor_too() -> None:
    jails: dict[str, dict[str, Any]] = {
        "recidive": {"banned": ["192.0.2.0/24"], "actions": "iptables-allports"},
        "sshd": {"failed": 1},
    }
    (problem,) = said(with_fail2ban(answers(**jails))).problems
    assert problem.sentence == "the monitor 192.0.2.1 is banned with 192.0.2.0/24 by fail2ban, jail recidive"


def test_a_ban_from_another_port_is_only_said() -> None:
    found = said(with_fail2ban(answers(nginx={"banned": [MONITOR]}, sshd={"failed": 1})))
    assert not found.problems
    assert "192.0.2.1 is banned by the jail nginx, which is not about sshd's port" in found.evidence


def test_ipv6_is_compared_as_a_number() -> None:
    document = with_fail2ban(answers(sshd={"banned": ["2001:db8::7"], "failed": 1}))
    assert said(document, "2001:DB8:0:0::7").problems
    assert not said(document, "2001:db8::8").problems


def test_a_jail_that_counts_nothing_while_sshd_logs_failures_is_blind() -> None:
    (problem,) = said(with_fail2ban(answers(sshd={}), lines=failures(12))).problems
    assert (problem.state, problem.cause) == (Warn, None)
    assert problem.sentence == "the jail sshd is blind: sshd logged 12 failures, it has counted none"


@pytest.mark.parametrize(
    ("jail", "lines"),
    [
        ({"failed": 1}, failures(12)),
        ({}, failures(4)),
        ({}, failures(12, ago=5)),  # not read yet
        ({}, failures(12, ago=9500)),  # before it was started
        ({"ignored": ["198.51.100.0/24"]}, failures(12)),
        ({"ignored": ["monitor.example"]}, failures(12)),
        ({"command": "/usr/local/bin/known <ip>"}, failures(12)),
        ({}, failures(12, "127.0.0.1")),
        ({}, ""),
    ],
)
def test_a_jail_that_may_have_a_reason_is_not_blind(jail: dict[str, Any], lines: str) -> None:
    assert not said(with_fail2ban(answers(sshd=jail), lines=lines)).problems


def test_an_ignored_monitor_is_said() -> None:
    found = said(with_fail2ban(answers(sshd={"ignored": ["127.0.0.0/8", "192.0.2.0/28"], "failed": 3})))
    assert "jail sshd: 0 banned, 3 failures counted, reads /var/log/auth.log, ignores 192.0.2.1" in found.evidence


DOWN = "2026-11-28 05:56:23,204 fail2ban [1]: ERROR   Failed to access socket path: {0}. Is fail2ban running?\n"


def test_a_server_that_is_down_is_a_warning() -> None:
    document = with_fail2ban("Fail2Ban v1.0.2\n\nfail2ban> fail2ban> \n", err=DOWN.format(SOCKET))
    (problem,) = said(document).problems
    assert (problem.state, problem.sentence) == (Warn, "fail2ban is installed and its server does not run")


def test_a_server_that_is_not_to_run_is_no_problem() -> None:
    document = with_fail2ban("fail2ban> \n", err=DOWN.format(SOCKET))
    document["lists"]["/etc/systemd/system/multi-user.target.wants"] = {"names": ["ssh.service"]}
    assert not said(document).problems
    document["lists"]["/etc/systemd/system/multi-user.target.wants"] = {"names": ["fail2ban.service"]}
    assert said(document).problems


def test_without_root_the_right_is_named() -> None:
    document = host(uid=1000, stats={CLIENT: there(), SOCKET: there()})
    found = said(document)
    assert (found.problems, found.figures) == ((), ())
    assert found.unseen == ("root would show the bans of fail2ban",)
    assert (found.is_skipped, found.summary) == (True, "the bans may not be seen")
    # What another program tells is seen all the same.
    document["files"]["/var/lib/sshguard/blacklist.db"] = {"text": f"1800000000|100|4|{STRANGER}\n"}
    assert not said(document).is_skipped


# fail2banclient.py of 1.0.2: `import readline` fails where Python was built without it.
NO_READLINE = "2026-11-28 05:56:23,204 fail2ban [1]: ERROR   Readline not available\n"


def without_readline(*names: str, **banned: list[str]) -> dict[str, Any]:
    document = with_fail2ban("", err=NO_READLINE)
    told = {"status": f"Status\n|- Number of jail:\t{len(names)}\n`- Jail list:\t{', '.join(names)}\n",
            "banned": repr([{name: banned.get(name, [])} for name in names])}  # fmt: skip
    told |= {f"status {name}": _of(name, {"banned": banned.get(name, [])})[0] for name in names}
    for words, out in told.items():
        document["commands"][f"fail2ban-client {words}"] = {"code": 0, "out": out, "err": ""}
    return document


def test_a_client_without_readline_is_asked_one_by_one() -> None:
    found = said(without_readline("recidive", "sshd", sshd=[STRANGER, MONITOR]))
    assert [one.sentence for one in found.problems] == ["the monitor 192.0.2.1 is banned by fail2ban, jail sshd"]
    assert "jail sshd: 2 banned, 0 failures counted, reads /var/log/auth.log" in found.evidence
    assert said(without_readline("sshd", sshd=[STRANGER])).summary == "1 address banned by fail2ban, not the monitor"
    # Whom it ignores was not told: it may have a reason to have counted none.
    document = without_readline("sshd")
    document["files"]["/var/log/auth.log"] = with_fail2ban("", lines=failures(12))["files"]["/var/log/auth.log"]
    assert not said(document).problems


def test_jails_that_are_not_asked_for_are_still_looked_into() -> None:
    names = [f"j{number}" for number in range(9)]
    seen = Snapshot(without_readline(*names, "my-ssh"))
    assert [words[-1] for words in fail2ban.singles(seen)] == ["my-ssh", "j0", "j1", "j2", "j3"]
    document = without_readline(*names, "ssh-a", "ssh-b", "ssh-c", "ssh-d", "ssh-e", "ssh-f", **{"ssh-f": [MONITOR]})
    del document["commands"]["fail2ban-client status ssh-f"]
    assert [one.sentence for one in said(document).problems] == [
        "the monitor 192.0.2.1 is banned by fail2ban, jail ssh-f"
    ]


@pytest.mark.parametrize("err", [NO_READLINE, ""])
def test_a_client_that_tells_nothing_is_no_all_clear(err: str) -> None:
    found = said(with_fail2ban("", err=err))
    assert (found.is_skipped, found.problems, found.figures) == (True, (), ())
    assert found.unseen[0].startswith("a fail2ban-client that answers would show the bans of fail2ban")
    assert ("Readline not available" in found.unseen[0]) is bool(err)


# cscli decisions list -o json of 1.4.6, run here.
def decision(value: str, kind: str = "ban", scope: str = "Ip") -> dict[str, Any]:
    one = {"duration": "3h59m59.14s", "id": 3, "origin": "crowdsec", "scenario": "crowdsecurity/ssh-bf",
           "scope": scope, "simulated": False, "type": kind, "value": value}  # fmt: skip
    return {"capacity": 0, "created_at": "2026-11-28T06:09:00Z", "decisions": [one], "events": None, "id": 3}


def with_crowdsec(*alerts: dict[str, Any]) -> dict[str, Any]:
    document = host(stats={"/usr/bin/cscli": there()})
    out = json.dumps(list(alerts) or None)
    document["commands"]["cscli decisions list -o json"] = {"code": 0, "out": out, "err": ""}
    return document


def test_decisions_of_crowdsec() -> None:
    assert not said(with_crowdsec()).problems
    assert not said(with_crowdsec(decision(STRANGER), decision(MONITOR, "captcha"))).problems
    found = said(with_crowdsec(decision("192.0.2.0/24", scope="Range")))
    (problem,) = found.problems
    assert problem.sentence == "the monitor 192.0.2.1 is banned with 192.0.2.0/24 by CrowdSec"
    assert problem.confidence is Confidence.LIKELY  # no bouncer of a firewall is here
    assert found.remedies[0] == "cscli decisions delete --range 192.0.2.0/24"


def test_crowdsec_that_does_not_answer_is_only_said() -> None:
    document = with_crowdsec()
    document["commands"]["cscli decisions list -o json"] = {"code": 1, "out": "", "err": "level=fatal \x1b|refused"}
    found = said(document)
    assert not found.problems
    assert found.evidence == (r"cscli did not tell its decisions: level=fatal \x1b\x7crefused",)


# sshg-fw-nft-sets of 2.4.2, and sshguard.conf(5), BLACKLIST_FILE.
def test_the_set_and_the_blacklist_of_sshguard() -> None:
    place = {"family": "ip", "table": "sshguard"}
    match = {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@attackers"}
    ruleset = [
        {"table": {"family": "ip", "name": "sshguard"}},
        {"set": {**place, "name": "attackers", "type": "ipv4_addr", "flags": ["interval"],
                 "elem": [STRANGER, {"prefix": {"addr": "192.0.2.0", "len": 30}}]}},
        {"chain": {**place, "name": "blacklist", "type": "filter", "hook": "input", "prio": -10, "policy": "accept"}},
        {"rule": {**place, "chain": "blacklist", "expr": [{"match": match}, {"drop": None}]}},
    ]  # fmt: skip
    document = host()
    document["commands"]["nft -j list ruleset"] = {"code": 0, "out": json.dumps({"nftables": ruleset}), "err": ""}
    (problem,) = said(document).problems
    assert problem.sentence == "the monitor 192.0.2.1 is banned with 192.0.2.0/30 by sshguard (attackers)"
    document = host(files={"/var/lib/sshguard/blacklist.db": {"text": f"1800000000|100|4|{MONITOR}\nodd\n"}})
    (problem,) = said(document).problems
    assert problem.confidence is Confidence.LIKELY


# denyhosts.sourceforge.net, FAQ: a comment, then the line, one address each.
def test_lines_of_denyhosts() -> None:
    text = f"# DenyHosts: Sat Nov 28 06:00:00 2026 | sshd: {MONITOR}\nsshd: {MONITOR}\nsshd: .example.com\nALL: \x1b\n"
    document = host(files={"/etc/hosts.deny": {"text": text}})
    assert said(document).is_skipped
    document["stats"]["/etc/denyhosts.conf"] = there(stat.S_IFREG | 0o644)
    (problem,) = said(document).problems
    assert problem.sentence == "the monitor 192.0.2.1 is banned by DenyHosts (/etc/hosts.deny)"


@pytest.mark.parametrize(
    "out",
    ["", "\0", "fail2ban> " * 100000, "fail2ban> Jail list: \x1b[31m, ../x, a|b, sshd\nfail2ban> [{'sshd': ['\x1b']}]",
     "fail2ban> Jail list: sshd\nfail2ban> [{'sshd': [" + "'1.1.1.1', " * 50000,
     "fail2ban> Jail list: sshd\nfail2ban> x\nfail2ban> Total failed: " + "9" * 1000000, "\udcff fail2ban> \udcff"],
)  # fmt: skip
def test_hostile_answers_raise_nothing_and_stay_printable(out: str) -> None:
    found = said(with_fail2ban(out))
    for line in (found.summary, *found.evidence, *found.remedies):
        assert line.isascii()
        assert line.isprintable()


@pytest.mark.parametrize("out", ["{", "3", "[3]", '[{"decisions": 5}]', '[{"decisions": [null, {"type": "ban"}]}]'])
def test_hostile_decisions_raise_nothing(out: str) -> None:
    document = with_crowdsec()
    document["commands"]["cscli decisions list -o json"]["out"] = out
    assert not said(document).problems


# --- a real fail2ban


@pytest.fixture
def jail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Namespace, Fail2ban]]:
    """A fail2ban in a namespace; its client is what the door finds."""
    if reason := network.missing():
        pytest.skip(reason)
    try:
        program("fail2ban-server")
    except Skip as reason:
        pytest.skip(str(reason))
    unpacked = place() / "fail2ban-server/usr/bin/fail2ban-client"
    real = unpacked if unpacked.exists() else Path("/usr/bin/fail2ban-client")
    client = tmp_path / "bin/fail2ban-client"
    client.parent.mkdir()
    modules = environment()["PYTHONPATH"]
    words = f"/usr/bin/python3 {real} -c {tmp_path}/etc -s {tmp_path}/socket"
    client.write_text(f'#!/bin/sh\nexport PYTHONPATH={modules}\nexec {words} "$@"\n')
    client.chmod(0o755)
    monkeypatch.setitem(doors.ENVIRONMENT, "PATH", f"{client.parent}:{doors.ENVIRONMENT['PATH']}")
    # subprocess looks a program up in the PATH of its own environment.
    monkeypatch.setenv("PATH", f"{client.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(source, "CLIENTS", (str(client),))
    monkeypatch.setattr(item, "CLIENTS", (str(client),))
    monkeypatch.setattr(source, "ENABLED", ())
    for module in (source, item, installed):
        monkeypatch.setattr(module, "SOCKETS", (f"{tmp_path}/socket",))
    with Namespace() as pair:
        made = Fail2ban(pair, tmp_path)
        try:
            yield pair, made
        finally:
            made.stop()


def collected(*monitors: str) -> dict[str, Any]:
    door = Door()
    document = host(at=time.time(), monitors=list(monitors), **door.document)
    for _ in source.read(door, Snapshot(document)):
        door.run()
    return document


@pytest.mark.real
def test_a_real_fail2ban_tells_whom_it_has_banned(jail: tuple[Namespace, Fail2ban]) -> None:
    pair, server = jail
    server.start()
    assert said(collected()).summary == "no address banned"
    server.read("".join(f"Invalid user u{number} from {pair.client.ipv4[0]} port 1\n" for number in range(5)))
    document = collected()
    found = said(document)
    assert [one.sentence for one in found.problems] == ["the monitor 192.0.2.1 is banned by fail2ban, jail sshd"]
    assert not said(document, STRANGER).problems
    (counted,) = [line for line in found.evidence if line.startswith("jail sshd")]
    assert counted.startswith("jail sshd: 1 banned, 5 failures counted, reads /")
    server.stop()
    assert [one.sentence for one in said(collected()).problems] == ["fail2ban is installed and its server does not run"]


@pytest.mark.real
def test_a_real_fail2ban_without_readline_tells_it_too(jail: tuple[Namespace, Fail2ban], tmp_path: Path) -> None:
    pair, server = jail
    server.start()
    modules = tmp_path / "bare"
    modules.mkdir()
    (modules / "readline.py").write_text("raise ImportError\n")
    client = tmp_path / "bin/fail2ban-client"
    client.write_text(client.read_text().replace("PYTHONPATH=", f"PYTHONPATH={modules}:"))
    assert said(collected()).summary == "no address banned"
    server.read("".join(f"Invalid user u{number} from {pair.client.ipv4[0]} port 1\n" for number in range(5)))
    document = collected()
    assert "Readline not available" in str(document["commands"]["fail2ban-client -i"])
    found = said(document)
    assert [one.sentence for one in found.problems] == ["the monitor 192.0.2.1 is banned by fail2ban, jail sshd"]
    assert not said(document, STRANGER).problems
    server.stop()
    assert [one.sentence for one in said(collected()).problems] == ["fail2ban is installed and its server does not run"]


@pytest.mark.real
def test_a_real_fail2ban_that_does_not_know_the_tag_is_blind(jail: tuple[Namespace, Fail2ban]) -> None:
    _, server = jail
    server.start()
    document = collected()
    lines = failures(12)
    document["at"] = AT
    document["stats"][str(server.log.parent / "socket")] = there()
    document["files"]["/var/log/auth.log"] = {
        "text": lines, "size": len(lines), "start": 0, "begin": 0, "end": len(lines), "identity": "x",
        "offsets": list(range(12)),
    }  # fmt: skip
    (problem,) = said(document).problems
    assert problem.sentence == "the jail sshd is blind: sshd logged 12 failures, it has counted none"
