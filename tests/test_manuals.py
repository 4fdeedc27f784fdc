"""The manual pages: they say what parsers, models and tables say, and man and mandoc have no word against them."""

import argparse
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from check_ssh_exchange import __version__
from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.figures import DEFAULT_CRITICAL, DEFAULT_WARNING, LABELS
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.host.items import ITEMS
from check_ssh_exchange.host.items import LABELS as LOCAL_LABELS
from check_ssh_exchange.host.options import parser as local_parser
from check_ssh_exchange.remote.options import parser as remote_parser
from contrib import generate
from contrib.generators import manual
from contrib.generators.manual_options import options, words
from contrib.generators.manual_roff import roff
from ssh_exchange_exporter.configuration.configuration import Configuration, load
from ssh_exchange_exporter.configuration.duration import seconds_of, text_of
from ssh_exchange_exporter.configuration.file import ConfigurationError
from ssh_exchange_exporter.flags import parser as flags_parser
from tests.lab.manuals import PAGES, definitions, section, source, terms, text

PARSERS: dict[str, tuple[str, Callable[[], argparse.ArgumentParser]]] = {
    "check_ssh_exchange.1": ("OPTIONS", remote_parser),
    "check_sshd_local.8": ("OPTIONS", local_parser),
    "ssh_exchange_exporter.8": ("FLAGS", flags_parser),
}
KEYS_OF = "ssh_exchange_exporter.yml.5"
SECTIONS = ("MODULES", "BACKGROUND TARGETS", "TARGETS, SERIES, SHARES", "OTHER SCHEDULERS")
WANTED = ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "FILES", "SIGNALS", "SECURITY", "SEE ALSO")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(command[0]) is None:
        package = {"man": "man-db", "lexgrog": "man-db"}.get(command[0], command[0])
        pytest.skip(f"to read the manual pages with {command[0]}: apt-get install {package}")
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)


# --- as man and mandoc read them


@pytest.mark.parametrize("page", manual.PAGES)
def test_man_has_no_warning_and_80_columns_are_enough(page: str) -> None:
    made = run("man", "--warnings", "-E", "UTF-8", "-l", str(PAGES / page))
    assert (made.returncode, made.stderr) == (0, "")
    lines = made.stdout.splitlines()
    assert len(lines) > 50
    assert [line for line in lines if len(line) > 80] == []
    # A word of the programs is never parted, and no hyphen or quote is one that a shell would not take.
    assert not re.search("[\u2010\u2018]", made.stdout)


@pytest.mark.parametrize("page", manual.PAGES)
def test_mandoc_finds_nothing_to_say(page: str) -> None:
    made = run("mandoc", "-T", "lint", str(PAGES / page))
    told = made.stdout.splitlines()
    if not manual.released(__version__):  # a release that is not out has no date
        told = [line for line in told if not line.endswith('WARNING: missing date, using "": TH')]
    assert told == []


@pytest.mark.parametrize("page", manual.PAGES)
def test_apropos_finds_the_name(page: str) -> None:
    made = run("lexgrog", str(PAGES / page))
    assert made.returncode == 0
    assert f'"{page.rpartition(".")[0]} - ' in made.stdout


# --- what they say


@pytest.mark.parametrize("page", PARSERS)
def test_every_option_is_in_the_page_and_no_other(page: str) -> None:
    name, parser = PARSERS[page]
    named = [word for term in terms(section(page, name)) for word in re.findall(r"(?<!\S)(--?[\w.-]+)", term)]
    assert named == words(parser())


@pytest.mark.parametrize("page", manual.PAGES)
def test_no_page_names_an_option_that_does_not_exist(page: str) -> None:
    known = {word for _, parser in PARSERS.values() for word in words(parser())}
    named = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", "\n".join(map(text, source(page).splitlines()))))
    assert named
    assert named <= known


