"""The item firewall: what it says of rules, against what a real kernel does with a connection."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host.about import About
from check_ssh_exchange.host.finding import Finding
from check_ssh_exchange.host.findings.firewall import find
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.plugin.nagios import Critical, Warn
from tests.lab import network, zoo
from tests.lab.network import Host, Namespace, run

# The collecting half, run where the rules are.
COLLECT = """
import json
from check_ssh_exchange.host.door import Door
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import firewall
door = Door()
seen = Snapshot({"uid": 0, "host": {}, **door.document})
door.read("/proc/self/status")
door.link("/proc/self/ns/net")
for _ in firewall.read(door, seen):
    door.run()
print(json.dumps(door.document))
"""
LISTEN = """
import socket
with socket.create_server(("::", 22), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100) as server:
    print("ready", flush=True)
    while True:
        server.accept()[0].close()
"""
CONNECT = """
import socket, sys
for pair in sys.argv[1:]:
    source, target, seconds = pair.split(",")
    with socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET) as one:
        one.settimeout(float(seconds))
        one.bind((source, 0))
        try:
            one.connect((target, 22))
            print("served")
        except OSError:
            print("refused")
"""
# For an answer that must come, however busy the machine is; and for one that must not.
PATIENT, SILENT = 30, 0.4
STRANGER = "198.51.100.7"
# What sshd's listener looks like in /proc: a socket of every address, port 22, in both families.
LISTENING = "  sl  local_address rem_address st\n   0: {} {} 0A 00000000:00000000 00:00000000 00000000 0 0 77 1\n"
PROC = {
    "/proc/7/stat": "7 (sshd) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0",
    "/proc/7/comm": "sshd\n",
    "/proc/7/cmdline": "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups\0",
    "/proc/7/net/tcp": LISTENING.format("00000000:0016", "00000000:0000"),
    "/proc/7/net/tcp6": LISTENING.format(f"{'0' * 32}:0016", f"{'0' * 32}:0000"),
    "/proc/self/status": "CapEff:\t000001ffffffffff\n",
}


def snapshot(document: dict[str, Any] | None = None, **commands: str) -> Snapshot:
    """A host with one sshd on port 22, and what its tools print; an underscore in a name stands for a dash."""
    made: dict[str, Any] = {"schema": 1, "program": "check_sshd_local", "at": 1e9, "uid": 0, "host": {}, "samples": []}
    made |= {"files": {}, "stats": {}, "lists": {}, "links": {}, "commands": {}} | (document or {})
    made["files"] = {**{path: {"text": text} for path, text in PROC.items()}, **made["files"]}
    made["lists"] = {**made["lists"], "/proc": {"names": ["7"]}}
    for name, text in commands.items():
        key = "nft -j list ruleset" if name == "nft" else name.replace("_", "-")
        made["commands"][key] = {"code": 0, "out": text, "err": ""}
    return Snapshot(made)


def said(seen: Snapshot, *monitors: str) -> Finding:
    return find(seen, About(monitors))


def ruleset(*rules: list[Any], policy: str = "accept", **more: Any) -> str:
    """Nft's JSON of a table with one chain of input and these rules."""
    entries: list[Any] = [
        {"metainfo": {"json_schema_version": 1}},
        {"table": {"family": "inet", "name": "filter", "handle": 1}},
        *[{kind: {"family": "inet", "table": "filter", **body}} for kind, body in more.items()],
        {"chain": {"family": "inet", "table": "filter", "name": "input", "type": "filter", "hook": "input", "prio": 0,
                   "policy": policy}},
    ]  # fmt: skip
    entries += [{"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": one}} for one in rules]
    return json.dumps({"nftables": entries})


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


SADDR = {"payload": {"protocol": "ip", "field": "saddr"}}
DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}


# --- a kernel's own answer

