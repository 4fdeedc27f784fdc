"""The shipped files for Alertmanager, by amtool and promtool, against the shipped alerts; and the pace of the tests."""

import inspect
import json
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.lab.alertmanager import missing

from . import faults_of_monitoring, faults_of_servers, faults_of_throttling
from .faults_lab import FILES, of_alertmanager
from .faults_pace import PACE, expression, faster, scaled, seconds
from .faults_story import alerts_of, rules
from .program import ROOT
from .prometheus import shipped

ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
TOLD = [one for test in shipped("rules_test.yml")["tests"] for one in test.get("alert_rule_test", ())]
CONFIGURATION: dict[str, Any] = of_alertmanager("alertmanager.yml")
MODULES = (faults_of_servers, faults_of_throttling, faults_of_monitoring)

FAMILIES = {
    "security": {"SshExchangeHostKeyChanged"},
    "monitoring": {
        "SshExchangeBudgetSpent", "SshExchangeExporterConfigBad", "SshExchangeExporterLate",
        "SshExchangeExporterTargetFilesBad", "SshExchangeMonitorBanned", "SshExchangeMonitorBannedHere",
        "SshExchangePenalised", "SshExchangeStale", "SshdLocalAbsent", "SshdLocalLate",
    },
    "capacity": {
        "SshExchangeEarlyCloseBurnsFast", "SshExchangeEarlyCloseBurnsSlow", "SshExchangeRandomEarlyDrop",
        "SshExchangeTurnsConnectionsAway", "SshdLocalDrops", "SshdLocalStartupsHigh",
    },
}  # fmt: skip


def receiver(alert: str) -> str:
    """Who is told of an alert: its family, else by its severity."""
    named = [family for family, alerts in FAMILIES.items() if alert in alerts]
    return named[0] if named else {"critical": "page", "warning": "tickets"}[ALERTS[alert]["labels"]["severity"]]


def by(*command: str | Path) -> str:
    if reason := missing("amtool") if command[0] == "amtool" else missing("prometheus"):
        pytest.skip(reason)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- every alert


