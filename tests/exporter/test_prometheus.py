"""A real Prometheus scrapes the exporter, which probes real servers: what its queries say, and which alerts fire."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families as parse_text

from check_ssh_exchange.diagnosis.cause import Cause
from tests.lab import network, zoo
from tests.lab.fake_sshd import FIN, HEALTHY, FakeSshd
from tests.lab.network import Namespace

from .program import Program, nobody_listens, openmetrics, running, wait_for
from .prometheus import ADDRESS, CONTRIB, EXPORTER, Prometheus, missing, prometheus, shipped

SECONDS = 90.0  # Prometheus first scrapes after five seconds; ninety are for a machine under load
DEAD_PORT = 1
THROTTLED = "ssh_exchange_early_close_ratio > 0"
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}

CONFIGURATION = """
modules:
  impatient:
    handshakes: 2
    thresholds: {{warning: {{banner_p50: 0.000001}}}}
background:
  - targets: ["{healthy}", "{strict}", "{throttled}", "{banned}", "{dead}"]
    interval: 3s
    labels: {{by: default}}
  - targets: ["{healthy}"]
    module: impatient
    interval: 3s
    labels: {{by: impatient}}
"""


def in_time(look: Callable[[], bool]) -> bool:
    """Whether it comes to be so; each look starts a program, so there are not too many of them."""
    until = time.monotonic() + SECONDS
    while not (found := look()) and time.monotonic() < until:
        time.sleep(0.5)
    return found


class Lab(NamedTuple):
    """A Prometheus, its exporter and five servers by their fate."""

    prometheus: Prometheus
    exporter: Program
    configuration: Path
    healthy: str
    strict: str
    throttled: str
    banned: str
    dead: str

    @property
    def targets(self) -> set[str]:
        return {self.healthy, self.strict, self.throttled, self.banned, self.dead}

    def wait(self, label: str, expression: str, expected: dict[str, float] | set[str]) -> dict[str, float]:
        """Wait until a query has these values (or any for these labels), and return them."""
        last: dict[str, float] = {}

        def look() -> bool:
            last.clear()
            last.update(self.prometheus.by(label, expression))
            return (set(last) if isinstance(expected, set) else last) == expected

        if not in_time(look):
            pytest.fail(f"{expression} is {last}, not {expected}")
        return last

    def wait_for_one(self, label: str, expression: str, subject: str) -> None:
        """Wait until a query has a value for this subject, whatever it has for others."""
        if not in_time(lambda: subject in self.prometheus.by(label, expression)):
            pytest.fail(f"{expression} has nothing for {subject}")

    def wait_firing(self, name: str, subjects: set[str]) -> None:
        """Wait until the alert fires for these and no others."""
        last: set[str] = set()

        def look() -> bool:
            last.clear()
            last.update(alert.subject for alert in self.prometheus.firing() if alert.name == name)
            return last == subjects

        if not in_time(look):
            pytest.fail(f"{name} fires for {last}, not for {subjects}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if reason := missing("prometheus") or network.missing() or zoo.missing():
        pytest.skip(reason)
    place = tmp_path_factory.mktemp("lab")
    with ExitStack() as stack:
        net = stack.enter_context(Namespace())
        host = net.server.ipv4[0]

        def sshd(name: str = "openssh-9.2", **options: str) -> int:
            server = zoo.server(name, address=host, prefix=net.server.prefix, options=options)
            return stack.enter_context(server).port

        ports = {
            "healthy": sshd(MaxStartups="100"),
            "strict": sshd("openssh-10.0"),
            "throttled": sshd(MaxStartups="1:100:1"),
            "banned": sshd(),
            "dead": DEAD_PORT,
        }
        reject = ["-s", net.client.ipv4[0], "-p", "tcp", "--dport", str(ports["banned"]), "-j", "REJECT"]
        stack.enter_context(net.server.rule("iptables", "INPUT", *reject))
        names = {name: f"{host}:{port}" for name, port in ports.items()}
        text = CONFIGURATION.format(**names)
        exporter = stack.enter_context(running(place, text, prefix=net.client.prefix))
        address = f"127.0.0.1:{exporter.port}"
        server = stack.enter_context(prometheus(place, net.client, list(names.values()), address))
        yield Lab(server, exporter, place / "config.yml", **names)


pytestmark = pytest.mark.real


def test_every_target_is_scraped_and_only_servers_that_answer_are_a_success(lab: Lab) -> None:
    success = {lab.healthy: 1.0, lab.strict: 1.0, lab.throttled: 1.0, lab.banned: 0.0, lab.dead: 0.0}
    lab.wait("instance", "probe_success", success)
    lab.wait("instance", 'up{job="ssh_exchange"}', dict.fromkeys(lab.targets, 1.0))
    lab.wait("job", 'up{job="ssh_exchange_exporter"}', {"ssh_exchange_exporter": 1.0})
    assert max(lab.prometheus.by("instance", "probe_timeout_seconds").values()) == 1.5  # 2 s less the offset


def test_prometheus_knows_the_cause_of_every_target_by_probe_and_by_background(lab: Lab) -> None:
    causes = {
        Cause.HEALTHY: {lab.healthy, lab.strict},
        Cause.MAXSTARTUPS: {lab.throttled},
        Cause.BANNED: {lab.banned},
        Cause.NOT_LISTENING: {lab.dead},
    }
    for cause, targets in causes.items():
        lab.wait("instance", f'ssh_exchange_cause{{job="ssh_exchange",cause="{cause}"}} == 1', targets)
        lab.wait("target", f'ssh_exchange_cause{{by="default",cause="{cause}"}} == 1', targets)
    lab.wait("target", 'ssh_exchange_cause{by="impatient"} == 1', {lab.healthy})
    lab.wait("cause", 'ssh_exchange_cause{by="impatient"} == 1', {Cause.SLOW})
    # One cause each, and all the others at zero.
    assert set(lab.prometheus.by("target", 'sum by (target) (ssh_exchange_cause{by="default"})').values()) == {1.0}
    count = lab.prometheus.by("target", 'count by (target) (ssh_exchange_cause{by="default"})')
    assert count == dict.fromkeys(lab.targets, float(len(Cause)))


def test_states_are_exit_codes(lab: Lab) -> None:
    for selector, label in (('job="ssh_exchange"', "instance"), ('by="default"', "target")):
        lab.wait(label, f"ssh_exchange_state{{{selector}}} == 0", {lab.healthy, lab.strict})
        lab.wait(label, f"ssh_exchange_state{{{selector}}} == 2 unless {THROTTLED}", {lab.banned, lab.dead})
        # Whether more than half of a burst is turned away is the chance of the moment.
        lab.wait(label, f"(ssh_exchange_state{{{selector}}} > 0) < 3 and {THROTTLED}", {lab.throttled})
    lab.wait("target", 'ssh_exchange_state{by="impatient"} == 1', {lab.healthy})


def test_counters_of_background_targets_increase_by_their_endings(lab: Lab) -> None:
    for ending, targets in {
        "completed": {lab.healthy, lab.strict, lab.throttled},
        "closed|reset|turned_away": {lab.throttled},
        "rejected": {lab.banned},
        "refused": {lab.dead},
    }.items():
        series = f'ssh_exchange_handshakes_total{{by="default",ending=~"{ending}"}}'
        lab.wait("target", f"sum by (target) (increase({series}[5m])) > 0", targets)


def test_quantiles_of_a_phase_come_from_the_histogram(lab: Lab) -> None:
    series = 'ssh_exchange_phase_duration_seconds_bucket{by="default",phase="banner"}'
    query = f"histogram_quantile(0.9, sum by (target, le) (rate({series}[5m]))) > 0"
    found = lab.wait("target", query, {lab.healthy, lab.strict, lab.throttled})
    assert max(found.values()) < 10
    phases = f'sum by (phase) (ssh_exchange_phase_duration_seconds_count{{by="default",target="{lab.healthy}"}}) > 0'
    lab.wait("phase", phases, {"connect", "banner", "kexinit"})


def test_a_server_with_penalties_is_never_provoked_and_prometheus_sees_the_age_of_results(lab: Lab) -> None:
    # 5 handshakes each 2 s and 5 more each 3 s are far above the one a second that OpenSSH 10.0 forgives.
    # On a busy machine another server's result may be old for once: a probe of it was under way for too long.
    lab.wait_for_one("instance", "max_over_time(ssh_exchange_result_age_seconds[5m]) > 0", lab.strict)
    lab.wait_for_one("target", 'increase(ssh_exchange_probes_deferred_total{by="default"}[5m]) > 0', lab.strict)
    lab.wait_for_one("instance", "avg_over_time(probe_success[5m]) > 0.8", lab.strict)
    shut_out = lab.prometheus.by("instance", 'max_over_time(ssh_exchange_cause{cause="penalty"}[5m]) == 1')
    assert lab.strict not in shut_out


@pytest.mark.parametrize(
    ("alert", "subjects"),
    [
        ("SshExchangeDown", ["banned", "dead"]),
        ("SshExchangeTurnsConnectionsAway", ["throttled"]),
        ("SshExchangeRandomEarlyDrop", []),
        ("SshExchangePenalised", []),
        ("SshExchangeMonitorBanned", ["banned"]),
        ("SshExchangeMonitorBannedHere", []),
        ("SshExchangeServerFault", []),
        ("SshExchangeStalled", []),
        ("SshExchangeSlow", ["healthy"]),
        ("SshExchangeHostKeyChanged", []),
        ("SshExchangeStale", []),
        ("SshExchangeExporterDown", []),
        ("SshExchangeEarlyCloseBurnsFast", ["throttled"]),
        ("SshExchangeExporterConfigBad", []),
        ("SshExchangeExporterTargetFilesBad", []),
    ],
)
def test_an_alert_fires_for_the_right_targets(lab: Lab, alert: str, subjects: list[str]) -> None:
    lab.wait_firing(alert, {getattr(lab, subject) for subject in subjects})
    if alert in ("SshExchangeDown", "SshExchangeTurnsConnectionsAway", "SshExchangeMonitorBanned"):
        # By the scraped probe and by the background target.
        ways = dict.fromkeys(("ssh_exchange", "ssh_exchange_exporter"), float(len(subjects)))
        lab.wait("job", f'count by (job) (ALERTS{{alertname="{alert}",alertstate="firing"}})', ways)


def test_what_an_alert_says_names_its_target(lab: Lab) -> None:
    lab.wait_firing("SshExchangeTurnsConnectionsAway", {lab.throttled})
    for alert in lab.prometheus.firing():
        assert alert.subject in alert.description, alert
        assert "error" not in alert.description, alert
    (share,) = {
        a.description for a in lab.prometheus.firing() if a.name.endswith("ConnectionsAway") and "target" in a.labels
    }
    assert "% of the last connections early" in share


def test_the_runbook_page_of_an_alert_opens_from_where_prometheus_is(lab: Lab) -> None:
    lab.wait_firing("SshExchangeDown", {lab.banned, lab.dead})
    lab.wait_firing("SshExchangeSlow", {lab.healthy})
    alerts = json.loads(lab.prometheus.fetch(f"http://{ADDRESS}/api/v1/alerts"))["data"]["alerts"]
    links = {alert["annotations"]["runbook_url"] for alert in alerts}
    pages = f"http://127.0.0.1:{lab.exporter.port}/runbook/"
    assert {f"{pages}{cause}" for cause in (Cause.BANNED, Cause.NOT_LISTENING, Cause.SLOW)} <= links
    for link in links:
        assert link.startswith(pages)
        assert "<h1" in lab.prometheus.fetch(link)


def test_the_recorded_ratio_is_above_zero_where_connections_are_turned_away(lab: Lab) -> None:
    recorded = "target:ssh_exchange_early_close:ratio_rate1h"
    for label, way in (("target", 'target!=""'), ("instance", 'target=""')):
        lab.wait(label, f"{recorded}{{{way}}} > 0", {lab.throttled})
        lab.wait(label, f"{recorded}{{{way}}} == 0", {lab.healthy, lab.strict})
    assert lab.prometheus.rule_errors() == []


def test_what_prometheus_reads_is_clean_by_promtool_with_every_fate_of_a_server(lab: Lab) -> None:
    if reason := missing("promtool"):
        pytest.skip(reason)
    base = f"http://127.0.0.1:{lab.exporter.port}"
    lab.wait("target", 'ssh_exchange_state{by="default"}', lab.targets)
    for path in ("/metrics", *(f"/probe?target={target}" for target in sorted(lab.targets))):
        assert_clean(lab.prometheus.fetch(base + path))


def test_a_reload_that_fails_becomes_an_alert(lab: Lab) -> None:
    good = lab.configuration.read_text()
    lab.configuration.write_text("modules: {default: {handshakes: many}}\n")
    try:
        lab.exporter.process.send_signal(signal.SIGHUP)
        lab.wait_firing("SshExchangeExporterConfigBad", {f"127.0.0.1:{lab.exporter.port}"})
        lab.wait("target", 'ssh_exchange_state{by="default"}', lab.targets)
    finally:
        lab.configuration.write_text(good)
        lab.exporter.process.send_signal(signal.SIGHUP)
    lab.wait_firing("SshExchangeExporterConfigBad", set())


# --- without servers


def assert_clean(text: str) -> None:
    """By promtool's reading of the text format, and its lint."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), text


