"""icingaexchange.yml says of the project what is true of it."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from check_ssh_exchange import __version__

ROOT = Path(__file__).parents[1]
# What Icinga Exchange reads, of a project, of its releases and of their files.
KEYS = {"name", "description", "url", "tags", "vendor", "target", "type", "license", "releases"}
OF_A_RELEASE, OF_A_FILE = {"name", "description", "files"}, {"name", "url", "description", "checksum"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe").load((ROOT / "icingaexchange.yml").read_text("utf-8"))
    return read


def file(url: str) -> Path:
    assert url.startswith("file:///")
    return ROOT / url.removeprefix("file:///")


def test_the_fields_are_those_of_the_exchange(project: dict[str, Any]) -> None:
    assert set(project) == KEYS
    assert project["type"] == "Plugin"
    for name in ("tags", "vendor", "target"):
        words = project[name].split(", ")
        assert all(words), name
        assert len(words) == len({*map(str.lower, words)})


def test_they_are_true_of_the_project(project: dict[str, Any]) -> None:
    metadata = (ROOT / "setup.cfg").read_text("utf-8")
    stated = dict(re.findall(r"^(name|license|url) = (.*)$", metadata, re.MULTILINE))
    assert project["name"] == stated["name"]
    assert project["license"] == stated["license"]
    assert project["url"] == stated.get("url")
    assert file(project["description"]).read_text("utf-8").startswith(f"# {project['name']}\n")


def test_it_lists_the_releases_that_there_are_and_files_that_exist(project: dict[str, Any]) -> None:
    headings = re.findall(r"^## (\S+) \((.*)\)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0][0] == __version__
    releases = project["releases"] or []
    assert [str(release["name"]) for release in releases] == [
        name for name, said in headings if re.match(r"\d{4}-", said)
    ]
    for release in releases:
        assert set(release) == OF_A_RELEASE
        for one in release["files"]:
            assert set(one) <= OF_A_FILE
            assert file(one["url"]).is_file()
