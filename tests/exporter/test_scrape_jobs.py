"""contrib/prometheus/prometheus.yml as it is shipped, but for names and the interval: every job on real components.

A real Prometheus scrapes the exporter, which probes a real sshd, and Debian's node_exporter with what check_sshd_local
writes.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.lab import daemons, network, zoo
from tests.lab.network import Namespace

from . import prometheus
from .program import ROOT, running
from .prometheus import CONTRIB, EXPORTER, SCRAPE, Prometheus, missing, shipped

NODE_EXPORTER = "prometheus-node-exporter"
LOCAL = (sys.executable, "-m", "check_ssh_exchange.host", "--output-format", "openmetrics")
JOBS = ("ssh_exchange", "ssh_exchange_files", "ssh_exchange_exporter", "sshd_local")
NODE_PORT = 9100
SECONDS = 90.0  # Prometheus first scrapes after five seconds; ninety are for a machine under load


def replaced(value: Any, names: dict[str, str]) -> Any:
    """A document with other names in its strings."""
    text = json.dumps(value)
    for name, other in names.items():
        assert name in text, name
        text = text.replace(name, other)
    return json.loads(text)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, str]]:
    """Prometheus, and the name of the SSH server in all jobs."""
    if reason := missing("prometheus", NODE_EXPORTER) or network.missing() or zoo.missing():
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("jobs")
    with ExitStack() as stack:
        net = stack.enter_context(Namespace())
        host = net.server.ipv4[0]
        options = {"MaxStartups": "100"}
        sshd = stack.enter_context(zoo.server("openssh-9.2", address=host, prefix=net.server.prefix, options=options))
        name = f"{host}:{sshd.port}"
        textfiles = place / "textfiles"
        textfiles.mkdir()
        written = subprocess.run(
            [*LOCAL, "--port", str(sshd.port)], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert "sshd_local_item_state" in written.stdout, written
        (textfiles / "sshd_local.prom").write_text(written.stdout)
        node = [
            NODE_EXPORTER, f"--web.listen-address={host}:{NODE_PORT}",
            f"--collector.textfile.directory={textfiles}",
        ]  # fmt: skip
        stack.enter_context(daemons.running([*net.server.prefix, *node], place / "node.log"))
        background = replaced(shipped("background.yml"), {"build.example:22": name})
        stack.enter_context(
            running(place, json.dumps(background), f"--web.listen-address={EXPORTER}", prefix=net.client.prefix)
        )
        (place / "targets.yml").write_text((CONTRIB / "targets.yml").read_text().replace("db.example:22", name))
        names = {
            "bastion.example:22": name,
            f"bastion.example:{NODE_PORT}": f"{host}:{NODE_PORT}",
            "$1:22": f"$1:{sshd.port}",
        }
        configuration = replaced(shipped("prometheus.yml"), names)
        for job in configuration["scrape_configs"]:
            job |= {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE}
        yield stack.enter_context(prometheus.running(place, net.client, configuration)), name


def wait(server: Prometheus, label: str, expression: str, expected: set[str]) -> None:
    """Wait until a query has a value for each of these."""
    until = time.monotonic() + SECONDS
    while not expected <= (found := set(server.by(label, expression))):
        assert time.monotonic() < until, f"{expression} has {found}, not {expected}"
        time.sleep(0.5)  # each look starts a program


pytestmark = pytest.mark.real


def test_every_job_of_the_shipped_configuration_is_scraped(scraped: tuple[Prometheus, str]) -> None:
    server, _ = scraped
    assert {job["job_name"] for job in shipped("prometheus.yml")["scrape_configs"]} == set(JOBS)
    wait(server, "job", "max by (job) (up) == 1", set(JOBS))


def test_a_target_of_a_file_is_probed_and_has_its_labels(scraped: tuple[Prometheus, str]) -> None:
    server, name = scraped
    wait(server, "instance", 'probe_success{job="ssh_exchange_files",site="fra"} == 1', {name})


def test_a_background_target_has_its_labels(scraped: tuple[Prometheus, str]) -> None:
    server, name = scraped
    wait(server, "target", 'ssh_exchange_cause{job="ssh_exchange_exporter",site="fra",cause="healthy"} == 1', {name})


def test_the_host_side_joins_the_remote_side(scraped: tuple[Prometheus, str]) -> None:
    server, name = scraped
    query = 'probe_success{job="ssh_exchange"} == 1 and on (instance) sshd_local_item_state{item="memory"}'
    wait(server, "instance", query, {name})
    query = 'sshd_local_last_run_timestamp_seconds * on (instance) probe_success{job="ssh_exchange"} > 0'
    wait(server, "instance", query, {name})
    # Nothing else of node_exporter's comes in by this job, but for what every scrape has.
    found = server.by("__name__", 'group by (__name__) ({job="sshd_local",__name__!~"sshd_local_.+|ALERTS.*"})')
    assert all(metric == "up" or metric.startswith("scrape_") for metric in found), found
