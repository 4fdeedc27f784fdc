"""Faults of what measures: the exporter, its configuration and budget, the timer on a host; and what a host sees."""

import os
import signal
import subprocess
from pathlib import Path

from faults.ban import LOGIN, Fail2ban
from faults.package import environment, place

from .faults_host import FaultyHost
from .faults_lab import MODULE, Exporter, Lab
from .faults_of_throttling import hold
from .faults_story import Ended, Fault, Holds, Sent, Silenced, Steps

LOGINS = 6  # one more than a jail's maxretry
LOGIN_SECONDS = 60.0
MANY, FEW = 45, 3  # targets of which each takes a second, and each is due every 20 seconds


def looks_well(host: FaultyHost, item: str) -> list[Holds]:
    return [Holds(f'sshd_local_item_state{{instance="{host.target}",item="{item}"}} == 0')]


def without_a_helper(lab: Lab) -> Steps:
    """sshd-session is gone, so the next connection dies."""
    host = lab.host("helper")
    sshd = host.install("openssh-10.0")
    sshd.start()
    host.look_inside("--only", "binaries")
    yield looks_well(host, "binaries")
    helper = sshd.root / "usr/lib/openssh/sshd-session"
    helper.rename(helper.with_suffix(".old"))
    yield [Sent("SshdLocalTurnsEveryoneAwaySoon", host.target)]
    helper.with_suffix(".old").rename(helper)
    yield [Ended("SshdLocalTurnsEveryoneAwaySoon", host.target)]


def without_a_key(lab: Lab) -> Steps:
    """One of several host keys is gone."""
    host = lab.host("keyless")
    sshd = host.install()
    sshd.start()
    host.look_inside("--only", "host_keys")
    yield looks_well(host, "host_keys")
    key = sshd.root / "etc/ssh/ssh_host_ecdsa_key"
    key.rename(key.with_suffix(".old"))
    yield [Sent("SshdLocalWarning", host.target)]
    key.with_suffix(".old").rename(key)
    yield [Ended("SshdLocalWarning", host.target)]


def without_its_timer(lab: Lab) -> Steps:
    """check_sshd_local does not run any more, while clients hold many slots."""
    host = lab.host("tardy")
    host.install().start(MaxStartups="10:30:60", LoginGraceTime="0")
    local = host.look_inside("--only", "startups")
    high, late = "SshdLocalStartupsHigh", "SshdLocalLate"
    yield [*looks_well(host, "startups"), Holds(f'sshd_local_startups{{instance="{host.target}"}} < 2')]
    slots = hold(lab, host, 8)
    yield [Sent(high, host.target)]
    local.halt()
    yield [Sent(late, host.target), Silenced(high, host.target, late)]
    local.go()
    yield [Ended(late, host.target)]
    slots.close()
    yield [Ended(high, host.target)]


def without_its_metrics(lab: Lab) -> Steps:
    """The file of check_sshd_local is lost; when it is there again, node_exporter hangs."""
    host = lab.host("absent")
    host.install().start()
    local = host.look_inside("--only", "host_keys")
    name = "SshdLocalAbsent"
    yield looks_well(host, "host_keys")
    local.lose()
    yield [Sent(name, host.target)]
    local.go()
    yield [Ended(name, host.target)]
    os.kill(host.exporter_pid, signal.SIGSTOP)
    try:
        yield [Sent(name, host.target)]
    finally:
        os.kill(host.exporter_pid, signal.SIGCONT)
    yield [Ended(name, host.target)]


def blind(lab: Lab) -> Steps:
    """fail2ban reads another log than the one that sshd writes."""
    host = lab.host("blind")
    host.install(logs=True).start()
    home = host.home / "fail2ban"
    home.mkdir()
    jail = Fail2ban(lab.net, home)
    lab.stack.callback(jail.stop)
    jail.start()
    client(home)
    host.look_inside("--only", "bans", fail2ban=home)
    yield looks_well(host, "bans")
    for _ in range(LOGINS):
        words = [*lab.net.client.prefix, *LOGIN, "-p", str(host.sshd.port), f"stranger@{host.address}"]
        subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=LOGIN_SECONDS)
    yield [Sent("SshdLocalBlindJail", host.target)]
    words = [str(home / "bin/fail2ban-client"), "set", "sshd", "addlogpath", str(host.log)]
    subprocess.run(words, capture_output=True, timeout=LOGIN_SECONDS, check=True, env=environment())
    yield [Ended("SshdLocalBlindJail", host.target)]


