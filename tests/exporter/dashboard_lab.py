"""What the dashboards show: a Prometheus, the exporter, servers with faults, and check_sshd_local on their host.

A namespace is the exporter's machine, another one the servers'. On that one check_sshd_local runs again and again and
writes for a node_exporter, which has the machine's own address and so the same name as the servers.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from faults.ban import LOGIN, Fail2ban
from faults.package import environment, place, program
from faults.scenario import Skip
from tests.lab import daemons, network, zoo
from tests.lab.dashboards import Json, asked, expanded
from tests.lab.network import Host, Namespace
from tests.test_host_key import certified

from . import prometheus
from .program import Program, running, wait_for
from .prometheus import ADDRESS, EXPORTER, SCRAPE, Prometheus, configuration, missing

NODE_EXPORTER = "prometheus-node-exporter"
NODE_PORT = 9100
SSH_PORT = 22  # what the jail watches
NAMELESS = "nowhere.invalid:22"
SECONDS = 90.0  # everything is there after fifteen; the rest is for a machine under load
STEP = "2"
# A resolver that refuses, so that no name is looked up elsewhere.
RESOLVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"

CONFIGURATION = """
modules:
  default: {{depth: hostkey, timeout: 4s, thresholds: {{warning: {{banner_p50: 60}}, critical: {{banner_p50: 60}}}}}}
  reckless: {{exempt: true, handshakes: 10}}
  impatient: {{handshakes: 2, thresholds: {{warning: {{banner_p50: 0.000001}}}}}}
background:
  - {{targets: ["{throttled}", "{healthy}", "{strict}", "{banned}", "{stopped}", "{nameless}"], interval: 3s}}
  - {{targets: ["{penalised}"], module: reckless, interval: 2s}}
  - {{targets: ["{slow}"], module: impatient, interval: 3s}}
"""

# check_sshd_local sees the log of its own sshd and the client of this fail2ban where a host has them, and no sshd of
# another namespace: it asks only the first sixteen of a host for their configuration, and other tests start many.
ON_HOST = """
mkdir -p "$0/empty"
for process in $(grep -l '^sshd' /proc/[0-9]*/comm 2>/dev/null); do
  process=${process%/comm}
  [ "$(readlink "$process/ns/net")" = "$(readlink /proc/self/ns/net)" ] ||
    mount --bind "$0/empty" "$process" 2>/dev/null || true
done
mount --bind "$0/log" /var/log
mount --bind "$0/bin" /usr/local/bin
mount -t tmpfs tmpfs /run
mkdir /run/fail2ban
touch /run/fail2ban/fail2ban.sock
mount --bind "$0/fail2ban/socket" /run/fail2ban/fail2ban.sock
exec "$@"
"""
CLIENT = '#!/bin/sh\nPYTHONPATH={modules} exec /usr/bin/python3 {client} -c {home}/etc -s {home}/socket "$@"\n'

ASK = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
texts = [opener.open(url, timeout=60).read().decode() for url in sys.argv[1:]]
sys.stdout.write("[" + ",".join(texts) + "]")
"""


class Asked(NamedTuple):
    """A query as a panel asks it."""

    expression: str
    is_at_end: bool


class Series(NamedTuple):
    """A series of an answer, without the points that are no number."""

    labels: dict[str, str]
    values: list[float]


class Lab(NamedTuple):
    """A Prometheus, its exporter, the addresses of the servers by their fate, and when it all began."""

    prometheus: Prometheus
    client: Host
    exporter: Program
    names: Mapping[str, str]
    node: str
    since: float

    def ask(self, queries: Sequence[Asked]) -> list[list[Series]]:
        """Return the answer to each query: at its end now, else since the beginning."""
        now = f"{time.time():.3f}"
        urls = []
        for query in queries:
            span = {"time": now} if query.is_at_end else {"start": f"{self.since:.3f}", "end": now, "step": STEP}
            path = "query" if query.is_at_end else "query_range"
            urls.append(f"http://{ADDRESS}/api/v1/{path}?{urlencode({'query': query.expression, **span})}")
        return [[_series(one) for one in answer["result"]] for answer in self._data(urls)]

    def options(self, variable: Json, values: Mapping[str, str]) -> list[str]:
        """Return what a variable offers, in Grafana's order."""
        function, expression, label = asked(variable)
        text = expanded(expression, values)
        if function == "label_values":
            (found,) = self._data([f"http://{ADDRESS}/api/v1/series?{urlencode({'match[]': text})}"])
            return sorted({one[label] for one in found if one.get(label)})
        assert function == "query_result"
        (answer,) = self.ask([Asked(text, is_at_end=True)])
        lines = [
            one.labels.get("__name__", "")
            + "{"
            + ",".join(f' {name}="{value}"' for name, value in one.labels.items() if name != "__name__")
            + f"}} {one.values[0]}"
            for one in answer
        ]
        pattern = re.compile(variable["regex"].strip("/"))
        return list(dict.fromkeys(found[1] for line in lines if (found := pattern.search(line))))

    def _data(self, urls: Sequence[str]) -> list[Any]:
        answers = json.loads(self.client.run(sys.executable, "-S", "-c", ASK, *urls))
        assert all(answer["status"] == "success" for answer in answers), answers
        return [answer["data"] for answer in answers]


def _series(one: Json) -> Series:
    points = [one["value"]] if "value" in one else one["values"]
    return Series(one["metric"], [float(value) for _, value in points if value != "NaN"])


