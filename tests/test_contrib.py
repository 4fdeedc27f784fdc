"""contrib/: what is generated is what the options are, and every file is named in a README."""

from pathlib import Path

import pytest

from contrib import generate
from tests.lab.daemons import CONTRIB


def test_what_is_generated_is_what_the_options_are() -> None:
    for name, made in generate.FILES.items():
        assert (CONTRIB / name).read_text("utf-8") == made(), "make contrib"


def test_a_file_that_differs_is_named_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "icinga2").mkdir()
    old = tmp_path / "icinga2/commands.conf"
    old.write_text((CONTRIB / "icinga2/commands.conf").read_text("utf-8").replace('"--port"', '"--sport"', 1))
    monkeypatch.setattr(generate, "HERE", tmp_path)
    monkeypatch.setattr(generate, "FILES", {"icinga2/commands.conf": generate.icinga})
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == "contrib/icinga2/commands.conf is not what `make contrib` writes\n"
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert old.read_text("utf-8") == (CONTRIB / "icinga2/commands.conf").read_text("utf-8")


FOLDERS = [path.name for path in CONTRIB.iterdir() if (path / "README.md").exists()]


@pytest.mark.parametrize("folder", [path.name for path in CONTRIB.iterdir() if path.is_dir() and path.name[0] != "_"])
def test_every_folder_has_a_readme_but_the_programs(folder: str) -> None:
    assert folder in FOLDERS or folder == "generators"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_of_a_folder_is_named_in_a_readme(folder: str) -> None:
    text = (CONTRIB / folder / "README.md").read_text("utf-8")
    names = {path.name for path in (CONTRIB / folder).iterdir()} - {"README.md"}
    assert [name for name in sorted(names) if name not in text] == []