def client(home: Path) -> None:
    """A fail2ban-client for this server, where check_sshd_local looks for one."""
    unpacked = place() / "fail2ban-server/usr/bin/fail2ban-client"
    real = unpacked if unpacked.exists() else Path("/usr/bin/fail2ban-client")
    copy = home / "client"  # what is mounted over /usr/bin hides an installed one
    copy.write_text(real.read_text())
    made = home / "bin/fail2ban-client"
    made.parent.mkdir()
    exports = f"export PYTHONPATH={environment()['PYTHONPATH']}"
    made.write_text(f'#!/bin/sh\n{exports}\nexec /usr/bin/python3 {copy} -c {home}/etc -s {home}/socket "$@"\n')
    made.chmod(0o755)


def spent(lab: Lab) -> Steps:
    """A budget that allows a probe in eight minutes, and an interval of a second."""
    host = lab.host("spent")
    host.install("openssh-10.0").start(PerSourcePenalties="no")
    exporter = lab.exporter("poor", budget={"handshakes": 1000, "per_second": 1000.0})
    exporter.module("default", handshakes=5)
    exporter.watch(host.target, interval="1s")
    yield [Holds(f'ssh_exchange_state{{target="{host.target}"}} == 0')]
    reconfigure(exporter, budget={"handshakes": 15, "per_second": 0.01})
    yield [Sent("SshExchangeStale", host.target), Sent("SshExchangeBudgetSpent", host.target)]
    reconfigure(exporter, budget={"handshakes": 1000, "per_second": 1000.0})
    yield [Ended("SshExchangeStale", host.target), Ended("SshExchangeBudgetSpent", host.target)]


def overloaded(lab: Lab) -> Steps:
    """An exporter that may make one probe at once, and targets that all take as long as they may."""
    host = lab.host("overload")
    sshd = host.install()
    sshd.start()
    exporter = lab.exporter("overloaded", max_in_flight=1)
    exporter.module("default", handshakes=1, timeout="1s")
    for number in range(MANY):
        exporter.watch(host.target, interval="20s", number=str(number))
    yield [Holds(f'ssh_exchange_state{{target="{host.target}"}} == 0')]
    os.kill(sshd.pid, signal.SIGSTOP)
    late, stale = "SshExchangeExporterLate", "SshExchangeStale"
    yield [Sent(late, exporter.address), Silenced(stale, host.target, late)]
    os.kill(sshd.pid, signal.SIGCONT)
    reconfigure(exporter, background=exporter.configuration["background"][:FEW])
    yield [Ended(late, exporter.address)]


def misconfigured(lab: Lab) -> Steps:
    """A reload that fails."""
    exporter = lab.exporter("misconfigured")
    name = "SshExchangeExporterConfigBad"
    yield [Holds(f'ssh_exchange_exporter_config_last_reload_successful{{instance="{exporter.address}"}} == 1')]
    reconfigure(exporter, modules={"default": {"handshakes": "many"}})
    yield [Sent(name, exporter.address)]
    reconfigure(exporter, modules={"default": MODULE})
    yield [Ended(name, exporter.address)]


def mistargeted(lab: Lab) -> Steps:
    """A target file that is cut off."""
    exporter = lab.exporter("mistargeted")
    file = exporter.place / "targets.json"
    file.write_text("[]")
    exporter.configuration["background"].append({"target_files": ["targets.json"], "interval": "60s"})
    name = "SshExchangeExporterTargetFilesBad"
    yield [Holds(f'ssh_exchange_exporter_target_files_failed{{instance="{exporter.address}"}} == 0')]
    file.write_text('[{"targets": ["serv')
    yield [Sent(name, exporter.address)]
    file.write_text("[]")
    yield [Ended(name, exporter.address)]


def reconfigure(exporter: Exporter, **configuration: object) -> None:
    exporter.configuration |= configuration
    exporter.write()
    exporter.reload()


FAULTS: dict[Fault, tuple[str, ...]] = {
    without_a_helper: ("SshdLocalTurnsEveryoneAwaySoon",),
    without_a_key: ("SshdLocalWarning",),
    without_its_timer: ("SshdLocalLate",),
    without_its_metrics: ("SshdLocalAbsent",),
    blind: ("SshdLocalBlindJail",),
    spent: ("SshExchangeStale", "SshExchangeBudgetSpent"),
    overloaded: ("SshExchangeExporterLate",),
    misconfigured: ("SshExchangeExporterConfigBad",),
    mistargeted: ("SshExchangeExporterTargetFilesBad",),
}
