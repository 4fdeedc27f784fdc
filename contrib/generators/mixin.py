"""The rules of the monitoring mixin as YAML that a person can read: what Prometheus and Kubernetes get."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1] / "prometheus" / "mixin"
WIDTH = 120
# The notes are hidden fields, so that Prometheus does not see them; here they become comments.
WITH_NOTES = """
local mixin = import 'mixin.libsonnet';
local shown(one) = one { note::: super.note };
[
  shown(group) { rules: std.map(shown, super.rules) }
  for group in mixin.prometheusRules.groups + mixin.prometheusAlerts.groups
]
"""
ORDER = ("name", "interval", "record", "alert", "expr", "for", "labels", "annotations", "rules")
ANNOTATIONS = ("summary", "description", "runbook_url")
# What YAML reads as the same string without quotes.
PLAIN = re.compile(r"[A-Za-z](?:[^:#]|:(?! |$)|(?<! )#)*(?<! )|\d+[smhd]")
# A word of a template: a line does not end inside of `{{ }}`, unless that is longer than a line.
WORD = re.compile(r"(?:\{\{.*?\}\}|\S)+")

RULES = """\
# Alerts and recording rules for both ways to use the exporter (/probe and background targets), and for the metrics that
# check_sshd_local writes for node_exporter's textfile collector. Tried by `promtool test rules rules_test.yml`.
#
# `make contrib` writes this file: it is what mixin/ gives with its own config.libsonnet. Other thresholds, matchers or
# addresses belong there, or in a configuration of yours.
#
# runbook_url leads to the exporter's own page /runbook/CAUSE. A background target's alert has the exporter's address in
# its label `instance`. At /probe `instance` is the SSH server, as it is on a host, so there the address is looked up
# when the alert fires: that of an exporter that Prometheus scrapes at /metrics (every one serves the same pages), as
# prometheus.yml does in its job ssh_exchange_exporter. Write its target there as a name that your browser can open, not
# 127.0.0.1. If no exporter is scraped, the link has the address of prometheus.yml. With TLS at the exporter, set
# exporterScheme in the mixin to https. Without an exporter: `check_ssh_exchange --runbook CAUSE`.
#
# The alerts do not name a job, but for probe_success and up, whose names are not ours alone: their jobs begin with
# ssh_exchange, or are sshd_local.
groups:
"""
PROMETHEUS_RULE = """# The rules of ../prometheus/rules.yml for prometheus-operator; `make contrib` writes them.
# Your Prometheus selects them by label (its ruleSelector); kube-prometheus-stack asks for `release: ITS NAME`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: ssh-exchange
  namespace: monitoring
  labels:
    app.kubernetes.io/name: ssh-exchange-exporter
spec:
  groups:
"""


def evaluate(source: str) -> Any:
    """Return what an expression in Jsonnet is; imports begin in the mixin's folder."""
    import rjsonnet  # a dev extra, which only rendering needs

    return json.loads(rjsonnet.evaluate_snippet("rendered.jsonnet", source, jpathdir=str(HERE)))


def rules() -> str:
    """Return prometheus/rules.yml."""
    return RULES + _written(2)


def prometheus_rule() -> str:
    """Return kubernetes/prometheusrule.yml."""
    return PROMETHEUS_RULE + _written(4)


def _written(indent: int) -> str:
    return "\n".join("\n".join(_item(group, indent)) + "\n" for group in evaluate(WITH_NOTES))


def _item(value: Mapping[str, Any], indent: int) -> Iterator[str]:
    """Yield an item of a list: its note as a comment, then its keys."""
    if value["note"]:
        yield from textwrap.wrap(
            value["note"], WIDTH, initial_indent=" " * indent + "# ", subsequent_indent=" " * indent + "# "
        )
    start = "- "
    for key in (key for key in ORDER if key in value):
        lines = list(_entry(key, value[key], indent + 2))
        yield " " * indent + start + lines[0].lstrip()
        yield from lines[1:]
        start = "  "


def _entry(key: str, value: Any, indent: int) -> Iterator[str]:
    """Yield a key with its value: a string, strings by name, or a list of rules."""
    margin = " " * indent
    if isinstance(value, Mapping):
        yield f"{margin}{key}:"
        for name in sorted(value, key=lambda name: ANNOTATIONS.index(name) if name in ANNOTATIONS else -1):
            yield from _entry(name, value[name], indent + 2)
    elif isinstance(value, list):
        yield f"{margin}{key}:"
        for number, rule in enumerate(value):
            yield from [""] if number else []
            yield from _item(rule, indent + 2)
    elif "\n" in value.rstrip("\n"):
        yield f"{margin}{key}: |"
        yield from (f"{margin}  {line}" if line else "" for line in value.rstrip("\n").split("\n"))
    else:
        yield from _text(margin, key, value.rstrip("\n"))


def _text(margin: str, key: str, value: str) -> Iterator[str]:
    """Yield a string of one line; a long one is folded at its spaces, which YAML joins again."""
    written = value if PLAIN.fullmatch(value) else "'" + value.replace("'", "''") + "'"
    if len(f"{margin}{key}: {written}") <= WIDTH:
        yield f"{margin}{key}: {written}"
        return
    lines = list(_folded(value, WIDTH - len(margin) - 2))
    assert " ".join(lines) == value, f"YAML would lose a space of: {value}"  # noqa: S101
    yield f"{margin}{key}: >-"
    yield from (f"{margin}  {line}" for line in lines)


def _folded(value: str, width: int) -> Iterator[str]:
    line = ""
    for word in WORD.findall(value):
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
        if len(line) > width:
            *full, line = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
            yield from full
    yield line