NFT = {
    "nothing": "",
    "an accept before a policy": "policy drop; tcp dport 22 accept",
    "a policy alone": "policy drop;",
    "a policy, other ports": "policy drop; tcp dport { 80, 443 } accept",
    "a policy, a range": "policy drop; tcp dport 20-30 accept",
    "not this port": "policy drop; tcp dport != 22 accept",
    "a set": "ip saddr @bad drop",
    "a set of networks": "ip saddr @nets drop",
    "not in a set": "ip saddr != @bad tcp dport 22 drop",
    "a set of pairs": "ip saddr . tcp dport @pairs reject",
    "pairs in the rule": "ip saddr . tcp dport { 192.0.2.11 . 22, 192.0.2.1 . 80 } drop",
    "a map": "ip saddr vmap @verdicts",
    "a map of ports": "tcp dport vmap { 22 : jump ssh, 80 : drop }",
    "a map of the protocol": "meta l4proto vmap { tcp : jump ssh, udp : drop }",
    "jump and return": "ip saddr 192.0.2.0/28 jump back; tcp dport 22 reject with tcp reset",
    "goto leaves": "ip saddr 192.0.2.1 goto back; tcp dport 22 drop",
    "established first": "policy drop; ct state established,related accept; ct state new tcp dport 22 accept",
    "established by map": "policy drop; ct state vmap { established : accept }; ip saddr 192.0.2.1 accept",
    "only loopback": "policy drop; iif lo accept",
    "this interface": "policy drop; iifname \"link*\" tcp dport 22 accept",
    "another interface": "iifname { \"eth0\", \"lo\" } drop",
    "SYN": "tcp flags & (fin|syn|rst|ack) == syn ip saddr 192.0.2.11 drop",
    "no SYN": "tcp flags & (fin|syn|rst|ack) != syn drop",
    "SYN among": "tcp flags syn ip saddr 192.0.2.1 drop",
    "a range": "ip saddr 192.0.2.5-192.0.2.20 drop",
    "a negated network": "ip saddr != 192.0.2.0/29 tcp dport 22 drop",
    "a negated set": "ip saddr != { 192.0.2.1, 10.0.0.0/8 } drop",
    "one family": "meta nfproto ipv4 tcp dport 22 drop",
    "IPv6": "ip6 saddr 2001:db8::10/124 drop",
    "IPv6 set": "ip6 saddr @six reject with icmpv6 port-unreachable",
    "within a rate": "policy drop; tcp dport 22 limit rate 100/second accept",
    "over a rate": "tcp dport 22 limit rate over 400/minute burst 100 packets drop",
    "a meter": "tcp dport 22 meter slow { ip saddr limit rate over 100/second burst 50 packets } drop",
    "a count": "tcp dport 22 ct count over 50 reject",
    "UDP": "policy drop; udp dport 22 accept",
    "ICMP": "meta l4proto icmp drop; ip protocol icmp drop",
    "th": "th dport { 22, 53 } ip saddr 192.0.2.1 drop",
    "less than": "policy drop; tcp dport < 100 accept",
    "fib": "policy drop; fib daddr type local tcp dport 22 accept",
    "counted and logged": "tcp dport 22 counter log prefix \"x\" ip saddr 192.0.2.11 counter drop",
    "a timeout": "ip saddr @timed drop",
    "by name": "tcp dport ssh ip saddr 192.0.2.1 drop",
}  # fmt: skip
SETS = """
set bad { type ipv4_addr; elements = { 192.0.2.1, 203.0.113.9 }; }
set nets { type ipv4_addr; flags interval; elements = { 192.0.2.8/29, 203.0.113.5-203.0.113.9 }; }
set pairs { type ipv4_addr . inet_service; elements = { 192.0.2.1 . 22, 192.0.2.11 . 80 }; }
set six { type ipv6_addr; elements = { 2001:db8::11 }; }
set timed { type ipv4_addr; flags timeout; elements = { 192.0.2.11 timeout 10m }; }
map verdicts { type ipv4_addr : verdict; elements = { 192.0.2.1 : jump ssh, 192.0.2.11 : accept }; }
chain ssh {
 ip saddr 192.0.2.1 tcp dport 22 drop
}
chain back {
 ip saddr 192.0.2.1 return
 accept
}
"""
IPTABLES = {
    "a ban": ["-A INPUT -s 192.0.2.1 -p tcp --dport 22 -j DROP"],
    "a network": ["-A INPUT -s 192.0.2.8/29 -j REJECT"],
    "all but one": ["-A INPUT ! -s 192.0.2.1 -p tcp --dport 22 -j DROP"],
    "several ports": ["-A INPUT -p tcp -m multiport --dports 22,80 -s 192.0.2.11 -j DROP"],
    "not these ports": ["-A INPUT -p tcp -m multiport ! --dports 22,80 -j DROP"],
    "a chain": ["-N f2b-sshd", "-A f2b-sshd -s 192.0.2.1 -j REJECT", "-A f2b-sshd -j RETURN",
                "-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd"],
    "goto": ["-N one", "-A one -s 192.0.2.1 -j RETURN", "-A one -j ACCEPT", "-A INPUT -g one", "-P INPUT DROP"],
    "a policy": ["-P INPUT DROP"],
    "a policy and state": ["-P INPUT DROP", "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
                           "-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -s 192.0.2.1 -j ACCEPT"],
    "a range": ["-A INPUT -m iprange --src-range 192.0.2.2-192.0.2.20 -p tcp --dport 22 -j DROP"],
    "SYN": ["-A INPUT -p tcp --syn --dport 22 -s 192.0.2.11 -j REJECT --reject-with tcp-reset"],
    "no SYN": ["-A INPUT -p tcp ! --syn -m conntrack --ctstate NEW -j DROP"],
    "raw": ["-t raw -A PREROUTING -s 192.0.2.11 -j DROP"],
    "mangle": ["-t mangle -A PREROUTING -s 192.0.2.1 -p tcp --dport 22 -j DROP"],
    "an interface": ["-A INPUT -i link+ -s 192.0.2.1 -j DROP"],
    "another interface": ["-A INPUT ! -i link0 -j DROP", "-A INPUT -i lo -j DROP"],
    "recent, few": ["-A INPUT -p tcp --dport 22 -m recent --set --name SSH",
                    "-A INPUT -p tcp --dport 22 -m recent --update --seconds 60 --hitcount 18 --name SSH -j DROP"],
    "connlimit": ["-A INPUT -p tcp --dport 22 -m connlimit --connlimit-above 40 -j DROP"],
    "hashlimit": ["-A INPUT -p tcp --dport 22 -m hashlimit --hashlimit-above 900/min --hashlimit-burst 50"
                  " --hashlimit-mode srcip --hashlimit-name s -j DROP"],
    "limit": ["-P INPUT DROP", "-A INPUT -p tcp --dport 22 -m limit --limit 90/sec --limit-burst 50 -j ACCEPT",
              "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT"],
    "a comment and a log": ["-A INPUT -s 192.0.2.1 -j LOG --log-prefix 'a -j ACCEPT '",
                            "-A INPUT -s 192.0.2.1 -m comment --comment 'it is -s 10.0.0.1' -j DROP"],
    "UDP": ["-A INPUT -p udp --dport 22 -j DROP"],
    "local": ["-A INPUT -m addrtype --dst-type LOCAL -p tcp --dport 22 -s 192.0.2.11 -j DROP"],
}  # fmt: skip


