"""CONTRIBUTING's lists of what to touch are true of what is there."""

import re
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.figures import ENDING_LABELS, LABELS
from check_ssh_exchange.ending import Ending
from tests.runs import LETTERS

ROOT = Path(__file__).parents[1]
DIAGNOSIS = "check_ssh_exchange/diagnosis"
PLACES = [ROOT / "check_ssh_exchange", ROOT / "exporter"]
# These are not found by the rules: something else in the code decides for them.
WITHOUT_RULES = {
    Cause.HEALTHY, Cause.UNEXPLAINED, Cause.NAME_RESOLUTION, Cause.SLOW, Cause.ADDRESS_FAMILY, Cause.INCOMPATIBLE,
    Cause.PENALTY, Cause.BANNED, Cause.MAXSTARTUPS, Cause.FILTERED, Cause.RATE_LIMIT, Cause.SERVER_FAULT, Cause.PROXY,
}  # fmt: skip


def rows() -> dict[str, str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Where to add what")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| (an? [^|]+?) \| (.+?) \|$", table, re.MULTILINE))


def listed(kind: str) -> set[str]:
    return {path for path in re.findall(r"`([^`]+)`", rows()[kind]) if "/" in path or path.endswith(".md")}


def sources(pattern: str) -> set[str]:
    """The modules of the product that hold a pattern."""
    # The findings of the host's own side name causes too; their table of items is host/items.py.
    paths = [path for place in PLACES for path in place.rglob("*.py") if "host" not in path.parts]
    found = {path for path in paths if re.search(pattern, path.read_text(encoding="utf-8"))}
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_every_file_that_is_named_exists() -> None:
    named = {path.replace("CAUSE", "tarpit") for kind in rows() for path in listed(kind)}
    assert len(named) >= 12
    missing = [
        path for path in named if not (ROOT / path).exists() and not (ROOT / "check_ssh_exchange" / path).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in WITHOUT_RULES])
def test_a_cause_stands_in_the_modules_of_the_list_and_in_no_other(cause: Cause) -> None:
    modules = {path for path in listed("a cause") if path.endswith(".py") and not path.startswith("tests/")}
    assert modules == {f"{DIAGNOSIS}/{name}.py" for name in ("cause", "rules", "sayings", "remedies")}
    # What is wrong with a host key is told by comparing it with what is expected, not by how handshakes end.
    beside = {f"{DIAGNOSIS}/host_keys.py", f"{DIAGNOSIS}/verdict.py"} if cause is Cause.HOST_KEY else set()
    # Not every cause has a saying.
    found = sources(rf"Cause\.{cause.name}\b") - beside
    assert found | {f"{DIAGNOSIS}/cause.py", f"{DIAGNOSIS}/sayings.py"} == modules


@pytest.mark.parametrize("cause", Cause)
def test_a_cause_stands_in_the_pages_of_the_list(cause: Cause) -> None:
    for path in (path.replace("CAUSE", cause) for path in listed("a cause") if path.endswith(".md")):
        assert (ROOT / path).is_file(), path
        assert cause in (ROOT / path).read_text(encoding="utf-8"), path


@pytest.mark.parametrize("ending", Ending)
def test_an_ending_stands_in_the_files_of_the_list(ending: Ending) -> None:
    assert listed("an ending") >= {
        "check_ssh_exchange/ending.py",
        "check_ssh_exchange/wire/exchange.py",
        "docs/measure.md",
    }
    assert f"Ending.{ending.name}" in (ROOT / "check_ssh_exchange/wire/exchange.py").read_text(encoding="utf-8")
    assert f"`{ending}`" in (ROOT / "docs/measure.md").read_text(encoding="utf-8")
    assert ending in (ROOT / "exporter/ssh_exchange_exporter/pages/stylesheet.py").read_text(encoding="utf-8")
    assert ending in LETTERS.values()
    if ending in ENDING_LABELS:
        assert f"Ending.{ending.name}" in (ROOT / f"{DIAGNOSIS}/figures.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("label", [label for label in LABELS if label not in tuple(Ending)])
def test_a_figure_stands_in_one_module_and_the_readme(label: str) -> None:
    pages = {"docs/options.md", "contrib/generators/manuals/figures.md"}
    assert listed("a figure of perfdata") == {f"{DIAGNOSIS}/figures.py", *pages}
    assert f"`{label}`" in (ROOT / "docs/options.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "module"),
    [("a metric of /probe", "series"), ("a metric of background targets", "fleet_text")],
)
def test_a_metric_stands_in_its_module_and_the_exporters_readme(kind: str, module: str) -> None:
    path = f"exporter/ssh_exchange_exporter/exposition/{module}.py"
    assert listed(kind) == {path, "exporter/README.md"}
    names = set(
        re.findall(r"^    \"((?:ssh_exchange|probe)_\w+)\":", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert len(names) >= 4
    readme = (ROOT / "exporter/README.md").read_text(encoding="utf-8")
    assert [name for name in names if name not in readme] == []


def test_a_finding_of_another_plugin_touches_four_places_at_most() -> None:
    assert rows()["a finding of another plugin"].split(";")[0].count(",") <= 3
    assert (ROOT / "tests/test_kit.py").is_file()
