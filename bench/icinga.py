"""`python -m bench.icinga`: the CPU of a check when Icinga asks the exporter by ifw-api, and when it starts a process.

Everything that a check costs on its machine is counted: Icinga, what it starts, and the exporter.
"""

import argparse
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.lab import busy_server, daemons, icinga_lan, icinga_newest
from tests.lab.icinga_nodes import FILES, NEEDED, Node, Running, Site
from tests.lab.icinga_resident import CURL, PORT, Resident, answering, results, until
from tests.lab.network import Host

from . import machine
from .table import Row, page, ratio, spread

TITLE = "CPU of a check in an Icinga fleet, by ifw-api"
RSA_TARGET, EC_TARGET = 1.3, 0.8
TARGET = f"<= {RSA_TARGET}x `python3 -c pass` as a plugin with Icinga's RSA keys, <= {EC_TARGET}x with EC keys"
NODE, ZONE = "fleet.example", "master"
CERTIFICATES = "/var/lib/icinga2/certs"
SERVICES, SECONDS = 40, 10.0  # a check each second of each service
TICK = os.sysconf("SC_CLK_TCK")
PYTHON, RSA, EC = "`python3 -c pass` as a plugin", "ifw-api, RSA keys of Icinga", "ifw-api, EC keys on both sides"

# What `icinga2 node wizard` makes: keys of RSA with 4096 bits. And one of a curve, which the same CA has signed.
KEYS = f"""
icinga2 pki new-ca
cp /var/lib/icinga2/ca/ca.crt {CERTIFICATES}/ca.crt
cd {CERTIFICATES}
icinga2 pki new-cert --cn {NODE} --key {NODE}.key --csr {NODE}.csr
icinga2 pki sign-csr --csr {NODE}.csr --cert {NODE}.crt
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ec.key -out ec.csr \\
  -subj /CN={NODE} -addext subjectAltName=DNS:{NODE}
icinga2 pki sign-csr --csr ec.csr --cert ec.crt
chown -R {daemons.USER}: {CERTIFICATES} /var/lib/icinga2/ca
"""
# Exempt: five handshakes a second with one server are far beyond what the exporter would make otherwise.
CHECKED = """
object Host "fleet" { check_command = "dummy"; enable_active_checks = false }
template Service "member" {
	host_name = "fleet"
	check_interval = 1
	retry_interval = 1
	vars.ssh_exchange_exempt = true
	%s
}
"""
MEMBER = 'object Service "s{n}" {{ import "member"; vars.ssh_exchange_address = "127.20.0.{n}" }}\n'


class Kind(NamedTuple):
    """A way to check: what its services say, their number, and the exporter that answers, if one does."""

    said: str
    services: int = SERVICES
    resident: Resident | None = None


class Spent(NamedTuple):
    """CPU for each check in milliseconds: of Icinga with what it starts, and of the exporter."""

    icinga: float
    exporter: float

    @property
    def total(self) -> float:
        return self.icinga + self.exporter


def row(rounds: int) -> Row:
    """Measure every kind in turn, `rounds` times."""
    packages = {**NEEDED, CURL: "curl"}
    if reason := daemons.missing(packages) or icinga_lan.missing() or icinga_newest.missing():
        return Row(TITLE, TARGET, reason, None, _HOW.format(rounds=rounds))
    with (
        daemons.Installation() as plugin,
        icinga_lan.namespace("fleet", "127.0.0.1") as host,
        _on(busy_server.THEIR_CPU),
        answering(host) as port,
        _on(busy_server.OUR_CPU),
    ):
        return _row(_measure(rounds, plugin, host, port))


def _measure(rounds: int, plugin: daemons.Installation, host: Host, port: int) -> dict[str, list[Spent]]:
    site = Site(plugin, "fleet", icinga_newest.release(plugin))
    node = site.node(NODE, ZONE, host)
    done = node.shell(KEYS)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copy(node.home / "data" / "certs" / "ca.crt", site.authority)  # in the place of the lab's own
    for name in ("commands.conf", "resident.conf"):
        node.put(FILES / name, "zones.d", ZONE)
    spent: dict[str, list[Spent]] = {}
    with _kinds(plugin, node, host) as kinds:
        for _ in range(rounds):
            for name, kind in kinds.items():
                spent.setdefault(name, []).append(_spent(node, kind, port))
    return spent