@pytest.mark.parametrize("page", PARSERS)
def test_the_help_of_an_option_stands_under_it(page: str) -> None:
    name, parser = PARSERS[page]
    said = list(definitions(page, name).values())
    for action, paragraph in zip(parser()._actions, said, strict=True):
        told = (action.help or "").replace("%%", "%").replace("`", "")
        assert told.lower() in paragraph.lower()
        assert all(str(choice) in paragraph for choice in action.choices or ())


@pytest.mark.parametrize("page", PARSERS)
def test_a_page_has_the_sections_of_its_kind(page: str) -> None:
    found = re.findall(r"^\.SH (.+)$", source(page), re.MULTILINE)
    assert set(WANTED) <= set(found)
    assert found[-1] == "SEE ALSO"


def test_endings_causes_and_figures_are_those_of_the_code() -> None:
    page = "check_ssh_exchange.1"
    assert list(definitions(page, "ENDINGS")) == [*Ending]
    causes = definitions(page, "CAUSES")
    assert list(causes) == [*Cause]
    assert all(cause.phrase.lower() in said.lower() for cause, said in zip(Cause, causes.values(), strict=True))
    figures = definitions(page, "PERFDATA")
    assert list(figures) == [*LABELS]
    for word, ranges in (("warning", DEFAULT_WARNING), ("critical", DEFAULT_CRITICAL)):
        assert {label for label, said in figures.items() if f"{word} " in said} == set(ranges)
        assert all(re.search(rf"{word} {re.escape(ranges[label])}[,.]", figures[label]) for label in ranges)


def test_items_and_figures_of_the_host_are_those_of_the_code() -> None:
    page = "check_sshd_local.8"
    items = definitions(page, "ITEMS")
    assert list(items) == [item.name for item in ITEMS]
    assert all(label in items[item.name].partition("Figures:")[2] for item in ITEMS for label in item.labels)
    assert list(definitions(page, "PERFDATA")) == [*LOCAL_LABELS]


# --- the keys of the configuration


def described_keys() -> dict[str, str]:
    return {key: said for name in SECTIONS for key, said in definitions(KEYS_OF, name).items()}


def keys_of_the_schema(schema: dict[str, Any], place: dict[str, Any], prefix: str) -> Iterator[str]:
    """Yield the keys below a place of the JSON schema that pydantic makes of the models."""
    if "$ref" in place:
        place = schema["$defs"][place["$ref"].rpartition("/")[2]]
    for branch in place.get("anyOf", []):
        if branch != {"type": "null"}:
            place = schema["$defs"][branch["$ref"].rpartition("/")[2]] if "$ref" in branch else place
    inner = place.get("items") or place.get("additionalProperties")
    if "properties" in place:
        for name, one in place["properties"].items():
            yield from keys_of_the_schema(schema, one, f"{prefix}.{name}" if prefix else name)
    elif isinstance(inner, dict) and "$ref" in inner:
        yield from keys_of_the_schema(schema, inner, f"{prefix}[]" if "items" in place else f"{prefix}.NAME")
    else:
        yield prefix


def test_every_key_of_the_configuration_is_described_and_no_other() -> None:
    schema = Configuration.model_json_schema()
    assert sorted(described_keys()) == sorted(keys_of_the_schema(schema, schema, ""))


def written(tmp_path: Path, key: str, value: str) -> str:
    """Return the path of a configuration in which one key has a value."""
    lines, indent = [], 0
    *above, last = re.sub(r"\bNAME\b", "mine", key).split(".")
    for part in above:
        lines.append(" " * indent + part.removesuffix("[]") + ":")
        indent += 2
        if part.endswith("[]"):
            lines.append(" " * indent + "- " + ("targets: []" if part == "background[]" else ""))
            indent += 2
    path = tmp_path / "config.yml"
    path.write_text("\n".join([*lines, " " * indent + f"{last}: {value}"]) + "\n")
    return str(path)