class LookedAt:
    """The servers' host: check_sshd_local runs there, for the one server that is throttled."""

    def __init__(self, host: Host, home: Path, server: zoo.Server) -> None:
        self.textfiles = home / "textfiles"
        self._host, self._home, self._server = host, home, server
        self._lines = 0
        for path in (self.textfiles, home / "log", home / "bin"):
            path.mkdir()
        client = home / "bin/fail2ban-client"
        unpacked = place() / "fail2ban-server/usr/bin/fail2ban-client"
        real = unpacked if unpacked.exists() else Path("/usr/bin/fail2ban-client")
        modules = environment()["PYTHONPATH"]
        client.write_text(CLIENT.format(modules=modules, client=real, home=home / "fail2ban"))
        client.chmod(0o755)

    def look(self) -> None:
        """Write what sshd has said as syslog would, run check_sshd_local, and put its metrics where they are read."""
        said = self._server.log().splitlines()
        stamp = f"{time.strftime('%b %d %H:%M:%S')} host sshd[{self._server.pid}]"
        with (self._home / "log/auth.log").open("a") as log:
            log.writelines(f"{stamp}: {line}\n" for line in said[self._lines :])
        self._lines = len(said)
        words = ["-p", str(self._server.port), "--output-format", "openmetrics"]
        words += ["--state-file", str(self._home / "state")]
        command = [*self._host.prefix, "sh", "-ec", ON_HOST, str(self._home)]
        command += [sys.executable, "-m", "check_ssh_exchange.host", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert "sshd_local_item_state" in done.stdout, done.stdout + done.stderr
        new = self.textfiles / "sshd.prom.new"
        new.write_text(done.stdout)
        new.rename(self.textfiles / "sshd.prom")

    @contextmanager
    def again_and_again(self) -> Iterator[None]:
        """Look every few seconds."""
        is_over = threading.Event()

        def loop() -> None:
            while not is_over.wait(2):
                self.look()

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


def need() -> None:
    """Skip the test where something is not there."""
    reason = missing("prometheus", NODE_EXPORTER, "ssh", "ssh-keygen", "iptables")
    if reason := reason or network.missing() or zoo.missing():
        pytest.skip(reason)
    try:
        program("fail2ban-server")
    except Skip as absent:
        pytest.skip(str(absent))


def servers(stack: ExitStack, net: Namespace, home: Path) -> tuple[dict[str, str], zoo.Server]:
    """Start a server for each fate; return their addresses, and the throttled one, which has a host certificate."""
    host, other = net.server.ipv4

    def sshd(name: str = "openssh-9.2", address: str = host, port: int = 0, **options: str) -> zoo.Server:
        options.setdefault("MaxStartups", "100")
        given: zoo.Settings = {"address": address, "prefix": net.server.prefix, "options": options}
        return stack.enter_context(zoo.server(name, **given, **({"port": port} if port else {})))

    chroot = stack.enter_context(zoo.copy("openssh-9.2"))
    throttled = chroot.server(
        address=host,
        prefix=net.server.prefix,
        config=certified(chroot, home, validity="-1d:+10d"),
        options={"MaxStartups": "1:100:1"},
    )
    stack.enter_context(throttled)
    made = {
        "throttled": throttled,
        "healthy": sshd(),
        "slow": sshd(),
        "strict": sshd("openssh-10.0"),
        "penalised": sshd("openssh-10.0"),
        "stopped": sshd(),
        "banned": sshd(address=other, port=SSH_PORT),
    }
    os.kill(made["stopped"].pid, signal.SIGSTOP)
    ban(stack, net, home / "fail2ban", made["banned"])
    names = {name: f"{server.address}:{server.port}" for name, server in made.items()}
    return {**names, "nameless": NAMELESS}, throttled


def ban(stack: ExitStack, net: Namespace, home: Path, server: zoo.Server) -> None:
    """Have a real fail2ban ban the exporter's address, for logins of users that do not exist."""
    home.mkdir()
    jail = Fail2ban(net, home)
    stack.callback(jail.stop)
    jail.start()
    login = [*net.client.prefix, *LOGIN, "-p", str(server.port), f"stranger@{server.address}"]
    for _ in range(5):
        subprocess.run(login, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    jail.read(server.log())


def settings(targets: Sequence[str], node: str) -> dict[str, Any]:
    """Return the shipped jobs of the exporter, and one for node_exporter."""
    made = configuration(targets, EXPORTER)
    job = {"job_name": "node", "static_configs": [{"targets": [node]}]}
    made["scrape_configs"].append({**job, "scrape_interval": SCRAPE, "scrape_timeout": SCRAPE})
    return made


@contextmanager
def lab(home: Path) -> Iterator[Lab]:
    """Start everything. The host is looked at first, so that its counters are seen to begin at zero."""
    need()
    with ExitStack() as stack:
        net = stack.enter_context(Namespace())
        stack.enter_context(net.client.files(resolv_conf=RESOLVER))
        names, throttled = servers(stack, net, home)
        host = LookedAt(net.server, home, throttled)
        host.look()
        node = f"{net.server.ipv4[0]}:{NODE_PORT}"
        reader = [
            *net.server.prefix, shutil.which(NODE_EXPORTER) or NODE_EXPORTER, "--collector.disable-defaults",
            "--collector.textfile", f"--collector.textfile.directory={host.textfiles}", f"--web.listen-address={node}",
        ]  # fmt: skip
        stack.enter_context(daemons.running(reader, home / "node_exporter.log"))
        since = time.time()
        server = stack.enter_context(prometheus.running(home, net.client, settings(list(names.values()), node)))
        wait_for(lambda: server.query("sshd_local_drops_total"), SECONDS)
        text = CONFIGURATION.format(**names)
        flag = f"--web.listen-address={EXPORTER}"
        exporter = stack.enter_context(running(home, text, flag, prefix=net.client.prefix))
        stack.enter_context(host.again_and_again())
        yield Lab(server, net.client, exporter, names, node, since)