@pytest.fixture(scope="module")
def pair() -> Iterator[Namespace]:
    """Two namespaces, with something that listens on port 22 of the second."""
    import subprocess

    if reason := network.missing():
        pytest.skip(reason)
    with Namespace() as made:
        command = [*made.server.prefix, sys.executable, "-c", LISTEN]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            server.stdout.readline()
            yield made
            server.kill()


def sources(pair: Namespace) -> list[tuple[str, str]]:
    return [(own, pair.server.ipv4[0]) for own in pair.client.ipv4] + [
        (own, pair.server.ipv6[0]) for own in pair.client.ipv6
    ]


def kernels(pair: Namespace, expected: dict[str, str]) -> dict[str, str]:
    """What the kernel does with a connection from each address of the client; `expected` is how long to wait for it."""
    pairs = sources(pair)
    words = [f"{own},{to},{PATIENT if expected[own] == 'served' else SILENT}" for own, to in pairs]
    told = pair.client.run(sys.executable, "-c", CONNECT, *words).split()
    return dict(zip((own for own, _ in pairs), told, strict=True))


def ours(pair: Namespace, seen: Snapshot) -> dict[str, str]:
    """What the item says of each."""
    return {
        own: "refused" if any(one.state is Critical for one in said(seen, own).problems) else "served"
        for own, _ in sources(pair)
    }


def collected(host: Host) -> Snapshot:
    return snapshot(json.loads(host.python(COLLECT)))


@pytest.mark.real
@pytest.mark.parametrize("name", NFT)
def test_nft_rules_do_what_the_kernel_does(pair: Namespace, name: str) -> None:
    rules = [rule.strip() for rule in NFT[name].split(";")] if "{" not in NFT[name] else _split(NFT[name])
    policy = [f"{rules.pop(0)};"] if rules[0].startswith("policy") else []
    chain = ["chain input {", "type filter hook input priority 0;", *policy, *_first(name), *rules, "}"]
    run(*pair.server.prefix, "nft", "-f", "-", text="\n".join(["table inet test {", SETS, *chain, "}", ""]))
    try:
        expected = ours(pair, collected(pair.server))
        assert expected == kernels(pair, expected)
    finally:
        pair.server.run("nft", "flush", "ruleset")


def _first(name: str) -> list[str]:
    """Where everything but a SYN is dropped, neighbours must still be found."""
    return (
        ["meta l4proto ipv6-icmp accept", "ct state established accept"]
        if "no SYN" not in name
        else ["meta l4proto ipv6-icmp accept"]
    )


