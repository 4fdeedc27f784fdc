"""A real Prometheus in a network namespace, its configuration made of the one that is shipped."""

import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from ruamel.yaml import YAML

from tests.lab import daemons
from tests.lab.network import Host, NetworkError

from .program import ROOT, wait_for

CONTRIB = ROOT / "contrib" / "prometheus"
EXPORTER = "127.0.0.1:10922"  # where the shipped files look for the exporter
ADDRESS = "127.0.0.1:9090"  # the namespace is ours alone, and so is its port 9090
START_SECONDS = 60.0
SCRAPE = "2s"

FETCH = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.write(opener.open(sys.argv[1], timeout=20).read().decode())
"""


def missing(*programs: str) -> str | None:
    """Which program is not there, as a sentence; None if all are."""
    absent = [program for program in programs if not shutil.which(program)]
    return f"{' and '.join(absent)} not found: install the packages {', '.join(absent)}" if absent else None


def shipped(name: str) -> Any:
    """The content of a YAML file in contrib/prometheus."""
    return YAML(typ="safe").load((CONTRIB / name).read_text())


def configuration(targets: Sequence[str], exporter: str) -> dict[str, Any]:
    """The shipped configuration for other targets, another exporter and quick scrapes."""
    made = cast("dict[str, Any]", shipped("prometheus.yml"))
    made["global"] = {"evaluation_interval": "1s"}
    jobs = {job["job_name"]: job for job in made["scrape_configs"]}
    made["scrape_configs"] = [probes, own] = [jobs[name] for name in ("ssh_exchange", "ssh_exchange_exporter")]
    probes["static_configs"] = [{"targets": list(targets)}]
    own["static_configs"] = [{"targets": [exporter]}]
    for job in (probes, own):
        job |= {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE}
    (towards,) = [rule for rule in probes["relabel_configs"] if rule.get("replacement") == EXPORTER]
    towards["replacement"] = exporter
    return made


class Series(NamedTuple):
    """One element of an instant vector."""

    labels: dict[str, str]
    value: float


class Alert(NamedTuple):
    """One alert that fires."""

    name: str
    labels: dict[str, str]
    description: str

    @property
    def subject(self) -> str:
        """What it is about: the background target, or what was scraped."""
        return self.labels.get("target") or self.labels["instance"]


class Prometheus:
    """A running Prometheus, asked by its HTTP API."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def fetch(self, url: str) -> str:
        """What a GET gives inside the namespace. Raises NetworkError."""
        return self._host.run(sys.executable, "-S", "-c", FETCH, url)

    def _api(self, path: str) -> Any:
        answer = json.loads(self.fetch(f"http://{ADDRESS}/api/v1/{path}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def is_ready(self) -> bool:
        try:
            return "Ready" in self.fetch(f"http://{ADDRESS}/-/ready")  # it listens, and answers 503, some time before
        except NetworkError:
            return False

    def query(self, expression: str) -> list[Series]:
        found = self._api(f"query?query={quote(expression)}")
        assert found["resultType"] == "vector", found
        return [Series(one["metric"], float(one["value"][1])) for one in found["result"]]

    def by(self, label: str, expression: str) -> dict[str, float]:
        """The values of a vector whose elements differ in this label."""
        series = self.query(expression)
        found = {one.labels.get(label, ""): one.value for one in series}
        assert len(found) == len(series), series
        return found

    def firing(self) -> list[Alert]:
        return [
            Alert(one["labels"]["alertname"], one["labels"], one["annotations"]["description"])
            for one in self._api("alerts")["alerts"]
            if one["state"] == "firing"
        ]

    def rule_errors(self) -> list[str]:
        """What evaluating the rules has failed with."""
        return [
            rule["lastError"]
            for group in self._api("rules")["groups"]
            for rule in group["rules"]
            if "lastError" in rule
        ]


def prometheus(place: Path, host: Host, targets: Sequence[str], exporter: str) -> AbstractContextManager[Prometheus]:
    """Run Prometheus in `host` with the shipped rules, none of which waits, and its files in `place`."""
    return running(place, host, configuration(targets, exporter))


@contextmanager
def running(place: Path, host: Host, settings: Mapping[str, Any]) -> Iterator[Prometheus]:
    """Run Prometheus in `host` with this configuration and the shipped rules, as above."""
    rules, count = re.subn(r"^( +for:) .*$", r"\1 0s", (CONTRIB / "rules.yml").read_text(), flags=re.MULTILINE)
    assert count
    (place / "rules.yml").write_text(rules)
    (place / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    command = [
        "prometheus",
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address={ADDRESS}",
    ]
    log = place / "prometheus.log"
    with daemons.running([*host.prefix, *command], log) as process:
        found = Prometheus(host)

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            return found.is_ready()

        wait_for(is_ready, START_SECONDS)
        yield found
