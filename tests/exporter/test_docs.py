"""The exporter's README says what the code does: flags, paths, metrics, configuration keys; and its examples work."""

import argparse
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import Depth
from check_ssh_exchange.plan import DEFAULT_CONCURRENCY
from check_ssh_exchange.report import PHASES
from ssh_exchange_exporter.configuration.configuration import DEFAULT_BUCKETS, Configuration, load
from ssh_exchange_exporter.configuration.module import Module
from ssh_exchange_exporter.flags import PORT, parser
from ssh_exchange_exporter.log import FORMATS, LEVELS
from tests.lab.fake_sshd import HEALTHY, FakeSshd

from .program import ROOT, Program, running, wait_for
from .prometheus import shipped

SECONDS = 60.0
LIBRARY = ("process_", "python_")
ACTIONS = [action for action in parser()._actions if action.option_strings]
Series = dict[str, set[str]]  # the labels of each metric


@cache
def readme() -> str:
    return (ROOT / "exporter" / "README.md").read_text("utf-8")


def rows(first: str, under: str = "") -> list[list[str]]:
    """The rows of the table whose first heading is `first`, behind the heading `under`, cell by cell."""
    text = readme().partition(f"\n## {under}\n")[2].partition("\n## ")[0] if under else readme()
    table = re.search(rf"^\| {first} \|.*\n\|-[-|]*\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table, f"README has no table of {first}s"
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[1].splitlines()]


# --- flags and paths


def flag_row(flag: str) -> str:
    (row,) = [row for row in rows("flag") if re.search(rf"`{re.escape(flag)}(?![\w.-])", row[0])]
    return row[1]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.option_strings[-1])
def test_a_flag_has_one_row_with_its_spellings_metavar_and_choices(action: argparse.Action) -> None:
    (told,) = {flag_row(word) for word in action.option_strings}
    assert all(f"`{choice}`" in told for choice in action.choices or ())
    assert told or action.dest in ("help", "version")


def test_the_table_of_flags_names_none_that_is_none() -> None:
    named = {word for row in rows("flag") for word in re.findall(r"`(--?[a-z.-]+)", row[0])}
    assert named == {word for action in ACTIONS for word in action.option_strings}


@pytest.mark.parametrize("dest", ["timeout_offset", "history_limit", "log_level", "log_format"])
def test_the_row_of_a_flag_states_its_default(dest: str) -> None:
    (action,) = [action for action in ACTIONS if action.dest == dest]
    assert f"({action.default})" in flag_row(action.option_strings[0])


def test_the_row_of_an_address_states_the_port_and_those_of_logs_their_words() -> None:
    assert f"`:{PORT}`" in flag_row("--web.listen-address")
    assert re.findall(r"`(\w+)`", flag_row("--log.level")) == list(LEVELS)
    assert re.findall(r"`(\w+)`", flag_row("--log.format")) == list(FORMATS)


# --- metrics


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, str]]:
    """An exporter that has probed a server by a name, in the background as well."""
    with FakeSshd(HEALTHY) as server:
        target = f"localhost:{server.port}"
        text = "modules: {default: {ip_protocol: ip4}}\n"
        text += f"background: [{{targets: ['{target}'], interval: 1s, labels: {{site: a}}}}]\n"
        text += "gearman: {servers: ['127.0.0.1:1'], queues: [none], encryption: false}\n"
        with running(tmp_path_factory.mktemp("docs"), text) as exporter:
            wait_for(lambda: exporter.metrics().values("ssh_exchange_state"), SECONDS)
            yield exporter, target


def exposed(text: str) -> Series:
    """The metrics of an exposition with their labels; those of a histogram or a summary by its own name."""
    found: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = family.name if family.type in ("histogram", "summary") else sample.name
            found.setdefault(name, set()).update(sample.labels.keys() - {"le"})
    return {name: labels for name, labels in found.items() if not name.startswith(LIBRARY)}


def without_keys(metrics: Series) -> Series:
    """The metrics that a target has whose host keys nobody asked for; tests/exporter/test_series.py has the others."""
    assert metrics["ssh_exchange_host_key_info"] == {"type", "fingerprint"}
    assert metrics["ssh_exchange_host_certificate_expiry_timestamp_seconds"] == {"type"}
    return {name: labels for name, labels in metrics.items() if "_host_" not in name}