def _split(text: str) -> list[str]:
    found, depth = [""], 0
    for one in text:
        depth += (one == "{") - (one == "}")
        if one == ";" and not depth:
            found.append("")
        else:
            found[-1] += one
    return [one.strip() for one in found]


@pytest.mark.real
@pytest.mark.parametrize("tool", ["iptables", "iptables-legacy"])
@pytest.mark.parametrize("name", IPTABLES)
def test_iptables_rules_do_what_the_kernel_does(pair: Namespace, tool: str, name: str) -> None:
    import shlex

    try:
        for rule in IPTABLES[name]:
            pair.server.run(tool, *shlex.split(rule))
        expected = ours(pair, collected(pair.server))
        assert expected == kernels(pair, expected)
    finally:
        _clear(pair.server, tool)


def _clear(host: Host, tool: str) -> None:
    for table in ("filter", "raw", "mangle"):
        for words in (["-F"], ["-X"]):
            host.run(tool, "-t", table, *words)
    host.run(tool, "-P", "INPUT", "ACCEPT")
    host.run("nft", "flush", "ruleset")


# --- lists that count

UFW = """# Generated by iptables-save v1.8.9 (nf_tables) on Sat Nov 28 2026
*filter
:INPUT DROP [0:0]
:ufw-user-input - [0:0]
:ufw-user-limit - [0:0]
:ufw-user-limit-accept - [0:0]
-A INPUT -j ufw-user-input
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --set --name DEFAULT --mask \
255.255.255.255 --rsource
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 \
--name DEFAULT --mask 255.255.255.255 --rsource -j ufw-user-limit
-A ufw-user-input -p tcp -m tcp --dport 22 -j ufw-user-limit-accept
-A ufw-user-limit -m limit --limit 3/min -j LOG --log-prefix "[UFW LIMIT BLOCK] "
-A ufw-user-limit -j REJECT --reject-with icmp-port-unreachable
-A ufw-user-limit-accept -j ACCEPT
COMMIT
"""  # ufw 0.36.2, user.rules after `ufw limit 22/tcp`


def recents(*ages: float, address: str = "192.0.2.1", uptime: int = 90000, rate: int = 250) -> dict[str, Any]:
    """The list DEFAULT with connections so many seconds ago, and the clock to read it by."""
    now = 2**32 + (uptime - 300) * rate
    stamps = [int(now - age * rate) for age in ages]
    row = f"src={address} ttl: 63 last_seen: {max(stamps)} oldest_pkt: {len(stamps)} {', '.join(map(str, stamps))}\n"
    return {
        "files": {
            "/proc/net/xt_recent/DEFAULT": {"text": row},
            "/proc/schedstat": {"text": f"version 15\ntimestamp {now}\n"},
            "/proc/uptime": {"text": f"{uptime}.17 170000.00\n"},
        },
        "lists": {"/proc/net/xt_recent": {"names": ["DEFAULT"]}},
    }


def test_the_limit_of_ufw_is_evidence_alone() -> None:
    found = said(snapshot(recents(1, 2, 3), iptables_save=UFW), "192.0.2.1")
    assert not found.problems
    assert found.summary == "1 rule on port 22 limits new connections"
    assert any("recent --update --seconds 30 --hitcount 6" in line for line in found.evidence)
    assert any("with 3 connections, 3 of them in the last minute" in line for line in found.evidence)


@pytest.mark.parametrize("rate", [100, 250, 1000])
def test_a_monitor_over_the_hits_of_a_list_is_limited(rate: int) -> None:
    seen = snapshot(recents(1, 2, 3, 4, 5, 6, rate=rate), iptables_save=UFW)
    (problem,) = said(seen, "192.0.2.1").problems
    assert (problem.state, problem.cause) == (Critical, Cause.RATE_LIMIT)
    assert problem.sentence == (
        "the monitor 192.0.2.1 is over 6 connections in 30 s in the list DEFAULT of iptables' module recent: "
        "port 22 is closed to it"
    )
    assert said(seen, "192.0.2.1").remedies == (
        "echo -192.0.2.1 > /proc/net/xt_recent/DEFAULT   # forget its connections",
        "ufw prepend allow proto tcp from 192.0.2.1 to any port 22   # before every other rule",
    )
    assert not said(seen, "192.0.2.9").problems


def test_connections_that_are_long_ago_are_not_over_it() -> None:
    assert not said(snapshot(recents(1, 2, 3, 40, 50, 60), iptables_save=UFW), "192.0.2.1").problems


def test_without_a_clock_a_list_is_only_quoted() -> None:
    lists = recents(1, 2, 3, 4, 5, 6)
    del lists["files"]["/proc/schedstat"]
    assert not said(snapshot(lists, iptables_save=UFW), "192.0.2.1").problems


