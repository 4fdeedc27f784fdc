"""The Zabbix templates: whole in themselves, and about metrics, causes and endings that there are."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from check_ssh_exchange.diagnosis.cause import PHRASES, Cause
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.host.items import ITEMS
from check_ssh_exchange.report import PHASES
from contrib.generators import zabbix_exchange, zabbix_local
from contrib.generators.zabbix_export import STATES
from ssh_exchange_exporter.exposition.series import QUANTILES
from tests.exporter.program import ROOT, running
from tests.exporter.test_alerts import metrics
from tests.lab import zabbix_text
from tests.lab.daemons import CONTRIB
from tests.lab.fake_sshd import FIN, HEALTHY, FakeSshd
from tests.lab.zabbix_text import NoData

FOLDER = CONTRIB / "zabbix"
MADE = {
    "ssh_exchange_by_http.yaml": zabbix_exchange.template,
    "sshd_local_by_agent.yaml": zabbix_local.template,
}
SEVERITIES = {"INFO", "WARNING", "AVERAGE", "HIGH"}
MACRO = re.compile(r"\{\$(?P<name>[A-Z0-9_.]+)(?::[^{}]*(?:\{#[A-Z]+\}\"?)?)?\}")
# An item of an expression: /TEMPLATE/KEY, where the key may have parameters in brackets.
REFERENCE = re.compile(r"/(?P<template>[^/]+)/(?P<key>[\w.]+(?:\[[^\]]*\])?)")
WRITTEN = """sshd_local_item_state{item="daemon"} 0
sshd_local_item_state{item="binaries"} 2
sshd_local_item_state{item="host_keys"} 1
sshd_local_cause{cause="healthy"} 0
sshd_local_cause{cause="server_fault"} 1
sshd_local_startups 3
sshd_local_drops_total{reason="maxstartups"} 12
sshd_local_host_key_info{type="ssh-ed25519",fingerprint="SHA256:abc"} 1
sshd_local_last_run_timestamp_seconds 1800000000.000
"""


class Template(NamedTuple):
    """The content of a file."""

    text: str
    document: Mapping[str, Any]

    @property
    def body(self) -> Mapping[str, Any]:
        (body,) = self.document["templates"]
        return dict(body)

    def rules(self) -> list[Mapping[str, Any]]:
        return list(self.body["discovery_rules"])

    def items(self) -> list[Mapping[str, Any]]:
        """Items and item prototypes."""
        return [*self.body["items"], *(item for rule in self.rules() for item in rule["item_prototypes"])]

    def triggers(self) -> list[Mapping[str, Any]]:
        """Triggers and trigger prototypes, wherever they stand."""
        found = list(self.document["triggers"])
        for element in (*self.items(), *self.rules()):
            found += [*element.get("triggers", ()), *element.get("trigger_prototypes", ())]
        return found

    def steps(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The steps of preprocessing, each with the key of its item or rule."""
        for element in (*self.items(), *self.rules()):
            yield from ((element["key"], step) for step in element.get("preprocessing", ()))


def read(name: str) -> Template:
    text = (FOLDER / name).read_text("utf-8")
    return Template(text, YAML(typ="safe").load(text)["zabbix_export"])


TEMPLATES = {name: read(name) for name in MADE}
EXCHANGE, LOCAL = TEMPLATES.values()
each = pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)