def test_every_alert_has_a_real_fault_and_every_fault_is_played() -> None:
    shown = {alert for module in MODULES for alert in alerts_of(module.FAULTS)}
    assert shown == set(ALERTS)
    for module in MODULES:
        written = {one for one in vars(module).values() if inspect.isgeneratorfunction(one)}
        assert {one for one in written if one.__module__ == module.__name__} == set(module.FAULTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_its_receiver(alert: str) -> None:
    labels = [f"alertname={alert}", f"severity={ALERTS[alert]['labels']['severity']}"]
    command = ["amtool", "config", "routes", "test", f"--config.file={FILES / 'alertmanager.yml'}", *labels]
    assert by(*command).split() == [receiver(alert)]


# --- the files


def test_amtool_accepts_the_configuration() -> None:
    out = by("amtool", "check-config", FILES / "alertmanager.yml")
    assert "SUCCESS" in out
    assert f"{len(CONFIGURATION['inhibit_rules'])} inhibit rules" in out


def test_promtool_accepts_the_shipped_configuration_with_alerting(tmp_path: Path) -> None:
    shutil.copy(ROOT / "contrib/prometheus/rules.yml", tmp_path)
    whole = shipped("prometheus.yml") | of_alertmanager("alerting.yml")
    (tmp_path / "prometheus.yml").write_text(json.dumps(whole))
    assert "SUCCESS" in by("promtool", "check", "config", tmp_path / "prometheus.yml")


def alternatives(pattern: str) -> list[str]:
    """The words that a pattern is made of: `A(B|C.+)|D` is A, B or C.+, and D."""
    parts = re.findall(r"[^|(]+(?:\([^)]*\))?", pattern)
    found = [re.fullmatch(r"([^(]*)(?:\((.*)\))?", part) for part in parts]
    return [one[1] + word for one in found if one for word in (one[2] or "").split("|")]


def matchers(found: list[str]) -> dict[str, str]:
    """Patterns by label."""
    read = [re.fullmatch(r'(\w+)(=~|=|!=)"(.*)"', one) for one in found]
    return {one[1]: re.escape(one[3]) if one[2] == "=" else one[3] for one in read if one and one[2] != "!="}


def every_matchers() -> list[list[str]]:
    def of_route(route: dict[str, Any]) -> list[list[str]]:
        own = [route["matchers"]] if "matchers" in route else []
        return own + [one for inner in route.get("routes", ()) for one in of_route(inner)]

    sides = [rule[side] for rule in CONFIGURATION["inhibit_rules"] for side in ("source_matchers", "target_matchers")]
    return of_route(CONFIGURATION["route"]) + sides


PATTERNS = sorted({found["alertname"] for found in map(matchers, every_matchers()) if "alertname" in found})


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_name_in_the_configuration_is_an_alerts(pattern: str) -> None:
    assert alternatives("A(B|C.+)|D") == ["AB", "AC.+", "D"]
    for word in alternatives(pattern):
        assert [alert for alert in ALERTS if re.fullmatch(word, alert)], word


def labels_of(alert: str) -> set[str]:
    """What Alertmanager sees on an alert: what promtool's tests say that it has, and what alerting.yml adds."""
    told = [one["exp_labels"] for test in TOLD if test["alertname"] == alert for one in test["exp_alerts"]]
    return {label for labels in told for label in labels} | {"server"}


@pytest.mark.parametrize("rule", CONFIGURATION["inhibit_rules"], ids=lambda rule: rule["source_matchers"][0])
def test_the_labels_that_a_rule_compares_are_on_both_sides(rule: dict[str, Any]) -> None:
    sides = [rule["source_matchers"], rule["target_matchers"]]
    for side in sides:
        wanted = set(rule["equal"]) | matchers(side).keys() - {"alertname"}
        for alert in ALERTS:
            if re.fullmatch(matchers(side)["alertname"], alert):
                assert wanted <= labels_of(alert), alert
    # A label that both lack would be equal.
    assert ("server" in rule["equal"]) == all('server!=""' in side for side in sides)


def test_no_rule_lets_a_warning_silence_a_critical_alert_but_for_a_proven_ban() -> None:
    found = set()
    for rule in CONFIGURATION["inhibit_rules"]:
        source, target = (matchers(rule[side])["alertname"] for side in ("source_matchers", "target_matchers"))
        for one, other in product(ALERTS, ALERTS):
            if re.fullmatch(source, one) and re.fullmatch(target, other):
                severities = (ALERTS[one]["labels"]["severity"], ALERTS[other]["labels"]["severity"])
                found |= {(one, other)} if severities == ("warning", "critical") else set()
    assert found == {("SshExchangeMonitorBannedHere", "SshExchangeDown")}


@pytest.mark.parametrize(
    ("alert", "target", "instance", "server"),
    [
        ("SshExchangeDown", "a.example:22", "127.0.0.1:10922", "a.example:22"),
        ("SshExchangeDown", "[2001:db8::22]:22", "[::1]:10922", "[2001:db8::22]:22"),
        ("SshExchangeDown", "", "a.example:22", "a.example:22"),
        ("SshdLocalDrops", "", "[2001:db8::22]:22", "[2001:db8::22]:22"),
        ("NodeDown", "", "a.example:9100", None),
    ],
)
def test_server_is_the_target_else_the_instance(alert: str, target: str, instance: str, server: str | None) -> None:
    (rule,) = of_alertmanager("alerting.yml")["alerting"]["alert_relabel_configs"]
    values = {"alertname": alert, "target": target, "instance": instance}
    found = re.fullmatch(rule["regex"], ";".join(values[label] for label in rule["source_labels"]))
    assert (found[1] if found else None) == server
    assert rule["target_label"] == "server"


def test_the_readme_ends_in_the_check(tmp_path: Path) -> None:
    readme = (FILES / "README.md").read_text()
    (block,) = re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert readme.rstrip().endswith("```")
    shutil.copytree(ROOT / "contrib", tmp_path / "contrib")
    if reason := missing("amtool", "prometheus"):
        pytest.skip(reason)
    done = subprocess.run(["sh", "-ec", block], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one["name"] for one in CONFIGURATION["receivers"] if f"`{one['name']}`" not in readme] == []


# --- the pace of the tests


@pytest.mark.parametrize(
    ("text", "faster_text"),
    [
        ("rate(a:rate5m[5m]) > 30", "rate(a:rate5m[5000ms]) > 30"),
        ("avg_over_time((a > bool 0)[1h:]) > 0.5", "avg_over_time((a > bool 0)[60000ms:]) > 0.5"),
        ("max_over_time(a[1h:1m])", "max_over_time(a[60000ms:1000ms])"),
        ("last_over_time(a[1d] offset 1h)", "last_over_time(a[1440000ms] offset 60000ms)"),
        ("time() - a_seconds > 1800 or b_age_seconds > 3600", "time() - a_seconds > 30 or b_age_seconds > 60"),
        ("time() - a_seconds > 300", "time() - a_seconds > 5"),
        ("time() - sshd_local_a_seconds > 300", "time() - sshd_local_a_seconds > 60"),
        ("a_timestamp_seconds - time() < 7 * 86400", "a_timestamp_seconds - time() < 7 * 86400"),
    ],
)
def test_spans_of_an_expression_are_scaled(text: str, faster_text: str) -> None:
    assert expression(text) == faster_text


def test_every_span_of_the_shipped_files_is_scaled() -> None:
    for document in (shipped("rules.yml"), CONFIGURATION):
        text, made = json.dumps(document), json.dumps(faster(document))
        spans = re.findall(r'(?<=[\["])(?:\d+[smhd])+(?=[\]:"])|(?<=offset )\d+[smhd]', text)
        assert spans
        assert re.findall(r'(?<=[\["])\d+ms(?=[\]:"])|(?<=offset )\d+ms', made) == [scaled(one) for one in spans]
    assert (seconds("1h30m"), scaled("1h"), PACE) == (5400.0, "60000ms", 60)
