"""Run the blocks of a scene and compare what they print with what the pages show."""

import shutil
from difflib import unified_diff

import pytest

from .blocks import ROOT, Block
from .inside import outputs
from .masking import masked
from .place import Place, environment
from .scenes import SCENES

# What is not installed with every Debian, and the package that has it.
PACKAGES = {
    "check_ssh": "monitoring-plugins-basic",
    "curl": "curl",
    "jq": "jq",
    "prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
    "promtool": "prometheus",
    "ssh": "openssh-client",
    "ssh-audit": "ssh-audit",
}


def absent(blocks: list[Block], place: Place) -> list[str]:
    """The packages that the commands of these blocks need and the machine lacks."""
    words = {word for block in blocks for command, _ in block.steps for word in command.replace(";", " ").split()}
    path = environment(place.home)["PATH"]
    return [name for program, name in PACKAGES.items() if program in words and not shutil.which(program, path=path)]


def differences(block: Block, printed: list[str]) -> list[str]:
    """What a block shows and its commands did not print, and the other way round."""
    found: list[str] = []
    for (command, shown), now in zip(block.steps, printed, strict=True):
        lines = masked(shown).splitlines(), masked(now).splitlines()
        found += unified_diff(*lines, f"{block.page.relative_to(ROOT)}: {command}", "printed now", lineterm="")
    return found


def compare(place: Place, scene: str, blocks: list[Block]) -> None:
    """Fail where commands print something else than their pages show; skip where a program is missing."""
    if missing := absent(blocks, place):
        pytest.skip(f"the site's commands need {', '.join(missing)}: apt-get install")
    told = outputs(place, scene, [[command for command, _ in block.steps] for block in blocks])
    wrong = [line for block, printed in zip(blocks, told, strict=True) for line in differences(block, printed)]
    assert not wrong, "\n".join(["`python -m tests.site` writes the pages anew", *wrong])


def marked(name: str) -> object:
    """Return a scene as a parameter of a test."""
    return pytest.param(name, id=name, marks=[pytest.mark.timing] if SCENES[name].is_timed else [])