def test_without_root_the_lists_of_recent_are_all_there_is() -> None:
    lists = recents(1, 2)
    lists["files"]["/proc/self/status"] = {"text": "CapEff:\t0000000000000000\n"}
    found = said(snapshot(lists), "192.0.2.1")
    assert not found.problems
    assert (found.is_skipped, found.summary) == (True, "the rules may not be seen")
    assert found.unseen == ("root, or CAP_NET_ADMIN, would show the rules of nftables and iptables",)
    assert found.evidence[0].startswith("the monitor 192.0.2.1 is in the list DEFAULT of iptables' module recent")


@pytest.mark.real
def test_a_real_list_is_over_when_the_kernel_drops(pair: Namespace) -> None:
    rule = "-p tcp --dport 22 -m conntrack --ctstate NEW -m recent --name SSH"
    try:
        pair.server.run("iptables", "-A", "INPUT", *rule.split(), "--set")
        pair.server.run(
            "iptables", "-A", "INPUT", *rule.split(), "--update", "--seconds", "60", "--hitcount", "4", "-j", "DROP"
        )
        for expected in ("served", "served", "served", "refused"):
            by_ipv4, by_ipv6 = dict.fromkeys(pair.client.ipv4, expected), dict.fromkeys(pair.client.ipv6, "served")
            assert kernels(pair, by_ipv4 | by_ipv6)["192.0.2.1"] == expected
        assert ours(pair, collected(pair.server))["192.0.2.1"] == "refused"
    finally:
        _clear(pair.server, "iptables")


# --- what is said


def test_no_rule_is_well() -> None:
    found = said(snapshot(nft=ruleset()), "192.0.2.1")
    assert (found.summary, found.problems, found.evidence) == ("no rule on port 22 limits or drops", (), ())


def test_no_packet_filter_is_nothing_to_look_at() -> None:
    assert said(snapshot()).is_skipped


def test_a_monitor_in_a_set_is_banned() -> None:
    bad = {"name": "f2b-sshd", "type": "ipv4_addr", "elem": ["192.0.2.1", "198.51.100.7"]}
    text = ruleset([match(DPORT, 22), match(SADDR, "@f2b-sshd"), {"reject": None}], set=bad)
    found = said(snapshot(nft=text), "192.0.2.1")
    (problem,) = found.problems
    assert (problem.state, problem.cause) == (Critical, Cause.BANNED)
    assert problem.sentence == (
        "the monitor 192.0.2.1 is in the set f2b-sshd of nft table inet filter, which rejects it"
    )
    assert found.remedies[0] == "fail2ban-client set sshd unbanip 192.0.2.1"
    assert not said(snapshot(nft=text), "192.0.2.2").problems


def test_a_set_that_the_rules_fill_is_a_rate_limit() -> None:
    slow = {"op": "add", "elem": SADDR, "set": "@slow",
            "stmt": [{"limit": {"rate": 3, "burst": 1, "per": "minute", "inv": True}}]}  # fmt: skip
    text = ruleset(
        [match(SADDR, "@slow"), {"drop": None}],
        [match(DPORT, 22), {"set": slow}, {"drop": None}],
        set={"name": "slow", "type": "ipv4_addr", "elem": [{"elem": {"val": "192.0.2.1", "expires": 5}}]},
    )
    found = said(snapshot(nft=text), "192.0.2.1")
    assert found.problems[0].cause is Cause.RATE_LIMIT
    assert found.remedies == ("nft delete element inet filter slow '{ 192.0.2.1 }'   # take it out of the set",)
    other = said(snapshot(nft=text), "192.0.2.2")
    assert other.evidence == (
        "limits new connections: nft table inet filter, chain input: tcp dport 22 add @slow { ip saddr limit rate over "
        "3/minute burst 1 packets } drop; a run of five handshakes is over it",
    )


def test_a_firewall_that_lets_nobody_in_is_a_warning() -> None:
    found = said(snapshot(nft=ruleset(policy="drop")))
    (problem,) = found.problems
    assert (problem.state, problem.cause) == (Warn, Cause.FILTERED)
    assert problem.sentence == (
        "the firewall lets nobody in to port 22: nft table inet filter, chain input (policy drop)"
    )
    assert found.remedies == (
        "nft insert rule inet filter input tcp dport '{ 22 }' accept   # lets everybody in, before every other rule",
    )


def test_one_family_that_is_closed_is_told() -> None:
    rules = ruleset([match({"meta": {"key": "nfproto"}}, "ipv6"), {"drop": None}])
    found = said(snapshot(nft=rules))
    assert (found.problems, found.summary) == ((), "IPv6 is closed to everyone")