def everywhere(value: Any, key: str) -> Iterator[Any]:
    """Every value of a key, at any depth."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if name == key:
                yield one
            yield from everywhere(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from everywhere(one, key)


@pytest.mark.parametrize("name", MADE)
def test_a_file_is_what_the_code_has(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == MADE[name](), "make contrib"


@each
def test_uuids_are_of_version_4_and_each_is_used_once(template: Template) -> None:
    found = list(everywhere(template.document, "uuid"))
    assert len(found) == len(set(found)) > 20
    assert [one for one in found if not re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", one)] == []


def test_the_uuids_are_those_that_sites_have_imported() -> None:
    assert [template.body["uuid"] for template in TEMPLATES.values()] == [
        "ca7299d41dfa48e381a5a5b2b41f562e",
        "9c58c7a430a64eb4a71f71efb7a51022",
    ]
    assert EXCHANGE.document["groups"] == [
        {"uuid": "a571c0d144b14fd4a87a9d9b2aa9fcd6", "name": "Templates/Applications"}  # as Zabbix itself has it
    ]


def test_the_templates_share_only_the_group() -> None:
    both = [set(everywhere(template.document, "uuid")) for template in TEMPLATES.values()]
    (group,) = EXCHANGE.document["groups"]
    assert both[0] & both[1] == {group["uuid"]}


@each
def test_names_and_keys_are_unique_and_begin_as_the_templates_of_zabbix_do(template: Template) -> None:
    for elements, prefix in ((template.items(), "name"), (template.rules(), "name"), (template.triggers(), "name")):
        names = [element[prefix] for element in elements]
        assert len(names) == len(set(names))
        assert [name for name in names if not re.match(r"SSH (exchange|daemon): \S", name)] == []
    keys = [element["key"] for element in (*template.items(), *template.rules())]
    assert len(keys) == len(set(keys))


@each
def test_an_item_is_read_from_one_that_there_is(template: Template) -> None:
    (master,) = [item["key"] for item in template.items() if item.get("type") != "DEPENDENT"]
    for element in (*template.items(), *template.rules()):
        if element["key"] != master:
            assert element["master_item"] == {"key": master}
            assert element["delay"] == "0"
            assert element["preprocessing"]
        assert element["description"]
    assert all(item["tags"] for item in template.items())


@each
def test_expressions_graphs_and_widgets_name_what_there_is(template: Template) -> None:
    keys = {item["key"] for item in template.items()}
    name = template.body["template"]
    for trigger in template.triggers():
        found = [match.groups() for match in REFERENCE.finditer(trigger["expression"])]
        assert found
        assert [one for one in found if one[0] != name or one[1] not in keys] == [], trigger["name"]
    graphs = [
        *template.document["graphs"],
        *(one for rule in template.rules() for one in rule.get("graph_prototypes", ())),
    ]
    for graph in graphs:
        for one in graph["graph_items"]:
            assert one["item"]["host"] == name
            assert one["item"]["key"] in keys
    shown = [value for value in everywhere(template.body["dashboards"], "value") if isinstance(value, Mapping)]
    assert len(shown) >= 5
    for value in shown:
        assert value["host"] == name
        assert value.get("key") in keys or value.get("name") in {graph["name"] for graph in graphs}


@each
def test_a_trigger_says_what_it_is_how_bad_and_what_to_do(template: Template) -> None:
    for trigger in template.triggers():
        assert trigger["priority"] in SEVERITIES
        assert trigger["opdata"]
        assert re.search(r"\nRunbook: \{\$SSH_EXCHANGE\.URL\}/runbook/(\w*)$", trigger["description"]), trigger["name"]
        page = trigger["url"].removeprefix("{$SSH_EXCHANGE.URL}/runbook/")
        assert page in {"", *Cause, zabbix_exchange.LAST_CAUSE}
        assert {tag["tag"] for tag in trigger["tags"]} >= {"scope"}
        if re.search(r"\{\$[A-Z_.]*(TIME|MAX|NODATA|DAYS)", trigger["expression"]) and "event_name" not in trigger:
            assert "State is not OK" in trigger["name"], trigger["name"]


@each
def test_a_dependency_is_a_trigger_of_the_template_and_there_is_no_circle(template: Template) -> None:
    expressions = {trigger["name"]: trigger["expression"] for trigger in template.triggers()}
    above: dict[str, set[str]] = {}
    for trigger in template.triggers():
        for one in trigger.get("dependencies", ()):
            assert expressions[one["name"]] == one["expression"]
            above.setdefault(trigger["name"], set()).add(one["name"])
    assert above
    while above:
        ready = [name for name, names in above.items() if not names & above.keys()]
        assert ready, f"a circle: {above}"
        for name in ready:
            del above[name]


def test_every_cause_has_a_trigger_and_down_silences_what_is_less() -> None:
    by_cause = {tag["value"]: one for one in EXCHANGE.triggers() for tag in one["tags"] if tag["tag"] == "cause"}
    assert by_cause.keys() == set(Cause) - {Cause.HEALTHY}
    for cause, trigger in by_cause.items():
        assert trigger["url"].endswith(f"/runbook/{cause}")
        assert trigger["expression"].count(f'"{cause}"') == 2
    (down,) = [one for one in EXCHANGE.triggers() if one["name"].endswith("No SSH handshake completes")]
    over = {one["name"] for one in down["dependencies"]}
    assert over == {by_cause[cause]["name"] for cause in zabbix_exchange.DOWN}
    silent = {
        one["name"] for one in EXCHANGE.triggers() if down["name"] in [d["name"] for d in one.get("dependencies", ())]
    }
    assert by_cause[Cause.SLOW]["name"] in silent
    assert {by_cause[cause]["name"] for cause in by_cause} - silent - over == {by_cause[Cause.HOST_KEY]["name"]}


@each
def test_macros_are_defined_and_used_and_explained(template: Template) -> None:
    macros = {macro["macro"]: macro for macro in template.body["macros"]}
    used = {
        match["name"] for match in MACRO.finditer(re.sub(r"^ *- macro: .*$", "", template.text, flags=re.MULTILINE))
    }
    names = {MACRO.fullmatch(name)["name"] for name in macros}  # type: ignore[index]
    assert used == names
    assert all(macro["description"] for macro in macros.values())
    secret = [name for name, macro in macros.items() if macro.get("type") == "SECRET_TEXT"]
    assert secret == ["{$SSH_EXCHANGE.PASSWORD}"] * (template is EXCHANGE)


def test_the_value_maps_have_every_state_and_every_cause() -> None:
    maps = {one["name"]: {m["value"]: m["newvalue"] for m in one["mappings"]} for one in EXCHANGE.body["valuemaps"]}
    assert maps == {"SSH exchange state": STATES, "SSH exchange cause": {str(c): p for c, p in PHRASES.items()}}
    for template in TEMPLATES.values():
        names = {one["name"] for one in template.body["valuemaps"]}
        assert {item["valuemap"]["name"] for item in template.items() if "valuemap" in item} == names


# --- against what is written


def patterns(template: Template) -> Iterator[tuple[str, str]]:
    """The Prometheus patterns with their keys."""
    for key, step in template.steps():
        if step["type"] in ("PROMETHEUS_PATTERN", "PROMETHEUS_TO_JSON"):
            yield key, step["parameters"][0]


@each
def test_metrics_and_label_values_are_those_of_the_code(template: Template) -> None:
    values: dict[str, set[str]] = {
        "ending": set(Ending),
        "phase": {*PHASES, "{#PHASE}"},
        "quantile": {f"{one:g}" for one in QUANTILES},
        "item": {item.name for item in ITEMS} | {"{#ITEM}"},
        "reason": {"maxstartups", "per_source_limit", "penalty"},
        "type": {"{#TYPE}"},
    }
    known, count = metrics(), 0
    for key, pattern in patterns(template):
        match = zabbix_text.PATTERN.fullmatch(pattern)
        assert match, pattern
        assert match["name"] in known, key
        for label, _, value in zabbix_text.MATCHER.findall(match["labels"] or ""):
            assert set(value.split("|")) <= values[label], pattern
        count += 1
    assert count > 10


def results(template: Template, text: str) -> dict[str, str]:
    """What the patterns of the template read from an exposition, by key; prototypes for what discovery finds."""
    found = zabbix_text.samples(text)
    read: dict[str, str] = {}
    macros: dict[str, list[str]] = {}
    for rule in template.rules():
        to_json, script, _ = rule["preprocessing"]
        (name, label) = re.findall(r"'(\{#[A-Z]+\})': row\.labels\.(\w+)", script["parameters"][0])[0]
        macros |= {rule["key"]: [one.labels[label] for one in zabbix_text.matching(to_json["parameters"][0], found)]}
        for item in rule["item_prototypes"]:
            for value in macros[rule["key"]]:
                made = json.loads(json.dumps(item).replace(name, value))
                read |= _result(made, found)
    for item in template.body["items"]:
        read |= _result(item, found)
    return read


def _result(item: Mapping[str, Any], found: list[Any]) -> dict[str, str]:
    step, *_ = item.get("preprocessing", [{"type": ""}])
    if step["type"] != "PROMETHEUS_PATTERN":
        return {}
    try:
        return {item["key"]: zabbix_text.value(step, found)}
    except NoData:
        assert step.get("error_handler") == "DISCARD_VALUE", item["key"]
        return {}


def test_the_items_are_read_from_what_the_exporter_says_of_every_kind_of_server(tmp_path: Path) -> None:
    with FakeSshd() as gone:
        dead = f"127.0.0.1:{gone.port}"
    with FakeSshd(HEALTHY) as healthy, FakeSshd([FIN]) as closing, running(tmp_path) as exporter:
        targets = {"served": f"127.0.0.1:{healthy.port}", "closed": f"127.0.0.1:{closing.port}", "dead": dead}
        read = {
            name: results(EXCHANGE, exporter.get(f"/probe?target={target}&module=default").text)
            for name, target in targets.items()
        }
    counted = {name: {key: value for key, value in one.items() if "handshakes[" in key} for name, one in read.items()}
    assert all(len(one) == len(Ending) for one in counted.values())
    assert [float(counted[name][f"ssh_exchange.handshakes[{word}]"]) for name, word in (
        ("served", "completed"), ("closed", "closed"), ("dead", "refused"),
    )] == [5, float(counted["closed"]["ssh_exchange.handshakes[closed]"]), 5]  # fmt: skip
    assert float(counted["closed"]["ssh_exchange.handshakes[closed]"]) >= 5
    assert {name: (one["ssh_exchange.success"], one["ssh_exchange.state"]) for name, one in read.items()} == {
        "served": ("1.0", "0.0"), "closed": ("0.0", "2.0"), "dead": ("0.0", "2.0"),
    }  # fmt: skip
    assert read["served"]["ssh_exchange.cause"] == Cause.HEALTHY
    assert read["dead"]["ssh_exchange.cause"] == Cause.NOT_LISTENING
    assert read["served"]["ssh_exchange.server[software]"] == "FakeSSH_1.0"
    assert "ssh_exchange.early_close" not in read["dead"]  # nothing was accepted
    assert float(read["closed"]["ssh_exchange.early_close"]) == 1
    phases = {key for key in read["served"] if "phase[" in key}
    assert phases == {
        f"ssh_exchange.phase[{phase},{word}]"
        for phase in ("connect", "banner", "kexinit")
        for word in ("p50", "p90", "max")
    }


def test_the_items_are_read_from_what_check_sshd_local_writes() -> None:
    read = results(LOCAL, WRITTEN)
    assert read["sshd_local.next_connection"] == "2.0"
    assert read["sshd_local.item[host_keys]"] == "1.0"
    assert read["sshd_local.host_key[ssh-ed25519]"] == "SHA256:abc"
    assert float(read["sshd_local.age"]) == 1_800_000_000
    assert (read["sshd_local.startups"], read["sshd_local.drops.rate[maxstartups]"]) == ("3.0", "12.0")
    assert "sshd_local.startups.begin" not in read


def test_the_items_are_read_from_what_check_sshd_local_says_of_this_host() -> None:
    command = [sys.executable, "-m", "check_ssh_exchange.host", "--output-format", "openmetrics"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    read = results(LOCAL, done.stdout)
    assert float(read["sshd_local.age"]) > 0
    assert {"sshd_local.item[memory]", "sshd_local.item[disk]"} <= read.keys()
    (causes,) = [step for key, step in LOCAL.steps() if key == "sshd_local.causes" and "JSON" in step["type"]]
    assert zabbix_text.matching(causes["parameters"][0], zabbix_text.samples(done.stdout))


def test_the_readme_names_the_macros_of_a_first_hour_and_ends_in_a_block() -> None:
    readme = (FOLDER / "README.md").read_text("utf-8")
    for name in ("URL", "PORT", "MODULE", "INTERVAL"):
        assert f"{{$SSH_EXCHANGE.{name}}}" in readme
    assert readme.rstrip().endswith("```")
