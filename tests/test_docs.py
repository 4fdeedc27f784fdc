"""The plugin's pages say what the code does: options, endings, causes, labels; and no file names a private place."""

import argparse
import os
import re
import subprocess
from functools import cache

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.figures import DEFAULT_CRITICAL, DEFAULT_WARNING, LABELS
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.plan import DEFAULT_CONCURRENCY, DEFAULT_HANDSHAKES, DEFAULT_TIMEOUT
from check_ssh_exchange.plugin.states import WORDS as STATES
from check_ssh_exchange.remote.options import parser

from .lab.front_door import ROOT

ACTIONS = [action for action in parser()._actions if action.option_strings]


@cache
def pages() -> str:
    """Return the pages that hold the plugin's tables, one behind the other."""
    return "".join((ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("options", "measure", "decide"))


def rows(first: str) -> list[list[str]]:
    """Return the rows of the table whose first heading is `first`, cell by cell."""
    table = re.search(rf"^\| {first} \|.*\n\|-[-|]*\|\n((?:\|.*\n)+)", pages(), re.MULTILINE)
    assert table, f"there is no table of {first}s"
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[1].splitlines()]


def option_row(word: str) -> str:
    (row,) = [row for row in rows("option") if re.search(rf"`{re.escape(word)}(?![\w-])", row[0])]
    return " ".join(row)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.option_strings[-1])
def test_an_option_has_a_row_with_all_its_spellings(action: argparse.Action) -> None:
    (row,) = {option_row(word) for word in action.option_strings}
    assert row


def test_the_table_of_options_names_no_option_that_is_none() -> None:
    named = {word for row in rows("option") for word in re.findall(r"`(--?[a-zA-Z0-9-]+)", row[0])}
    assert named == {word for action in ACTIONS for word in action.option_strings}


@pytest.mark.parametrize(
    ("option", "default"),
    [
        ("--port", "(22)"),
        ("--timeout", f"({DEFAULT_TIMEOUT:.0f})"),
        ("--handshakes", f"({DEFAULT_HANDSHAKES})"),
        ("--concurrency", f"(the smaller of N-1 and {DEFAULT_CONCURRENCY})"),
        ("--depth", f"({Depth.KEXINIT})"),
        ("--output-format", "(text)"),
        ("--warning", ",".join(f"{label}={spec}" for label, spec in DEFAULT_WARNING.items())),
        ("--critical", ",".join(f"{label}={spec}" for label, spec in DEFAULT_CRITICAL.items())),
    ],
)
def test_the_row_of_an_option_states_its_default(option: str, default: str) -> None:
    assert default in option_row(option)


def test_the_row_of_an_option_names_its_words() -> None:
    assert all(f"`{depth}`" in option_row("--depth") for depth in Depth)
    assert all(f"`{state}`" in option_row("--state") for state in STATES)


def test_the_table_of_endings_is_that_of_the_code() -> None:
    assert [row[0] for row in rows("ending")] == [f"`{ending}`" for ending in Ending]
    assert all(len(row) == 2 and row[1] for row in rows("ending"))


def test_the_table_of_causes_is_that_of_the_code() -> None:
    assert [row[0] for row in rows("cause")] == [f"`{cause}`" for cause in Cause]
    assert all(len(row) == 2 and row[1] for row in rows("cause"))


def test_every_perfdata_label_is_listed_in_its_order() -> None:
    section = pages().split("\n## Perfdata\n")[1].split("\n## ")[0]
    listed = [word for word in re.findall(r"`([a-z0-9_]+)`", section) if word in LABELS]
    assert list(dict.fromkeys(listed)) == list(LABELS)


def test_the_default_thresholds_are_stated() -> None:
    stated = " ".join(
        f"{option} {','.join(f'{label}={spec}' for label, spec in specs.items())}"
        for option, specs in (("-w", DEFAULT_WARNING), ("-c", DEFAULT_CRITICAL))
    )
    assert f"`{stated}`" in pages()


# Written in pieces, so that this file does not name them itself.
PRIVATE = (
    r"(?<![\w.~-])/wor" + r"k\b",
    r"\.\./shar" + r"ed\b",
    r"(?<![\w.~}-])/roo" + r"t/",
    r"py" + r"pi\.(?:org|python|io)",
    r"python" + r"hosted",
    r"(?:registry|npm)js?\." + r"(?:org|com)",
    r"crates\." + r"io",
    r"proxy\.gol" + r"ang",
)


def test_no_file_names_a_place_of_one_machine_or_a_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
    )
    if listed.returncode != 0:
        pytest.skip("no git checkout: an unpacked sdist")
    found = []
    for name in os.fsdecode(listed.stdout).split("\0"):
        path = ROOT / name
        if not name or not path.is_file():
            continue
        for number, line in enumerate(path.read_text("utf-8", "replace").split("\n"), 1):
            found += [f"{name}:{number}: {line.strip()[:100]}" for private in PRIVATE if re.search(private, line)]
    assert not found
