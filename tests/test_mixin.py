"""The monitoring mixin: what is rendered is what it gives, and a site's own configuration reaches every rule."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from contrib.generators import mixin

MIXIN = mixin.HERE
README = (MIXIN / "README.md").read_text("utf-8")
SOURCES = sorted(path for path in MIXIN.rglob("*sonnet"))
# Series by the selector of the configuration that is theirs; words of PromQL do not begin so. `up` is of both sides.
OURS = r"(?<![\w:])(?:target:)?ssh_exchange\w+(?::\w+)*"
OF_HOSTS = r'\bup(?=\{[^}]*job="sshd_local")'
EXCHANGE = re.compile(rf"(?:{OURS}|\bprobe_success|(?!{OF_HOSTS})\bup\b)(\{{[^}}]*\}})?")
HOST = re.compile(rf"(?:\bsshd_local_\w+|{OF_HOSTS})(\{{[^}}]*\}})?")
OVERRIDE = """{ _config+:: {
  exchangeSelector: 'site="fra"', hostSelector: 'site="ber"', targetLabels: ['site', 'job', 'instance', 'target'],
  exporterUrl: 'https://exporter.example', certificateDays: 14, interval: '30s', pending+: { SshExchangeDown: '10m' },
} }"""


def rendered(override: str = "{}") -> list[dict[str, Any]]:
    """The groups of rules of a configuration."""
    mixed = f"local mixin = (import 'mixin.libsonnet') + {override};"
    groups = mixin.evaluate(f"{mixed} mixin.prometheusRules.groups + mixin.prometheusAlerts.groups")
    assert isinstance(groups, list)
    return groups


def rules(groups: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for group in groups:
        yield from group["rules"]


def named(groups: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (rule for rule in rules(groups) if rule.get("alert") == name)
    return found


def check(place: Path, groups: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    if not shutil.which("promtool"):
        pytest.skip("promtool not found: install the package prometheus")
    (place / "rules.yml").write_text(json.dumps({"groups": groups}))  # JSON is YAML
    command = ["promtool", "check", "rules", "--lint=all", "--lint-fatal", "rules.yml"]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=60)


def stripped(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the line end that an expression of several lines may have."""
    return [
        {**group, "rules": [{**rule, "expr": rule["expr"].rstrip("\n")} for rule in group["rules"]]} for group in groups
    ]


def test_the_rendered_files_are_what_the_mixin_gives() -> None:
    assert (MIXIN.parent / "rules.yml").read_text("utf-8") == mixin.rules(), "make contrib"
    rule = MIXIN.parents[1] / "kubernetes" / "prometheusrule.yml"
    assert rule.read_text("utf-8") == mixin.prometheus_rule(), "make contrib"


def test_the_yaml_says_what_the_mixin_says() -> None:
    for text in (mixin.rules(), mixin.prometheus_rule()):
        document = YAML(typ="safe").load(text)
        groups = document["spec"]["groups"] if "spec" in document else document["groups"]
        assert stripped(groups) == stripped(rendered())
        assert max(map(len, text.splitlines())) <= mixin.WIDTH


@pytest.mark.parametrize(
    "text",
    ["plain", "a: b", "it's", "a #b", "#a", "- a", "5m", "{{ $labels.a }}", "50%", "true: ", "x " * 100 + "end",
     "{{ with printf \"" + "a" * 90 + "\" $x | query }} and {{ . }} it's " + "b " * 20 + "c"],
)  # fmt: skip
def test_a_string_is_read_as_it_was_written(text: str) -> None:
    written = "\n".join(mixin._text("", "key", text))
    assert YAML(typ="safe").load(written) == {"key": text}


def test_a_string_that_yaml_would_change_is_refused() -> None:
    with pytest.raises(AssertionError, match="lose a space"):
        list(mixin._text("", "key", "two  spaces " * 20))


def test_the_dashboards_are_those_of_grafana() -> None:
    made = mixin.evaluate("(import 'mixin.libsonnet').grafanaDashboards")
    shipped = {path.name: json.loads(path.read_text("utf-8")) for path in (MIXIN.parents[1] / "grafana").glob("*.json")}
    assert shipped
    assert made == {f"ssh-exchange-{name}": dashboard for name, dashboard in shipped.items()}


def test_every_alert_has_its_pending_time_and_no_other_is_configured() -> None:
    alerts = [rule for rule in rules(rendered()) if "alert" in rule]
    pending = mixin.evaluate("(import 'mixin.libsonnet')._config.pending")
    assert {alert["alert"] for alert in alerts} == set(pending)
    for alert in alerts:
        assert alert.get("for", "0m") == pending[alert["alert"]]


def test_the_selectors_of_a_site_reach_every_series() -> None:
    selectors = {'site="fra"': EXCHANGE, 'site="ber"': HOST}
    found = set()
    for rule in rules(rendered(OVERRIDE)):
        # Labels and grouping have names of their own.
        bare = re.sub(r"\b(?:by|on)\s*\([^)]*\)", "", rule["expr"])
        assert "sshd_local" not in re.sub(HOST, "", bare), rule
        for selector, series in selectors.items():
            for one in series.finditer(bare):
                assert one[1] is not None, (rule, one[0])
                assert selector in one[1], (rule, one[0])
                found.add(re.split(r"[{]", one[0])[0])
    assert {"up", "probe_success", "ssh_exchange_cause", "sshd_local_startups"} <= found
    assert "target:ssh_exchange_early_close:ratio_rate1h" in found
    default = [rule["expr"] for rule in rules(rendered())]
    assert not [expression for expression in default if "site=" in expression]