def test_nobody_is_no_monitor_either() -> None:
    closed = snapshot(nft=ruleset(policy="drop"))
    found = said(closed, "192.0.2.7")
    (problem,) = found.problems
    assert (problem.state, problem.cause) == (Critical, Cause.FILTERED)
    assert found.remedies == (
        "nft insert rule inet filter input ip saddr 192.0.2.7 tcp dport '{ 22 }' accept   # before every other rule",
    )
    # A socket of systemd on [::] serves IPv4 too, which no row of /proc/net/tcp tells.
    mapped = snapshot({"files": {"/proc/7/net/tcp": {"text": ""}}}, nft=ruleset(policy="drop"))
    (problem,) = said(mapped, "192.0.2.7").problems
    assert problem.state is Critical
    assert problem.sentence.startswith("the firewall lets nobody in to port 22")


def test_a_monitor_on_this_host_comes_in_by_lo() -> None:
    found = said(snapshot(nft=ruleset([match({"meta": {"key": "iifname"}}, "lo"), {"accept": None}], policy="drop")),
                 "127.0.0.1")  # fmt: skip
    assert [one.state for one in found.problems] == [Warn]
    assert "the monitor 127.0.0.1 is this host itself and comes in by lo" in found.evidence


@pytest.mark.parametrize(
    ("table", "rule", "remedy"),
    [
        ("filter", ":INPUT DROP [0:0]", "iptables -I INPUT -s 192.0.2.7 -p tcp --dport 22 -j ACCEPT"),
        ("raw", ":PREROUTING DROP [0:0]",
         "iptables -t raw -I PREROUTING -s 192.0.2.7 -p tcp --dport 22 -j ACCEPT"),
    ],
)  # fmt: skip
def test_the_remedy_goes_where_the_refusal_is(table: str, rule: str, remedy: str) -> None:
    text = f"# Generated by iptables-save v1.8.9\n*{table}\n{rule}\nCOMMIT\n"
    found = said(snapshot(iptables_save=text), "192.0.2.7")
    assert found.remedies == (f"{remedy}   # before every other rule",)


def test_a_rule_against_others_is_counted() -> None:
    rule = [match(SADDR, "192.0.2.7"), match(DPORT, 22), {"drop": None}]
    for monitors in ((), ("192.0.2.1",)):
        found = said(snapshot(nft=ruleset(rule)), *monitors)
        assert not found.problems
        assert found.summary == "1 rule drops or rejects some addresses"
        assert found.evidence == (
            "turns some away: nft table inet filter, chain input: ip saddr 192.0.2.7 tcp dport 22 drop",
        )
    other = [match(SADDR, "198.51.100.0"), {"reject": None}]
    assert said(snapshot(nft=ruleset(rule, other))).summary == "2 rules drop or reject some addresses"
    assert said(snapshot(nft=ruleset([match(SADDR, "192.0.2.7"), match(DPORT, 80), {"drop": None}]))).summary == (
        "no rule on port 22 limits or drops"
    )


LOOPBACK_ALONE = {
    "/proc/7/net/tcp": {"text": LISTENING.format("0100007F:0016", "00000000:0000")},
    "/proc/7/net/tcp6": {"text": ""},
}


def test_on_loopback_alone_the_rules_of_lo_count() -> None:
    closed = said(snapshot({"files": LOOPBACK_ALONE}, nft=ruleset([match(DPORT, 22), {"reject": None}])))
    assert [(one.state, one.sentence) for one in closed.problems] == [
        (Warn, "the firewall lets nobody in to port 22: nft table inet filter, chain input")
    ]
    by_lo = [match({"meta": {"key": "iifname"}}, "lo"), {"accept": None}]
    assert not said(snapshot({"files": LOOPBACK_ALONE}, nft=ruleset(by_lo, policy="drop"))).problems
    some = ruleset([match(SADDR, "192.0.2.7"), match(DPORT, 22), {"drop": None}])
    assert said(snapshot({"files": LOOPBACK_ALONE}, nft=some)).summary == "1 rule drops or rejects some addresses"
    elsewhere = ruleset(by_lo, [match(DPORT, 22), {"drop": None}])
    found = said(snapshot({"files": LOOPBACK_ALONE}, nft=elsewhere))
    assert (found.problems, found.summary) == ((), "1 rule drops or rejects some addresses")


NAMESPACES = {
    "/proc/7/ns/net": {"target": "net:[4026532000]"},
    "/proc/self/ns/net": {"target": "net:[4026531840]"},
}


