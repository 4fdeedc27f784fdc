"""Listeners whose own binaries were asked: by hand, and real ones in chroots."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from check_ssh_exchange.host import collect
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import binaries, configuration, host_keys, processes, system, tcp_wrappers
from tests.host.by_hand import Host

SOURCES = (system.read, processes.read, binaries.read, configuration.read, host_keys.read, tcp_wrappers.read)

# sshd -T of Debian's 9.2 and 10.6, as printed in their chroots, shortened.
DUMP = """port 22
addressfamily any
listenaddress [::]:22
listenaddress 0.0.0.0:22
logingracetime 120
maxsessions 10
strictmodes yes
usedns no
authorizedkeyscommand none
hostkeyagent none
loglevel INFO
authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2
hostkey /etc/ssh/ssh_host_rsa_key
hostkey /etc/ssh/ssh_host_ed25519_key
maxstartups 10:30:100
persourcemaxstartups none
persourcenetblocksize 32:128
"""
MIXED = """Port 22
LoginGraceTime 120
UseDNS no
RefuseConnection no
PerSourcePenaltyExemptList none
LogLevel INFO
HostKey /etc/ssh/ssh_host_ed25519_key
MaxStartups 10:30:100
PerSourcePenalties crash:90.000000 authfail:5.000000 max:600.000000 min:15.000000 overflow:permissive
SshdSessionPath /usr/lib/openssh/sshd-session
"""


def host(dump: str = DUMP, *, version: str = "OpenSSH_9.2p1", uid: int = 0, **more: Any) -> Host:
    """A host with one listener, pid 10, that root started, whose binary printed this."""
    made = Host(uid, **more)
    made.sshd(10, version=version)
    trust(made)
    made.command("configuration of 10", dump)
    made.command("test of 10")
    return made


def trust(made: Host, pid: int = 10, uids: str = "0 0 0 0", **changed: Any) -> None:
    made.file(f"/proc/{pid}/status", "Name:\tsshd\nUid:\t" + uids.replace(" ", "\t") + "\n")
    for directory in ("/usr", "/usr/sbin"):
        stat(made, directory)
    stat(made, "/usr/sbin/sshd", **changed)


def stat(made: Host, path: str, *, mode: int = 0o100755, uid: int = 0, size: int = 1000) -> None:
    made.document["stats"][path] = {"size": size, "mode": mode, "uid": uid, "gid": 0}


def missing(made: Host, path: str, error: str = "ENOENT") -> None:
    made.document["stats"][path] = {"error": error}


def collected(monkeypatch: pytest.MonkeyPatch, **given: Any) -> Snapshot:
    """A snapshot of this host by these sources alone, without the second of sampling."""
    monkeypatch.setattr(collect, "SOURCES", SOURCES)
    monkeypatch.setattr(collect, "SAMPLED", 0.0)
    return collect.collect(**given)


HOSTILE = ("\x1b[31m|<script>", "\0" * 100, "\udcff\udcfe", "x" * 1_000_000, "9" * 5000, "%n%s", "a b c " * 10000)


def hostile(texts: Mapping[str, str]) -> Iterator[str]:
    """Each of these texts with what is hostile around, between and instead of its words."""
    for text in texts.values():
        for bad in HOSTILE:
            yield from (bad, text + bad, bad + text, text.replace(" ", f" {bad[:300]} "), text.replace(":", bad[:300]))


def is_printable(sentence: str) -> bool:
    return sentence.isascii() and sentence.isprintable() and "|" not in sentence and len(sentence) < 2000
