"""docs/check_sshd_local.md is true of the program, and what contrib/ has for it is right."""

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest

from check_ssh_exchange.host import openmetrics
from check_ssh_exchange.host.items import ITEMS
from check_ssh_exchange.host.options import parser

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/check_sshd_local.md").read_text()


def rows(under: str) -> list[list[str]]:
    """The cells of the table in a section, without its heading."""
    section = PAGE.partition(f"\n## {under}\n")[2].partition("\n## ")[0]
    found = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in found[2:]]


def test_every_option_has_its_row_and_no_other_has_one() -> None:
    named = {word for cell, *_ in rows("Options") for word in re.findall(r"-{1,2}[a-z-]+", cell, re.IGNORECASE)}
    assert named == {word for action in parser()._actions for word in action.option_strings}


def test_every_item_has_its_row_with_its_figures() -> None:
    told = {
        name: set(re.findall(r"`(\w+)`", row[3])) for row in rows("Items") for name in re.findall(r"`(\w+)`", row[0])
    }
    limits = {"memory", "disk", "processes", "descriptors", "conntrack"}
    assert list(told) == [item.name for item in ITEMS if item.name in told]
    for item in ITEMS:
        assert set(item.labels) <= told[item.name], item.name
        if item.name not in limits:
            assert set(item.labels) == told[item.name]


def test_every_metric_is_named() -> None:
    for name in openmetrics.FAMILIES:
        assert f"`{name}" in PAGE


def test_the_sudoers_fragment_is_valid_and_allows_one_command() -> None:
    file = ROOT / "contrib/sudoers/check_sshd_local"
    rules = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    assert [re.sub(r"\S+/check_sshd_local", "PROGRAM", rule) for rule in rules] == [
        "nagios ALL=(root) NOPASSWD: PROGRAM --collect"
    ]
    if which("visudo") is None:
        pytest.skip("visudo is not installed: apt-get install sudo")
    subprocess.run(["visudo", "-cf", file], check=True, capture_output=True)


@pytest.mark.parametrize("name", ["check_sshd_local.service", "check_sshd_local.timer"])
def test_the_units_are_valid(name: str, tmp_path: Path) -> None:
    if which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    for unit in (ROOT / "contrib/systemd").glob("check_sshd_local.*"):
        text = unit.read_text().replace("/usr/lib/nagios/plugins/check_sshd_local", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True)
    assert "check_sshd_local" not in done.stderr, done.stderr