def test_the_rules_of_another_namespace_are_not_known() -> None:
    found = said(snapshot({"links": NAMESPACES}, nft=ruleset()), "192.0.2.7")
    assert (found.is_skipped, found.summary) == (True, "sshd is in another network namespace")
    assert found.unseen == (
        "`nsenter -t 7 -n check_sshd_local`, by root, would show the rules of the network namespace of "
        "sshd on 0.0.0.0:22 [::]:22",
    )


def test_a_listing_that_was_refused_is_no_all_clear() -> None:
    seen = snapshot()
    # nft 0.9 without JSON: src/libnftables.c
    err = "Error: JSON support not compiled-in.\n"
    seen.document["commands"]["nft -j list ruleset"] = {"code": 1, "out": "", "err": err}
    found = said(seen, "192.0.2.1")
    assert found.is_skipped
    assert found.summary == "the rules are not shown by nft: Error: JSON support not compiled-in."
    # A kernel without nf_tables: mnl.c, "Unable to initialize Netlink socket".
    err = "netlink: Error: Unable to initialize Netlink socket: Protocol not supported\n"
    seen.document["commands"]["nft -j list ruleset"] = {"code": 1, "out": "", "err": err}
    assert said(seen, "192.0.2.1").summary == "no rule on port 22 limits or drops"


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
def test_a_real_server_in_another_namespace() -> None:
    if reason := network.missing():
        pytest.skip(reason)
    command = [sys.executable, "-m", "check_ssh_exchange.host", "--only", "firewall", "-vv", "--monitor", "192.0.2.1"]
    environment = ["env", f"PYTHONPATH={network.ROOT}"]
    with Namespace() as pair, zoo.server("openssh-9.2", prefix=pair.server.prefix, port=2298) as server:
        with pair.server.nft("input", "ip saddr 192.0.2.1 tcp dport 2298 drop"):
            outside = shown([*environment, *command, "-p", "2298"])
            assert "firewall: skipped - sshd is in another network namespace" in outside
            assert f"nsenter -t {server.pid} -n check_sshd_local" in outside
            inside = shown(["nsenter", "-t", str(server.pid), "-n", *environment, *command, "-p", "2298"])
            assert "1 rule drops or rejects some addresses" in inside
        with pair.server.nft("input", "tcp dport 2298 reject"):
            inside = shown(["nsenter", "-t", str(server.pid), "-n", *environment, *command, "-p", "2298"])
            assert "the firewall lets nobody in to port 2298" in inside


@pytest.mark.real
def test_the_remedies_open_what_was_closed(pair: Namespace) -> None:
    """What is told for nobody, and for one monitor, lets in those it names."""
    for monitors, served in (((), {"192.0.2.1", "192.0.2.11"}), (("192.0.2.1",), {"192.0.2.1"})):
        with pair.server.nft("input", "policy drop; meta l4proto ipv6-icmp accept"):
            found = said(collected(pair.server), *monitors)
            assert [one.state for one in found.problems] == [Critical if monitors else Warn]
            for remedy in found.remedies:
                pair.server.run("sh", "-c", remedy)
            expected = {own: "served" if own in served else "refused" for own, _ in sources(pair)}
            answers = kernels(pair, expected)
            assert {own for own in pair.client.ipv4 if answers[own] == "served"} == served


def shown(command: list[str]) -> str:
    import subprocess

    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/").stdout


def test_a_family_that_is_closed_is_only_said() -> None:
    found = said(snapshot(nft=ruleset([match({"meta": {"key": "nfproto"}}, "ipv6"), {"drop": None}])))
    assert not found.problems
    assert found.evidence[0].startswith("IPv6 from anywhere is turned away")


def test_what_nobody_can_know_is_quoted() -> None:
    # xt_geoip of xtables-addons 3.23, its man page: a module that is not known here.
    rule = "-A INPUT -p tcp -m tcp --dport 22 -m geoip ! --source-country DE -j DROP"
    text = f"# Generated by iptables-save v1.8.9 (nf_tables)\n*filter\n:INPUT ACCEPT [0:0]\n{rule}\nCOMMIT\n"
    found = said(snapshot(iptables_save=text), "192.0.2.1")
    assert not found.problems
    assert found.summary == "1 rule on port 22 may turn somebody away"
    assert "--source-country DE" in found.evidence[0]