@contextmanager
def _kinds(plugin: daemons.Installation, node: Node, host: Host) -> Iterator[Mapping[str, Kind]]:
    rsa, ec = (
        Resident(node, host, plugin.home / f"exporter-{port}", port=port, level="info") for port in (PORT, PORT + 1)
    )
    ec.web.write_text(ec.web.read_text().replace(f"{CERTIFICATES}/{NODE}.", f"{CERTIFICATES}/ec."))
    by_ec = f"; vars.ifw_api_port = {PORT + 1}; " + "; ".join(
        f'vars.ifw_api_{what} = "{CERTIFICATES}/ec.{end}"' for what, end in (("cert", "crt"), ("key", "key"))
    )
    resident = 'check_command = "ssh_exchange_resident"'
    kinds = {
        "nothing (dummy)": Kind('check_command = "dummy"'),
        PYTHON: Kind('check_command = "bare"'),
        RSA: Kind(resident, resident=rsa),
        EC: Kind(resident + by_ec, resident=ec),
        "check_ssh_exchange as a plugin": Kind('check_command = "ssh_exchange"', SERVICES // 5),
    }
    bare = f'object CheckCommand "bare" {{ command = [ "{daemons.python_of_all()}", "-c", "pass" ] }}\n'
    node.write(bare, "zones.d", ZONE, "bare.conf")
    rsa.start()
    ec.start()
    try:
        yield kinds
    finally:
        rsa.stop()
        ec.stop()


def _spent(node: Node, kind: Kind, port: int) -> Spent:
    text = CHECKED % f"{kind.said}; vars.ssh_exchange_port = {port}"
    text += "".join(MEMBER.format(n=number + 1) for number in range(kind.services))
    node.write(text, "zones.d", ZONE, "fleet.conf")
    (node.home / "data" / "icinga2.state").unlink(missing_ok=True)
    started = time.time()
    with node.started() as running:
        until(running, lambda: len(results(running, started)) == kind.services)
        before = _used(running, kind)
        time.sleep(SECONDS)
        checks, *spent = (after - then for after, then in zip(_used(running, kind), before, strict=True))
        states = {one["state"] for one in results(running, started).values()}
    assert states == {0}, states
    icinga, exporter = (seconds / checks * 1e3 for seconds in spent)
    return Spent(icinga, exporter)


def _used(running: Running, kind: Kind) -> tuple[float, float, float]:
    """Return the checks so far, and the seconds of CPU that Icinga with what it started and the exporter have used."""
    checks = float(running.api.status("CIB")["active_service_checks_15min"])
    return checks, _cpu(running.process.pid), _cpu(kind.resident.program.process.pid) if kind.resident else 0.0


def _cpu(pid: int) -> float:
    """Return user and system time of a process, of its children, and of all that they have waited for."""
    total, waiting = 0.0, [pid]
    while waiting:
        entry = Path("/proc") / str(waiting.pop())
        with suppress(OSError):  # it ended meanwhile, and counts with its parent
            total += sum(map(int, (entry / "stat").read_text().rpartition(")")[2].split()[11:15])) / TICK
            for task in (entry / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return total


@contextmanager
def _on(cpus: set[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


_HOW = (
    f"Icinga of Debian sid with the shipped definitions, {SERVICES} services each second (fewer for the plugin), "
    f"{{rounds}} rounds of {SECONDS:.0f} s of each kind in turn; Icinga, what it starts and the exporter on one CPU, "
    "the SSH server on the other and not counted; a check is a default run of 5 handshakes; user and system time "
    "for each check as /proc tells it, median (least to greatest); the ratio is the median over the rounds. "
    "Every check is a new TLS connection with certificates of both sides: Icinga keeps none and resumes none, and a "
    "signature with RSA-4096 costs more than the probe."
)


def _row(spent: Mapping[str, list[Spent]]) -> Row:
    totals = {name: [one.total for one in taken] for name, taken in spent.items()}
    rsa, ec = (ratio(totals[name], totals[PYTHON]) for name in (RSA, EC))
    lines = []
    for name, taken in spent.items():
        icinga, exporter = (spread([one[side] for one in taken]) for side in (0, 1))
        shown = exporter if median(one.exporter for one in taken) else "-"
        lines.append((name, icinga, shown, spread(totals[name]), f"{ratio(totals[name], totals[PYTHON]):.2f}x"))
    return Row(
        TITLE,
        TARGET,
        f"{rsa:.2f}x with RSA keys, {ec:.2f}x with EC keys",
        rsa <= RSA_TARGET and ec <= EC_TARGET,
        _HOW.format(rounds=len(totals[PYTHON])),
        ("kind of check", "Icinga, ms", "exporter, ms", "sum, ms", "against bare Python"),
        tuple(lines),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.icinga", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each kind is measured, ten seconds a time (5)")
    print(page("Icinga and the exporter", machine.facts(), [row(parser.parse_args().rounds)]), end="")


if __name__ == "__main__":
    main()
