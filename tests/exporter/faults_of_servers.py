"""Faults of an SSH server, or of the way to it, that let no client in, or that change who the server is."""

import os
import shutil
import signal
import subprocess
import sys

from tests.lab import daemons

from .faults_host import FaultyHost
from .faults_lab import Lab
from .faults_story import Ended, Fault, Holds, Sent, Silenced, Steps, Wait

BEGIN = "60s"  # the hour that a host key must have been seen for, at our pace
DAY = "1440s"


def healthy(target: str) -> list[Wait]:
    return [Holds(f'ssh_exchange_state{{target="{target}"}} == 0')]


def stopped(lab: Lab) -> Steps:
    """An sshd that has ended."""
    host = lab.host("stopped")
    sshd = host.install()
    sshd.start()
    lab.main.watch(host.target)
    yield healthy(host.target)
    sshd.stop()
    yield [Sent("SshExchangeDown", host.target)]
    sshd.start()
    yield [Ended("SshExchangeDown", host.target)]


def stopped_for_a_probe(lab: Lab) -> Steps:
    """The same, for a target that is probed at every scrape."""
    host = lab.host("stopped-probe")
    sshd = host.install()
    sshd.start()
    lab.probed.append(host.target)
    yield [Holds(f'probe_success{{instance="{host.target}"}} == 1')]
    sshd.stop()
    yield [Sent("SshExchangeDown", host.target)]
    sshd.start()
    yield [Ended("SshExchangeDown", host.target)]


def replaced(lab: Lab) -> Steps:
    """Another service listens on sshd's port."""
    host = lab.host("replaced")
    sshd = host.install()
    sshd.start()
    lab.main.watch(host.target)
    yield healthy(host.target)
    sshd.stop()
    command = [*host.net.server.prefix, sys.executable, "-m", "http.server", "--bind", host.address, str(sshd.port)]
    with daemons.running(command, host.home / "http.log"):
        name = "SshExchangeNobodyGetsIn"
        yield [Sent(name, host.target), Silenced("SshExchangeDown", host.target, name)]
    sshd.start()
    yield [Ended(name, host.target)]


def without_its_directory(lab: Lab) -> Steps:
    """An sshd whose children die, for the privilege separation directory is gone."""
    host = lab.host("broken")
    sshd = host.install()
    sshd.start()
    lab.main.watch(host.target)
    yield healthy(host.target)
    (sshd.root / "run/sshd").rename(sshd.root / "run/other")
    name = "SshExchangeServerFault"
    yield [Sent(name, host.target), Silenced("SshExchangeDown", host.target, name)]
    (sshd.root / "run/other").rename(sshd.root / "run/sshd")
    yield [Ended(name, host.target)]


def hung(lab: Lab) -> Steps:
    """An sshd that does not go on."""
    host = lab.host("hung")
    sshd = host.install()
    sshd.start()
    lab.main.watch(host.target)
    yield healthy(host.target)
    os.kill(sshd.pid, signal.SIGSTOP)
    name = "SshExchangeStalled"
    yield [Sent(name, host.target), Silenced("SshExchangeDown", host.target, name)]
    os.kill(sshd.pid, signal.SIGCONT)
    yield [Ended(name, host.target)]


def slow(lab: Lab) -> Steps:
    """An sshd that waits for a resolver before it says who it is: hosts.deny has a host's name, and no answer comes."""
    host = lab.host("slow")
    sshd = host.install()
    (sshd.root / "etc/resolv.conf").write_text(f"nameserver {host.net.client.ipv4[1]}\noptions timeout:1 attempts:1\n")
    names = sshd.root / "etc/nsswitch.conf"
    names.write_text(names.read_text().replace("hosts: files", "hosts: files dns"))
    drop = ("iptables", "INPUT", "-p", "udp", "--dport", "53", "-j", "DROP")
    lab.stack.enter_context(host.net.client.rule(*drop))
    sshd.start()
    lab.main.module("quick", thresholds={"warning": {"banner_p50": "0.5"}, "critical": {"banner_p50": "60"}})
    lab.main.watch(host.target, module="quick")
    yield healthy(host.target)
    deny = sshd.root / "etc/hosts.deny"
    deny.write_text("sshd: .example.com\n")
    yield [Sent("SshExchangeSlow", host.target)]
    deny.unlink()
    yield [Ended("SshExchangeSlow", host.target)]


def one_family(lab: Lab) -> Steps:
    """A firewall that rejects IPv6 alone."""
    host = lab.host("family")
    sshd = host.install(two_families=True)
    sshd.start()
    lab.names |= {host.address: "twofold", host.six: "twofold"}
    target = f"twofold:{sshd.port}"
    lab.main.module("both", ip_protocol="all")
    lab.main.watch(target, module="both")
    yield healthy(target)
    with host.net.server.rule("ip6tables", "INPUT", "-p", "tcp", "--dport", str(sshd.port), "-j", "REJECT"):
        yield [Sent("SshExchangeAddressFamily", target)]
    yield [Ended("SshExchangeAddressFamily", target)]


def penalised(lab: Lab) -> Steps:
    """An sshd whose penalties are so strict that two handshakes a probe earn one."""
    host = lab.host("penalty")
    sshd = host.install("openssh-10.0")
    sshd.start(PerSourcePenalties="no")
    lab.main.watch(host.target, interval="5s")
    yield healthy(host.target)
    sshd.start(PerSourcePenalties="min:120 noauth:60")
    yield [Sent("SshExchangePenalised", host.target)]
    sshd.start(PerSourcePenalties="no")
    yield [Ended("SshExchangePenalised", host.target)]