WITH_LIMITS = {
    key: found
    for key, said in described_keys().items()
    if (found := re.search(r"(?:Whole number|Duration), (\S+) to (\S+);", said)) and not key.startswith("gearman.")
}


@pytest.mark.parametrize("key", WITH_LIMITS)
def test_the_limits_of_a_key_are_those_that_the_exporter_enforces(tmp_path: Path, key: str) -> None:
    low, high = WITH_LIMITS[key][1], WITH_LIMITS[key][2]
    for within in (low, high):
        load(written(tmp_path, key, within))
    beyond = [str(int(low) - 1), str(int(high) + 1)] if low.isdecimal() else ["0", text_of(seconds_of(high) + 1)]
    for outside in beyond:
        with pytest.raises(ConfigurationError, match=re.escape(key.replace("NAME", "mine").replace("[]", "[0]"))):
            load(written(tmp_path, key, outside))


def test_there_are_limits_to_try() -> None:
    assert len(WITH_LIMITS) >= 7


def test_the_default_of_a_key_is_the_one_of_the_configuration_without_it() -> None:
    made = YAML(typ="safe", pure=True).load(Configuration().to_yaml())
    tried = 0
    for key, said in described_keys().items():
        default = re.search(r"default: (.+)\.$", said)
        if key.startswith(("background", "gearman", "feeds")) or default is None or default[1] == "none":
            continue
        value = made
        for part in key.replace("NAME", "default").split("."):
            value = value[part]
        shown = YAML(typ="safe", pure=True).load(default[1])
        if isinstance(value, dict):
            shown, value = ({name: str(one) for name, one in found.items()} for found in (shown, value))
        assert shown == value, key
        tried += 1
    assert tried >= 15


# --- how they are made


def test_a_page_is_the_same_whenever_it_is_made() -> None:
    assert [manual.page(page) for page in manual.PAGES] == [manual.page(page) for page in manual.PAGES]


def test_the_date_is_that_of_the_release() -> None:
    log = "# Changelog\n\n## 0.2.0 (unreleased)\n\n## 0.1.0 (2026-03-01)\n"
    assert manual.released("0.1.0", log) == "2026-03-01"
    assert manual.released("0.2.0", log) == ""
    assert manual.released("0.1", log) == ""


def test_a_page_that_differs_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    name = "../docs/man/check_ssh_exchange.1"
    monkeypatch.setattr(generate, "FILES", {name: lambda: manual.FILES[name]() + ".PP\n"})
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == "docs/man/check_ssh_exchange.1 is not what `make contrib` writes\n"


def test_a_word_of_the_code_without_a_description_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"endings\.md does not describe \['drowned'\]"):
        manual.described("endings", [*Ending, "drowned"])
    with pytest.raises(ValueError, match="in the order of the code"):
        manual.described("endings", [*Ending][:-1])


def test_an_option_without_help_is_an_error() -> None:
    made = argparse.ArgumentParser(add_help=False)
    made.add_argument("--silent")
    with pytest.raises(ValueError, match="no help"):
        options(made)


@pytest.mark.parametrize("markdown", ["1. one", "> said", "[a](b)", "![a](b)", "a **b `c`**", "***", "caf\xe9"])
def test_what_no_macro_stands_for_is_an_error(markdown: str) -> None:
    with pytest.raises(ValueError, match=r"a manual has no|a strong word holds|not in ASCII"):
        roff(markdown)


def test_what_roff_would_take_for_its_own_is_escaped() -> None:
    assert roff("`.SH` it's\n'quoted' a\\\\b") == "\\fB.SH\\fR it's 'quoted' a\\(rsb\n"
    assert roff(".so file") == "\\&.so file\n"
    assert roff("```\n.EE\n'a' --b\n```") == ".RS 4\n.EX\n\\&.EE\n\\(aqa\\(aq \\-\\-b\n.EE\n.nh\n.RE\n"
    assert roff("One. Two!\n") == "One.\nTwo!\n"
