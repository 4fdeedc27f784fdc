"""The checks before a release find what is wrong."""

import re

import pytest

from check_ssh_exchange import __version__
from release import __main__ as release


def test_this_tree_has_one_version() -> None:
    assert release.versions() == ""


@pytest.mark.parametrize("name", ["CHANGELOG.md", "debian/changelog"])
def test_a_file_that_names_another_version_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    real = release.text

    def text(asked: str) -> str:
        return real(asked).replace(__version__, "9.9.9", 1) if asked == name else real(asked)

    monkeypatch.setattr(release, "text", text)
    assert release.versions() == f"{name} says 9.9.9, not {__version__}"


def test_what_a_failed_command_printed_is_told() -> None:
    assert release.said("sh", "-c", "echo broken >&2; exit 3") == "broken"
    assert release.said("sh", "-c", "exit 3") == "exit code 3"
    assert release.said("true") == ""


def test_a_problem_makes_the_whole_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = release.Check("the figures are kept", lambda: "one is lost\nand one is old")
    monkeypatch.setattr(release, "checks", lambda: iter([wrong, release.Check("all is well", lambda: "")]))
    assert release.main() == 1
    out = capsys.readouterr().out
    told = (
        r"WRONG the figures are kept \(\d+ s\)\n      one is lost\n      and one is old\nok    all is well \(\d+ s\)\n"
    )
    assert re.match(told, out)
    monkeypatch.setattr(release, "checks", lambda: iter([release.Check("all is well", lambda: "")]))
    assert release.main() == 0


def test_what_only_a_maintainer_can_do_is_listed() -> None:
    assert any(f"git tag --sign v{__version__}" in step for step in release.by_hand())