def told(under: str) -> Series:
    """The metrics of a table with their labels."""
    found: Series = {}
    for name, _ in rows("metric", under):
        parts = re.fullmatch(r"`(\w+)(?:\{([\w,]+)\})?`", name)
        assert parts, name
        found[parts[1]] = set(parts[2].split(",")) if parts[2] else set()
    return found


def test_the_metrics_of_a_probe_are_those_of_the_table(program: tuple[Program, str]) -> None:
    exporter, target = program
    assert exposed(exporter.probe(target).text) == without_keys(told("Metrics of `/probe`"))


def test_the_metrics_of_targets_and_of_the_exporter_are_those_of_their_tables(program: tuple[Program, str]) -> None:
    exporter, _ = program
    metrics = exposed(exporter.metrics().text)
    own = {name: labels for name, labels in metrics.items() if name.startswith("ssh_exchange_exporter_")}
    assert own == told("Metrics of the exporter itself, on `/metrics`")
    of_targets = {name: labels for name, labels in metrics.items() if name not in own}
    assert all({"target", "site"} <= labels for labels in of_targets.values())
    without = {name: labels - {"target", "site"} for name, labels in of_targets.items()}
    assert without == without_keys(told("Metrics of background targets, on `/metrics`"))


def test_the_library_adds_the_metrics_that_are_named(program: tuple[Program, str]) -> None:
    names = {sample.name for sample in program[0].metrics().all if sample.name.startswith(LIBRARY)}
    assert {re.match(r"(process|python_gc)_", name) is not None for name in names} == {True}
    assert "process_resident_memory_bytes" in names


def test_every_path_of_the_table_is_there(program: tuple[Program, str]) -> None:
    exporter, target = program
    exporter.probe(target)
    # The table of recent probes is the last one of the page. It keeps the probe above; the next probe of a background
    # target replaces the one before it.
    kept = re.findall(r"(?<=href=\")/?history/[0-9]+", exporter.get("/").text)[-1]
    paths = [path for row in rows("path") for path in re.findall(r"`(/[^`]*)`", row[0])]
    assert len(paths) >= 8
    for path in paths:
        where = path.replace("/history/N", f"/{kept.lstrip('/')}").replace("CAUSE", "slow") + (
            {"/probe": f"?target={target}", "/v1/checker": "?command=any"}.get(path, "")
        )
        method = "POST" if path in ("/-/reload", "/v1/checker") else "GET"
        assert exporter.get(where, method=method).status == 200, path


# --- configuration


def inner(annotation: object) -> type[BaseModel] | None:
    """The part that an annotation is of or holds."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key as the README writes it, and its default."""
    for name, field in model.model_fields.items():
        part = inner(field.annotation)
        if part is None:
            yield prefix + name, field.get_default(call_default_factory=True)
        else:
            holder = get_origin(field.annotation)
            mark = ".NAME" if holder is dict else "[]" if holder is tuple else ""
            yield from keys(part, f"{prefix}{name}{mark}.")


KEYS = dict(keys(Configuration))


def key_row(key: str) -> str:
    (row,) = [row for row in rows("key") if f"`{key}`" in row[0]]
    return row[1]


