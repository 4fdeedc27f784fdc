"""A lab for all faults of a module: hosts, exporters, Prometheus with the shipped rules, Alertmanager, its receiver."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

from ruamel.yaml import YAML

from tests.lab import daemons, network, zoo
from tests.lab.alertmanager import Alertmanager, Inside, Receiver, alertmanager, missing
from tests.lab.network import Host, Namespace

from .faults_host import METRICS_PORT, FaultyHost
from .faults_pace import faster
from .program import ROOT, wait_for
from .prometheus import ADDRESS, START_SECONDS, Prometheus, shipped

FILES = ROOT / "contrib" / "alertmanager"
JOBS = ("ssh_exchange", "ssh_exchange_exporter", "sshd_local")
SCRAPE, PROBE = "1s", "2s"  # a shorter scrape of /probe would cut probes short
INTERVAL = "2s"
# No load makes a server slow, and a probe has more time than it ever takes.
THRESHOLDS = {"warning": {"banner_p50": "60"}, "critical": {"banner_p50": "60"}}
MODULE: dict[str, Any] = {"handshakes": 2, "timeout": "4s", "thresholds": THRESHOLDS}


def of_alertmanager(name: str) -> Any:
    """The content of a file in contrib/alertmanager."""
    return YAML(typ="safe").load((FILES / name).read_text())


def needs() -> str | None:
    """Why no lab can be made here, as a sentence; None if it can."""
    return (
        missing("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
        or network.missing()
        or zoo.missing()
    )


class Exporter:
    """An exporter at a port that it keeps over restarts."""

    def __init__(self, place: Path, host: Host, **configuration: Any) -> None:
        place.mkdir()
        self.place = place
        self.configuration: dict[str, Any] = {"modules": {"default": MODULE}, "background": [], **configuration}
        self._host = host
        self._port = zoo.free_port("127.0.0.1")
        self._undo = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def watch(self, *targets: str, module: str = "default", interval: str = INTERVAL, **labels: str) -> None:
        """Have these targets probed in the background."""
        self.configuration["background"].append(
            {"targets": list(targets), "module": module, "interval": interval, "labels": labels}
        )

    def module(self, name: str, **settings: Any) -> None:
        self.configuration["modules"][name] = MODULE | settings

    def write(self) -> None:
        (self.place / "config.yml").write_text(json.dumps(self.configuration))

    def start(self) -> None:
        """Start it; that it is there is for Prometheus to see."""
        self.write()
        modules = os.pathsep.join([str(ROOT), str(ROOT / "exporter")])
        command = [*self._host.prefix, "env", f"PYTHONPATH={modules}", sys.executable, "-m", "ssh_exchange_exporter"]
        flags = [f"--config.file={self.place / 'config.yml'}", f"--web.listen-address={self.address}"]
        self._process = self._undo.enter_context(daemons.running([*command, *flags], self.place / "log"))

    def stop(self) -> None:
        self._undo.close()

    def reload(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)


class Asked(Prometheus):
    """A Prometheus that is asked from a thread in its namespace: no look starts a program."""

    def __init__(self, host: Host, inside: Inside) -> None:
        super().__init__(host)
        self._inside = inside

    def fetch(self, url: str) -> str:
        return self._inside.fetch(url)

    def is_ready(self) -> bool:
        try:
            return "Ready" in self.fetch(f"http://{ADDRESS}/-/ready")
        except (OSError, HTTPError):
            return False

    def series(self, selector: str) -> list[dict[str, Any]]:
        """The samples of a range selector: `metric` and `values`, which are pairs of a time and a text."""
        found: list[dict[str, Any]] = self._api(f"query?query={quote(selector)}")["result"]
        return found


class Lab:
    """What the faults of a module share. They add hosts, exporters and targets before Prometheus starts."""

    def __init__(self, place: Path, net: Namespace, stack: ExitStack) -> None:
        self.place, self.net, self.stack = place, net, stack
        self.inside = stack.enter_context(Inside(net.client))
        self.hosts: list[FaultyHost] = []
        self.probed: list[str] = []  # targets of the job that probes at every scrape
        self.names: dict[str, str] = {}  # of addresses, for the exporters' /etc/hosts
        self.exporters: list[Exporter] = []
        self.main = self.exporter("main")
        self.prometheus: Asked
        self.alertmanager: Alertmanager
        self.receiver: Receiver

    def host(self, name: str) -> FaultyHost:
        """A new host, without a server yet."""
        made = FaultyHost(self.net, self.place / name, len(self.hosts), self.stack)
        self.hosts.append(made)
        return made

    def exporter(self, name: str, **configuration: Any) -> Exporter:
        """A new exporter; it starts with the others."""
        made = Exporter(self.place / f"exporter-{name}", self.net.client, **configuration)
        self.exporters.append(made)
        self.stack.callback(made.stop)
        return made

    def times(self, alert: str, state: str, place: str) -> list[float]:
        """When Prometheus has seen an alert of this place in this state, in seconds since the epoch."""
        found = self.prometheus.series(f'ALERTS{{alertname="{alert}",alertstate="{state}"}}[1h]')
        mine = [one for one in found if (one["metric"].get("target") or one["metric"]["instance"]) == place]
        return sorted(float(at) for one in mine for at, _ in one["values"])

    def configuration(self) -> dict[str, Any]:
        """The shipped configuration of Prometheus for what is here, with the shipped part about Alertmanager."""
        probes, own, local = (
            job for name in JOBS for job in shipped("prometheus.yml")["scrape_configs"] if job["job_name"] == name
        )
        probes["static_configs"] = [{"targets": self.probed}]
        (towards,) = [rule for rule in probes["relabel_configs"] if rule.get("target_label") == "__address__"]
        towards["replacement"] = self.main.address
        probes |= {"scrape_interval": PROBE, "scrape_timeout": PROBE}
        own["static_configs"] = [{"targets": [one.address for one in self.exporters]}]
        # As the shipped file says of other ports than 22.
        (named,) = local["relabel_configs"]
        hosts = [host for host in self.hosts if host.local]
        local["static_configs"] = [{"targets": [f"{host.address}:{METRICS_PORT}" for host in hosts]}]
        local["relabel_configs"] = [
            named | {"regex": f"({host.address}):\\d+", "replacement": f"$1:{host.sshd.port}"} for host in hosts
        ]
        for job in (own, local):
            job |= {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE}
        return {
            "global": {"evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [probes, own, local],
            **of_alertmanager("alerting.yml"),
        }

    @contextmanager
    def _prometheus(self) -> Iterator[Asked]:
        (self.place / "rules.yml").write_text(json.dumps(faster(shipped("rules.yml"))))
        (self.place / "prometheus.yml").write_text(json.dumps(self.configuration()))
        command = [
            "prometheus",
            f"--config.file={self.place / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.place / 'data'}",
            f"--web.listen-address={ADDRESS}",
        ]
        log = self.place / "prometheus.log"
        with daemons.running([*self.net.client.prefix, *command], log) as process:
            made = Asked(self.net.client, self.inside)

            def is_ready() -> bool:
                assert process.poll() is None, log.read_text()
                return made.is_ready()

            wait_for(is_ready, START_SECONDS)
            yield made

    def start(self) -> None:
        """Start what is not a fault's own, when every fault has laid out what it needs."""
        lines = "".join(f"{address} {name}\n" for address, name in self.names.items())
        if lines:
            self.stack.enter_context(self.net.client.files(hosts="127.0.0.1 localhost\n" + lines))
        for one in self.exporters:
            one.start()
        self.receiver = self.stack.enter_context(Receiver(self.inside))
        routes = faster(of_alertmanager("alertmanager.yml"))
        self.alertmanager = self.stack.enter_context(alertmanager(self.place, self.net.client, self.inside, routes))
        self.prometheus = self.stack.enter_context(self._prometheus())