def test_a_set_of_ipset_is_looked_into() -> None:
    text = (
        "# Generated by iptables-save v1.8.9 (nf_tables)\n*filter\n:INPUT ACCEPT [0:0]\n"
        "-A INPUT -m set --match-set bad src -j DROP\nCOMMIT\n"
    )
    seen = snapshot(iptables_save=text)
    assert not said(seen, "192.0.2.1").problems  # its contents are not known
    # ipset(8) 7.17
    sets = "create bad hash:net family inet hashsize 1024 maxelem 65536\nadd bad 192.0.2.0/28 timeout 599\n"
    seen.document["commands"]["ipset save"] = {"code": 0, "out": sets, "err": ""}
    assert said(seen, "192.0.2.1").problems[0].cause is Cause.BANNED
    assert not said(seen, "192.0.2.77").problems


# firewalld 1.3 (firewalld.org, "nftables backend"): zones by interface, a rich rule with a limit.
FIREWALLD = {
    "nftables": [
        {"table": {"family": "inet", "name": "firewalld"}},
        {"chain": {"family": "inet", "table": "firewalld", "name": "filter_INPUT", "type": "filter", "hook": "input",
                   "prio": 10, "policy": "accept"}},
        {"chain": {"family": "inet", "table": "firewalld", "name": "filter_IN_public"}},
        {"rule": {"family": "inet", "table": "firewalld", "chain": "filter_INPUT", "expr": [
            {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}},
            {"accept": None}]}},
        {"rule": {"family": "inet", "table": "firewalld", "chain": "filter_INPUT", "expr": [
            {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}},
            {"goto": {"target": "filter_IN_public"}}]}},
        {"rule": {"family": "inet", "table": "firewalld", "chain": "filter_INPUT", "expr": [
            {"goto": {"target": "filter_IN_public"}}]}},
        {"rule": {"family": "inet", "table": "firewalld", "chain": "filter_IN_public", "expr": [
            {"match": {"op": "==", "left": SADDR, "right": "192.0.2.1"}}, {"reject": {"type": "icmpx"}}]}},
        {"rule": {"family": "inet", "table": "firewalld", "chain": "filter_IN_public", "expr": [
            {"match": {"op": "==", "left": DPORT, "right": 22}}, {"accept": None}]}},
        {"rule": {"family": "inet", "table": "firewalld", "chain": "filter_IN_public", "expr": [
            {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}]}},
    ]
}  # fmt: skip


def test_firewalld_is_named_in_the_remedy() -> None:
    found = said(snapshot(nft=json.dumps(FIREWALLD)), "192.0.2.1")
    assert found.problems[0].cause is Cause.BANNED
    assert found.remedies == (
        "firewall-cmd --permanent --zone=trusted --add-source=192.0.2.1 && firewall-cmd --reload",
    )
    assert not said(snapshot(nft=json.dumps(FIREWALLD)), "192.0.2.2").problems


HOSTILE = [
    "", "null", "[]", "{}", '{"nftables": 3}', '{"nftables": [[], null, {"rule": 5}, {"set": {}}]}', "[" * 100000,
    '{"nftables": [{"table": {"family": "inet", "name": "\\u001b[31m|<"}}, {"chain": {"family": "inet", "table": '
    '"\\u001b[31m|<", "name": "\\u0000", "hook": "input", "policy": "drop", "prio": "x"}}]}',
    ruleset([{"match": {"op": "==", "left": 5, "right": {"prefix": {"addr": "\x1b", "len": 10**40}}}}, {"drop": None}]),
    ruleset([{"jump": {"target": "input"}}]), ruleset([match(SADDR, "@none"), {"drop": None}]),
    ruleset([{"vmap": {"key": SADDR, "data": "@none"}}, {"limit": "none"}, {"drop": None}]),
    ruleset([match(SADDR, {"range": [1, "a"]}), {"log": "x" * 1000000}, {"drop": None}]),
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_listing_raises_nothing_and_stays_printable(text: str) -> None:
    found = said(snapshot(nft=text), "192.0.2.1")
    for line in (found.summary, *found.evidence, *found.remedies, *(one.sentence for one in found.problems)):
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 1000


@pytest.mark.parametrize(
    "rule",
    ["-s \x1b -j DROP", "-p tcp --dport 99999999999999999999 -j DROP", "'", "-j", "! ! !",
     "-m recent --update --seconds x",
     "--dport :: -j DROP", "--tcp-flags A -j DROP", "-s 1.2.3.4/99 -j DROP", "x" * 1000000, "--match-set a b -j DROP"],
)  # fmt: skip
def test_a_hostile_rule_raises_nothing(rule: str) -> None:
    text = f"# x (nf_tables)\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {rule}\nCOMMIT\n"
    begun = time.process_time()
    found = said(snapshot(iptables_save=text), "192.0.2.1")
    assert time.process_time() - begun < 5
    assert all(line.isascii() and line.isprintable() for line in found.evidence)