def test_the_table_of_keys_is_that_of_the_code() -> None:
    named = [key for row in rows("key") for key in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(named) == sorted(KEYS)


def written(default: object) -> str:
    match default:
        case bool():
            return str(default).lower()
        case ():
            return "[]"
        case dict():
            return "{}"
        case _:
            return str(default)


@pytest.mark.parametrize("key", KEYS)
def test_the_row_of_a_key_states_its_default(key: str) -> None:
    row, default = key_row(key), KEYS[key]
    if key.endswith((".timeout", ".interval")):
        assert f"({default:g}s)" in row
    elif ".thresholds." in key:
        defaults: dict[str, str] = getattr(Module().thresholds, key.rpartition(".")[2])
        assert f"`{'`, `'.join(f'{label}: {spec}' for label, spec in defaults.items())}`" in row
    elif key == "modules.NAME.concurrency":
        assert default is None
        assert f"(the smaller of `handshakes` - 1 and {DEFAULT_CONCURRENCY})" in row
    elif key == "histogram_buckets":
        assert f"({DEFAULT_BUCKETS[0]:g} to {DEFAULT_BUCKETS[-1]:g})" in row
    elif key.startswith("budget."):
        assert f"({KEYS['budget.handshakes']}, {KEYS['budget.per_second']:g})" in row
    elif key == "allowed_targets":
        assert "([]: everything)" in row
    elif key == "vantage":
        assert default == ""
        assert "(none: at random moments)" in row
    elif key == "series.phases":
        assert default == PHASES
        assert len(PHASES) == 6
        assert "(all six)" in row
    elif default not in (None, PydanticUndefined) and not key.endswith(".targets"):
        assert f"({written(default)})" in row


def test_depths_are_named() -> None:
    assert all(f"`{depth}`" in key_row("modules.NAME.depth") for depth in Depth)


# --- examples


def copy_of_the_example(place: Path) -> Path:
    """The example beside the files that it names."""
    (place / "keys").mkdir()
    for name in ("id_ed25519", "known_hosts", "mod_gearman"):
        (place / "keys" / name).write_text("a key\n")
    (place / "spool").mkdir()
    path = place / "example.yml"
    path.write_text((ROOT / "exporter" / "example.yml").read_text())
    return path


def test_the_example_loads_and_its_default_module_is_the_default(tmp_path: Path) -> None:
    example = load(str(copy_of_the_example(tmp_path)))
    assert len(example.modules) > 1
    assert example.modules["default"].model_dump(exclude={"concurrency"}) == Module().model_dump(
        exclude={"concurrency"}
    )
    assert example.histogram_buckets == DEFAULT_BUCKETS
    assert (example.budget, example.max_in_flight) == (Configuration().budget, Configuration().max_in_flight)


def paths_in(given: object, prefix: str = "") -> Iterator[str]:
    """The keys of a configuration file as the README writes them."""
    if isinstance(given, dict):
        for name, value in given.items():
            path = "modules.NAME" if prefix == "modules." else f"{prefix}{name}"
            yield path
            yield from paths_in(value, f"{path}.")
    elif isinstance(given, list):
        for each in given:
            yield from paths_in(each, f"{prefix.removesuffix('.')}[].")


def test_the_example_has_every_key() -> None:
    given = YAML(typ="safe").load((ROOT / "exporter" / "example.yml").read_text())
    assert set(KEYS) - set(paths_in(given)) == set()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", readme(), re.MULTILINE | re.DOTALL)


def without_targets(jobs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [{name: value for name, value in job.items() if name != "static_configs"} for job in jobs]
    kept[1].pop("scrape_interval", None)
    return kept


def test_the_scrape_configuration_is_the_one_that_is_shipped() -> None:
    (block,) = [block for block in blocks("yaml") if "scrape_configs" in block]
    jobs, every = YAML(typ="safe").load(block)["scrape_configs"], shipped("prometheus.yml")["scrape_configs"]
    contrib = [job for job in every if job["job_name"] in ("ssh_exchange", "ssh_exchange_exporter")]
    assert without_targets(jobs) == without_targets(contrib)
    assert jobs[1]["static_configs"] == contrib[1]["static_configs"] == [{"targets": [f"127.0.0.1:{PORT}"]}]


def test_the_shipped_rules_name_metrics_and_causes_that_there_are() -> None:
    names = told("Metrics of `/probe`") | told("Metrics of background targets, on `/metrics`")
    names |= told("Metrics of the exporter itself, on `/metrics`")
    for rule in (rule for group in shipped("rules.yml")["groups"] for rule in group["rules"]):
        # Without what the rules record themselves, level:metric:operations.
        metrics = set(re.findall(r"(?<!:)\b(?:probe|ssh_exchange)_\w+(?!\w*:)", rule["expr"]))
        assert {name.removesuffix("_bucket") for name in metrics} - {"ssh_exchange"} <= set(names), rule
        causes = [word for words in re.findall(r'cause=~?"([^"]+)"', rule["expr"]) for word in words.split("|")]
        assert set(causes) <= set(Cause), rule
