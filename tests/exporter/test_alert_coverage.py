"""Whatever cause the exporter names, and whatever item of a host is not in order, an alert fires: tried by promtool."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import EARLY_CLOSES, NOT_ACCEPTED, Ending
from check_ssh_exchange.host.items import NAMES as ITEMS

from .prometheus import CONTRIB, missing, shipped

ALERTS = {rule["alert"] for group in shipped("rules.yml")["groups"] for rule in group["rules"] if "alert" in rule}
MINUTES = 40  # longer than any alert waits
JOBS = {"ssh_exchange": {}, "ssh_exchange_exporter": {"target": "bastion.example:22"}}
OK, WARNING, CRITICAL, UNKNOWN = range(4)


class Seen(NamedTuple):
    """How the handshakes of a probe with some cause end, five at most, and the alert that is to fire for it."""

    endings: dict[str, int]
    alert: str


SEEN = {
    Cause.MAXSTARTUPS: Seen({Ending.COMPLETED: 3, Ending.TURNED_AWAY: 2}, "SshExchangeTurnsConnectionsAway"),
    Cause.PER_SOURCE_LIMIT: Seen({Ending.COMPLETED: 3, Ending.CLOSED: 2}, "SshExchangePenalised"),
    Cause.PENALTY: Seen({Ending.TURNED_AWAY: 5}, "SshExchangePenalised"),
    Cause.RATE_LIMIT: Seen({Ending.COMPLETED: 2, Ending.CONNECT_TIMEOUT: 3}, "SshExchangePenalised"),
    Cause.BANNED: Seen({Ending.REJECTED: 5}, "SshExchangeMonitorBanned"),
    Cause.FILTERED: Seen({Ending.CONNECT_TIMEOUT: 5}, "SshExchangeDown"),
    Cause.NOT_LISTENING: Seen({Ending.REFUSED: 5}, "SshExchangeDown"),
    Cause.ACCESS_DENIED: Seen({Ending.CLOSED: 5}, "SshExchangeMonitorBanned"),
    Cause.SERVER_FAULT: Seen({Ending.RESET: 5}, "SshExchangeServerFault"),
    Cause.STALLED: Seen({Ending.BANNER_TIMEOUT: 5}, "SshExchangeStalled"),
    Cause.SLOW: Seen({Ending.COMPLETED: 5}, "SshExchangeSlow"),
    Cause.PROXY: Seen({Ending.NOT_SSH: 5}, "SshExchangeNobodyGetsIn"),
    Cause.TARPIT: Seen({Ending.BANNER_TIMEOUT: 5}, "SshExchangeNobodyGetsIn"),
    Cause.NOT_SSH: Seen({Ending.NOT_SSH: 5}, "SshExchangeNobodyGetsIn"),
    Cause.ADDRESS_FAMILY: Seen({Ending.COMPLETED: 5}, "SshExchangeAddressFamily"),
    Cause.UNREACHABLE: Seen({Ending.UNREACHABLE: 5}, "SshExchangeDown"),
    Cause.NAME_RESOLUTION: Seen({}, "SshExchangeDown"),
    Cause.INCOMPATIBLE: Seen({Ending.COMPLETED: 5}, "SshExchangeNobodyGetsIn"),
    Cause.HOST_KEY: Seen({Ending.COMPLETED: 5}, "SshExchangeHostKeyChanged"),
    Cause.UNEXPLAINED: Seen({Ending.COMPLETED: 3, Ending.CLOSED: 2}, "SshExchangeRandomEarlyDrop"),
}
HEALTHY = Seen({Ending.COMPLETED: 5}, "")


def series(name: str, labels: dict[str, str], value: float, step: float = 0.0) -> dict[str, str]:
    """One input series: a value that stays, or one that grows."""
    written = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return {"series": f"{name}{{{written}}}", "values": f"{value}+{step}x{MINUTES}"}


def told(cause: Cause, seen: Seen) -> Iterator[dict[str, str]]:
    """What Prometheus reads of one server at /probe and as a background target."""
    completed = seen.endings.get(Ending.COMPLETED, 0)
    closed = sum(count for ending, count in seen.endings.items() if ending in EARLY_CLOSES)
    accepted = sum(count for ending, count in seen.endings.items() if ending not in NOT_ACCEPTED)
    state = OK if cause is Cause.HEALTHY else UNKNOWN if cause is Cause.NAME_RESOLUTION else CRITICAL
    for job, target in JOBS.items():
        labels = {"job": job, "instance": "exporter.example:10922" if target else "bastion.example:22", **target}
        yield series("up", {"job": job, "instance": labels["instance"]}, 1)
        yield series("ssh_exchange_state", labels, state)
        yield from (series("ssh_exchange_cause", {**labels, "cause": one}, float(one is cause)) for one in Cause)
        if accepted:
            yield series("ssh_exchange_early_close_ratio", labels, closed / accepted)
        for ending in Ending:
            count = seen.endings.get(ending, 0)
            if target:
                yield series("ssh_exchange_handshakes_total", {**labels, "ending": ending}, 0, count)
            else:
                yield series("ssh_exchange_handshakes", {**labels, "ending": ending}, count)
        if not target:
            yield series("probe_success", labels, float(completed > 0))


def firing(matchers: str, *by: str) -> str:
    return f'group by ({", ".join(by)}) (ALERTS{{alertstate="firing",{matchers}}})'


def expected(expression: str, *labels: dict[str, str]) -> dict[str, Any]:
    """An expression with the value 1 for each of these."""
    samples = [
        {"labels": json.dumps(one).replace('": "', '="').replace('{"', "{").replace(', "', ", ")} for one in labels
    ]
    return {"expr": expression, "eval_time": f"{MINUTES}m", "exp_samples": [{**one, "value": 1} for one in samples]}


def of_causes() -> Iterator[dict[str, Any]]:
    for cause, seen in SEEN.items():
        jobs = [{"job": job} for job in JOBS]
        asked = expected(firing(f'alertname="{seen.alert}"', "job"), *jobs)
        yield {"name": cause, "input_series": list(told(cause, seen)), "promql_expr_test": [asked]}
    nothing = expected(firing("", "alertname"))
    yield {"name": "healthy", "input_series": list(told(Cause.HEALTHY, HEALTHY)), "promql_expr_test": [nothing]}


def of_items() -> Iterator[dict[str, Any]]:
    for severity, state in (("critical", CRITICAL), ("warning", WARNING)):
        host = {"job": "sshd_local", "instance": "bastion.example:22"}
        given = [series("sshd_local_item_state", {**host, "item": item}, state) for item in ITEMS]
        asked = expected(firing(f'severity="{severity}"', "item"), *({"item": item} for item in ITEMS))
        once = {"expr": f"count({firing('', 'item', 'alertname')}) / {len(ITEMS)}", "eval_time": f"{MINUTES}m"}
        once["exp_samples"] = [{"value": 1}]  # type: ignore[assignment]
        yield {"name": f"items {severity}", "input_series": given, "promql_expr_test": [asked, once]}


def promtool(place: Path, rules: str, *tests: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    if reason := missing("promtool"):
        pytest.skip(reason)
    (place / "rules.yml").write_text(rules)
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", **test} for test in tests],
    }
    (place / "tests.yml").write_text(json.dumps(document))  # JSON is YAML
    command = ["promtool", "test", "rules", "tests.yml"]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)


def test_every_cause_is_in_the_table() -> None:
    assert set(SEEN) == set(Cause) - {Cause.HEALTHY}
    assert {seen.alert for seen in SEEN.values()} <= ALERTS


def test_an_alert_fires_for_every_cause_both_ways_and_none_for_a_healthy_server(tmp_path: Path) -> None:
    done = promtool(tmp_path, (CONTRIB / "rules.yml").read_text(), *of_causes())
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_alert_fires_for_every_item_that_is_critical_or_warns(tmp_path: Path) -> None:
    done = promtool(tmp_path, (CONTRIB / "rules.yml").read_text(), *of_items())
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_cause_and_an_item_that_an_alert_forgets_are_found(tmp_path: Path) -> None:
    rules = (CONTRIB / "rules.yml").read_text()
    for word in ("|tarpit", "|host_keys"):
        assert word in rules
        rules = rules.replace(word, "", 1)
    tests = [*(test for test in of_causes() if test["name"] in (Cause.PROXY, Cause.TARPIT)), *of_items()]
    done = promtool(tmp_path, rules, *tests)
    assert done.returncode != 0
    said = (done.stdout + done.stderr).replace("\\", "")
    assert said.count('expr: "') == 3  # not that of proxy, nor those of the items that warn
    assert 'alertname="SshExchangeNobodyGetsIn"' in said
    assert 'severity="critical"' in said