def banned(lab: Lab) -> Steps:
    """A firewall that rejects the exporter's address."""
    host = lab.host("banned")
    sshd = host.install()
    sshd.start()
    lab.main.watch(host.target)
    yield healthy(host.target)
    with host.net.server.rule("iptables", *against(lab, host.address)):
        yield [Sent("SshExchangeMonitorBanned", host.target), Sent("SshExchangeDown", host.target)]
    yield [Ended("SshExchangeMonitorBanned", host.target), Ended("SshExchangeDown", host.target)]


def banned_here(lab: Lab) -> Steps:
    """The same, while an exporter at another address gets in."""
    host = lab.host("banned-here")
    sshd = host.install()
    sshd.start()
    other = lab.exporter("elsewhere")
    other.module("default", source_addresses=[lab.net.client.ipv4[1]])
    for one in (lab.main, other):
        one.watch(host.target)
    yield [Holds(f'count(ssh_exchange_state{{target="{host.target}"}} == 0) == 2')]
    name = "SshExchangeMonitorBannedHere"
    with host.net.server.rule("iptables", *against(lab, host.address)):
        yield [
            Sent(name, host.target),
            Silenced("SshExchangeDown", host.target, name),
            Silenced("SshExchangeMonitorBanned", host.target, name),
        ]
    yield [Ended(name, host.target)]


def against(lab: Lab, address: str) -> list[str]:
    return ["INPUT", "-s", lab.net.client.ipv4[0], "-d", address, "-p", "tcp", "-j", "REJECT"]


def fingerprint(key: str) -> str:
    return subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout.split()[1]


def with_one_key(lab: Lab, name: str) -> tuple[FaultyHost, str]:
    """A host whose sshd has an ed25519 key and no other; its path."""
    host = lab.host(name)
    sshd = host.install()
    for kind in ("rsa", "ecdsa"):
        (sshd.root / f"etc/ssh/ssh_host_{kind}_key").unlink()
    return host, str(sshd.root / "etc/ssh/ssh_host_ed25519_key")


def new_key(path: str) -> None:
    """Keep the old key beside it."""
    shutil.move(path, f"{path}.old")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], input="y\n", text=True, check=True)


def old_key(path: str) -> None:
    shutil.move(f"{path}.old", path)


def not_the_expected_key(lab: Lab) -> Steps:
    """An sshd that comes back with another host key than the module expects."""
    host, key = with_one_key(lab, "key")
    host.sshd.start()
    exporter = lab.exporter("expectant")
    exporter.module("expected", handshakes=5, depth="hostkey", host_keys=[fingerprint(f"{key}.pub")])
    exporter.watch(host.target, module="expected")
    yield healthy(host.target)
    new_key(key)
    host.sshd.start()
    yield [Sent("SshExchangeHostKeyChanged", host.target)]
    # An exporter says for an hour that a key was another one before, and its hour is none of ours.
    exporter.stop()
    old_key(key)
    host.sshd.start()
    exporter.start()
    yield [Ended("SshExchangeHostKeyChanged", host.target)]


def another_key_than_before(lab: Lab) -> Steps:
    """The same while the exporter is away and no key is expected: Prometheus alone knows the last day's."""
    host, key = with_one_key(lab, "history")
    host.sshd.start()
    exporter = lab.exporter("forgetful")
    exporter.module("any_key", handshakes=5, depth="hostkey")
    exporter.watch(host.target, module="any_key")
    yield [Holds(f'last_over_time(ssh_exchange_host_key_info{{target="{host.target}"}}[{DAY}] offset {BEGIN})')]
    for change in (new_key, old_key):
        exporter.stop()
        change(key)
        host.sshd.start()
        exporter.start()
        yield [(Sent if change is new_key else Ended)("SshExchangeHostKeyChanged", host.target)]


def certificate_ends(lab: Lab) -> Steps:
    """A host certificate that was not renewed in time."""
    host, key = with_one_key(lab, "certificate")
    authority = str(host.home / "authority")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", authority], check=True)

    def sign(days: int) -> None:
        words = ["-s", authority, "-I", "host", "-h", "-n", "host", "-V", f"-1h:+{days}d", f"{key}.pub"]
        subprocess.run(["ssh-keygen", "-q", *words], check=True)
        host.sshd.start(HostCertificate="/etc/ssh/ssh_host_ed25519_key-cert.pub")

    sign(30)
    lab.main.module("certified", handshakes=5, depth="hostkey")
    lab.main.watch(host.target, module="certified")
    expiry = f'ssh_exchange_host_certificate_expiry_timestamp_seconds{{target="{host.target}"}}'
    yield [*healthy(host.target), Holds(expiry)]
    sign(3)
    yield [Sent("SshExchangeHostCertificateEnds", host.target)]
    sign(30)
    yield [Ended("SshExchangeHostCertificateEnds", host.target)]


FAULTS: dict[Fault, tuple[str, ...]] = {
    stopped: ("SshExchangeDown",),
    stopped_for_a_probe: ("SshExchangeDown",),
    replaced: ("SshExchangeNobodyGetsIn",),
    without_its_directory: ("SshExchangeServerFault",),
    hung: ("SshExchangeStalled",),
    slow: ("SshExchangeSlow",),
    one_family: ("SshExchangeAddressFamily",),
    penalised: ("SshExchangePenalised",),
    banned: ("SshExchangeMonitorBanned",),
    banned_here: ("SshExchangeMonitorBannedHere",),
    not_the_expected_key: ("SshExchangeHostKeyChanged",),
    another_key_than_before: ("SshExchangeHostKeyChanged",),
    certificate_ends: ("SshExchangeHostCertificateEnds",),
}