def test_the_rest_of_a_configuration_reaches_its_rules(tmp_path: Path) -> None:
    groups = rendered(OVERRIDE)
    assert {group["interval"] for group in groups} == {"30s"}
    assert "interval" not in rendered()[0]
    down = named(groups, "SshExchangeDown")
    assert down["for"] == "10m"
    assert "for 10 minutes" in down["annotations"]["description"]
    assert "by (site, job, instance, target)" in down["expr"]
    assert "< 14 * 86400" in named(groups, "SshExchangeHostCertificateEnds")["expr"]
    for rule in rules(groups):
        if "alert" in rule:
            link = rule["annotations"]["runbook_url"]
            assert link.startswith("https://exporter.example/"), link
            assert "build_info" not in link
    done = check(tmp_path, groups)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_severity_of_the_fast_burn_and_the_job_of_the_hosts_are_a_sites_own() -> None:
    fast, absent = "SshExchangeEarlyCloseBurnsFast", "SshdLocalAbsent"
    assert named(rendered(), fast)["labels"]["severity"] == "warning"
    groups = rendered("{ _config+:: { burnSeverity: 'critical', hostJobSelector: 'job=\"node\"' } }")
    assert named(groups, fast)["labels"]["severity"] == "critical"
    assert named(groups, absent)["expr"].count('up{job="node"}') == 2
    assert 'sshd_local"' not in named(groups, absent)["expr"]


def test_a_scheme_alone_leaves_the_address_to_be_found() -> None:
    for rule in rules(rendered("{ _config+:: { exporterScheme: 'https' } }")):
        if "alert" in rule:
            assert rule["annotations"]["runbook_url"].startswith("https://{{ ")


def test_every_number_of_the_configuration_changes_a_rule() -> None:
    config = mixin.evaluate("(import 'mixin.libsonnet')._config")
    numbers = [name for name, value in config.items() if isinstance(value, (int, float))]
    assert len(numbers) > 5
    default = rendered()
    for name in numbers:
        assert rendered(f"{{ _config+:: {{ {name}: {config[name] * 2 + 1} }} }}") != default, name


def test_promtool_refuses_a_broken_selector(tmp_path: Path) -> None:
    assert check(tmp_path, rendered()).returncode == 0
    assert check(tmp_path, rendered("{ _config+:: { hostSelector: 'site=fra' } }")).returncode != 0


def test_an_alert_of_a_site_fires_for_its_servers_only_and_links_to_its_address(tmp_path: Path) -> None:
    assert check(tmp_path, rendered(OVERRIDE)).returncode == 0
    servers = [
        {"series": f'ssh_exchange_cause{{job="j",instance="a:22",site="{site}",cause="stalled"}}', "values": "1x20"}
        for site in ("fra", "ber")
    ]
    alert = {
        "exp_labels": {"job": "j", "instance": "a:22", "site": "fra", "cause": "stalled", "severity": "critical"},
        "exp_annotations": {
            "summary": "An SSH server accepts connections and stays silent.",
            "description": "a:22 has sent no identification for 5 minutes; its host may be overloaded or sshd stopped.",
            "runbook_url": "https://exporter.example/runbook/stalled",
        },
    }
    test = {
        "interval": "1m",
        "input_series": servers,
        "alert_rule_test": [{"eval_time": "10m", "alertname": "SshExchangeStalled", "exp_alerts": [alert]}],
    }
    (tmp_path / "tests.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [test]}))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_the_readme_is_good(tmp_path: Path) -> None:
    example, _ = re.findall(r"^```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    groups = mixin.evaluate(example)["groups"]
    assert named(groups, "SshExchangeDown")["for"] == "10m"
    done = check(tmp_path, groups)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_key_of_the_readme_is_one_of_the_configuration() -> None:
    config = mixin.evaluate("(import 'mixin.libsonnet')._config")
    assert set(re.findall(r"\b[a-z]+(?:Selector|Url|Days)\b", README)) <= set(config)
    folders = {path.name for path in MIXIN.iterdir() if path.is_dir()}
    assert folders <= set(re.findall(r"`(\w+)/`", README))


# --- Debian's jsonnet


def need(program: str) -> str:
    if not (found := shutil.which(program)):
        pytest.skip(f"{program} not found: install the package jsonnet")
    return found


def test_the_sources_are_formatted() -> None:
    assert len(SOURCES) > 8
    done = subprocess.run([need("jsonnetfmt"), "--test", *SOURCES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"jsonnetfmt -i: {done.stderr}"
    for path in SOURCES:
        assert max(map(len, path.read_text().splitlines())) <= mixin.WIDTH, path


def test_badly_formatted_jsonnet_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.jsonnet").write_text("{a:1}")
    done = subprocess.run([need("jsonnetfmt"), "--test", tmp_path / "a.jsonnet"], capture_output=True, timeout=60)
    assert done.returncode != 0


def test_another_jsonnet_gives_the_same(tmp_path: Path) -> None:
    done = subprocess.run([need("jsonnet"), "rules.jsonnet"], cwd=MIXIN, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["groups"] == rendered()


def test_the_readme_ends_in_the_check() -> None:
    assert README.rstrip().endswith("```")
    *_, block = re.findall(r"^```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    need("jsonnet")
    if not shutil.which("promtool"):
        pytest.skip("promtool not found: install the package prometheus")
    done = subprocess.run(["sh", "-ec", block], cwd=MIXIN.parents[2], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