@pytest.fixture
def promtool() -> str:
    if reason := missing("promtool"):
        pytest.skip(reason)
    found = shutil.which("promtool")
    assert found
    return found


@pytest.mark.parametrize(
    "arguments", [["config", "prometheus.yml"], ["rules", "--lint=all", "--lint-fatal", "rules.yml"]]
)
def test_the_shipped_files_are_good_by_promtool(promtool: str, arguments: list[str]) -> None:
    done = subprocess.run([promtool, "check", *arguments], cwd=CONTRIB, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_the_shipped_configuration_asks_one_exporter_and_uses_the_shipped_rules() -> None:
    configuration = shipped("prometheus.yml")
    assert configuration["rule_files"] == ["rules.yml"]
    assert (CONTRIB / "prometheus.yml").read_text().count(EXPORTER) == 2


def test_both_formats_are_clean_for_servers_that_answer_close_and_refuse(tmp_path: Path, promtool: str) -> None:
    with FakeSshd(HEALTHY) as healthy, FakeSshd([FIN]) as closing, nobody_listens() as dead:
        targets = [f"127.0.0.1:{healthy.port}", f"127.0.0.1:{closing.port}", dead]
        text = json.dumps({"background": [{"targets": targets, "interval": "2s", "labels": {"site": 'a "b" \\ c'}}]})
        with running(tmp_path, text) as exporter:
            wait_for(lambda: len(exporter.metrics().values("ssh_exchange_state")) == len(targets), SECONDS)
            for path in ("/metrics", *(f"/probe?target={target}" for target in targets)):
                assert_clean(exporter.get(path).text)
                reply = exporter.get(path, OPENMETRICS)
                assert reply.headers["content-type"].startswith("application/openmetrics-text")
                assert names_of(openmetrics(reply.text)) == names_of(parse_text(exporter.get(path).text))


def names_of(families: Iterable[Metric]) -> set[str]:
    """The names of all samples."""
    return {sample.name for family in families for sample in family.samples}
