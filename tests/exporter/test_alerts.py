"""The shipped alerts: each is tried by promtool, names metrics that the code writes, and links to a page that opens."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import EARLY_CLOSES, NOT_ACCEPTED
from check_ssh_exchange.host import openmetrics
from check_ssh_exchange.host.items import ITEMS
from ssh_exchange_exporter.exposition import fleet_text, series
from ssh_exchange_exporter.own_metrics import OwnMetrics

from .program import ROOT, running
from .prometheus import CONTRIB, missing, shipped

RULES: list[dict[str, Any]] = [rule for group in shipped("rules.yml")["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
NAMES = [alert["alert"] for alert in ALERTS]
TRIED = [one for test in shipped("rules_test.yml")["tests"] for one in test.get("alert_rule_test", ())]
SUFFIXES = {
    "counter": ("_total",),
    "info": ("_info",),
    "histogram": ("_bucket", "_count", "_sum"),
    "summary": ("", "_count", "_sum"),
}
OF_PROMETHEUS = {"up"}
# What PromQL says by words that are neither functions nor metrics.
WORDS = {"and", "or", "unless", "offset", "bool"}
GROUPING = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"
OPENS = re.compile(r"/runbook/(?P<cause>\w*)$|/config$|:\d+/$")


def written(families: Mapping[str, tuple[str, str]]) -> set[str]:
    """The names of the samples of families by name and type."""
    return {name + suffix for name, (kind, _) in families.items() for suffix in SUFFIXES.get(kind, ("",))}


def metrics() -> set[str]:
    """Every name that the exporter or check_sshd_local writes."""
    own = {sample.name for family in OwnMetrics().registry.collect() for sample in family.samples}
    families = {family.name: (family.type, "") for family in OwnMetrics().registry.collect()}  # also without a value
    exporter = written(series.FAMILIES) | written(fleet_text.FAMILIES) | own | written(families)
    return exporter | written(openmetrics.FAMILIES)


def named(expression: str) -> set[str]:
    """The metrics of an expression: the words that are left without strings, labels, ranges and functions."""
    bare = re.sub(r'"(?:\\.|[^"\\])*"', " ", expression)
    bare = re.sub(r"\{[^{}]*\}|\[[^\[\]]*\]|\boffset\s+\w+|" + GROUPING, " ", bare)
    words = re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)
    return set(words) - WORDS


def expressions() -> Iterator[tuple[str, str]]:
    """What Prometheus evaluates: the expression of a rule, and the queries of its annotations."""
    for rule in RULES:
        name = rule.get("alert") or rule["record"]
        yield name, rule["expr"]
        for text in rule.get("annotations", {}).values():
            yield from ((name, query) for query in re.findall(r'query "(\w+)"', text))
            yield from ((name, query) for query in re.findall(r'printf "(\w+\{)', text))


def label_values(label: str) -> Iterator[set[str]]:
    for rule in RULES:
        for values in re.findall(rf'\b{label}(?:=|!=|=~|!~)"([^"]+)"', rule["expr"]):
            yield set(values.split("|"))


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (job, le) (rate(a_total{x="b_c", y=~"d{1}"}[5m])) > 0', {"a_total"}),
        ("a unless on (job) last_over_time(b[1d] offset 1h) and c offset 5m", {"a", "b", "c"}),
        ("level:a_b:rate5m > 14.4 * 0.01 or time() - c > 1e3", {"level:a_b:rate5m", "c"}),
        ('label_replace(a{b!=""} == 1, "d", "$1", "e", "(.+)")', {"a"}),
    ],
)
def test_the_metrics_of_an_expression_are_found(expression: str, names: set[str]) -> None:
    assert named(expression) == names


def test_every_metric_of_a_rule_is_written_by_the_code_or_by_a_rule() -> None:
    known = metrics() | {rule["record"] for rule in RULES if "record" in rule} | OF_PROMETHEUS
    found = [(rule, named(expression)) for rule, expression in expressions()]
    assert [(rule, names - known) for rule, names in found if names - known or not names] == []
    every = {name for _, names in found for name in names}
    assert {"probe_success", "ssh_exchange_cause", "sshd_local_startups"} <= every


def test_every_value_of_a_label_is_a_word_that_there_is() -> None:
    items = {item.name for item in ITEMS}
    drops = set(openmetrics._DROPS.values())
    assert all(values <= set(Cause) for values in label_values("cause"))
    assert all(values <= items for values in label_values("item"))
    assert all(values <= drops for values in label_values("reason"))
    endings = [set(EARLY_CLOSES), set(NOT_ACCEPTED), {"completed"}]
    assert all(values in endings for values in label_values("ending"))


def test_a_rule_has_what_an_alert_needs() -> None:
    assert len(NAMES) == len(set(NAMES))
    for alert in ALERTS:
        assert alert["alert"].startswith(("SshExchange", "SshdLocal")), alert
        assert alert["labels"]["severity"] in ("warning", "critical"), alert
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}, alert
        assert re.fullmatch(r"[A-Zcs][^{}]*\.", alert["annotations"]["summary"]), alert  # a sentence that never changes
        assert "{{" in alert["annotations"]["description"], alert


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_is_tried_firing_and_not_firing(name: str) -> None:
    tries = [bool(one["exp_alerts"]) for one in TRIED if one["alertname"] == name]
    assert set(tries) == {True, False}


def promtool(where: Path) -> subprocess.CompletedProcess[str]:
    if reason := missing("promtool"):
        pytest.skip(reason)
    command = ["promtool", "test", "rules", "rules_test.yml"]
    return subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=300)


def test_the_alerts_fire_when_they_should_by_promtool() -> None:
    done = promtool(CONTRIB)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_misses_every_alert_that_does_not_fire(tmp_path: Path) -> None:
    shutil.copy(CONTRIB / "rules_test.yml", tmp_path)
    text = (CONTRIB / "rules.yml").read_text()
    (tmp_path / "rules.yml").write_text(re.sub(r"^( +)- alert: ", r"\1- alert: Not", text, flags=re.MULTILINE))
    done = promtool(tmp_path)
    assert done.returncode != 0
    assert set(re.findall(r"alertname: (\w+),", done.stdout + done.stderr)) == set(NAMES)


def test_every_link_of_an_alert_opens(tmp_path: Path) -> None:
    links = {alert["exp_annotations"]["runbook_url"] for one in TRIED for alert in one["exp_alerts"]}
    assert all(OPENS.search(link) for link in links), links
    with running(tmp_path) as exporter:
        for path in {"/" + link.split("/", 3)[3] for link in links}:
            assert exporter.get(path).status == 200, path


def test_the_readme_ends_in_the_check(tmp_path: Path) -> None:
    readme = (ROOT / "contrib" / "prometheus" / "README.md").read_text()
    (block,) = re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert readme.rstrip().endswith("```")
    if reason := missing("promtool"):
        pytest.skip(reason)
    done = subprocess.run(["sh", "-ec", block], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
