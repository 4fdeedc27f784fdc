"""contrib/: what is generated is what the options are, and every file is named in a README."""

import re
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
    written = old.read_text("utf-8")
    with pytest.raises(SystemExit):
        generate.main(["--chek"])
    assert old.read_text("utf-8") == written
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert old.read_text("utf-8") == (CONTRIB / "icinga2/commands.conf").read_text("utf-8")


READMES = sorted(CONTRIB.glob("*/**/README.md"))
FOLDERS = [path.name for path in CONTRIB.iterdir() if (path / "README.md").exists()]


@pytest.mark.parametrize("folder", [path.name for path in CONTRIB.iterdir() if path.is_dir() and path.name[0] != "_"])
def test_every_folder_has_a_readme_but_the_programs(folder: str) -> None:
    assert folder in FOLDERS or folder == "generators"


def unnamed(folder: Path) -> list[str]:
    """What lies below a folder and its README names nowhere: in code, by a link, in a `cp`, or by a folder above it."""
    text = (folder / "README.md").read_text("utf-8")
    named = {(code or link).rstrip("/") for code, link in re.findall(r"`([^`\n]+)`|\]\(([^)]+)\)", text)}
    named |= {word for words in re.findall(r"^ *cp (.+)$", text, re.MULTILINE) for word in words.split()}
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [
        file.as_posix()
        for file in files
        if file.name != "README.md" and not named & {file.name, file.as_posix(), *map(str, file.parents)}
    ]


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.relative_to(CONTRIB).as_posix())
def test_every_file_of_a_folder_is_named_in_a_readme(readme: Path) -> None:
    assert unnamed(readme.parent) == []


def test_a_file_that_a_readme_only_seems_to_name_is_found(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "`check.timer` runs check; `in/`, [more](b.cfg)\n```\ncp e.cfg /etc\ncheck\n```\n"
    )
    for name in ("check", "check.timer", "b.cfg", "in/c.cfg", "out/d.cfg", "e.cfg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert unnamed(tmp_path) == ["check", "out/d.cfg"]
