"""Target files: their format, their errors, and their changes."""

import json
import os
import time
from pathlib import Path

import pytest

from ssh_exchange_exporter.configuration.file import ConfigurationError
from ssh_exchange_exporter.configuration.target_files import FileTarget, TargetFiles, read_targets

A = '[{"targets": ["a", "b:23"], "labels": {"site": "fra"}}, {"targets": ["::1"]}]'
OF_A = [FileTarget("a", {"site": "fra"}), FileTarget("b:23", {"site": "fra"}), FileTarget("::1", {})]


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def errors(path: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_targets(path)
    return [error.replace(path, Path(path).name) for error in caught.value.errors]


@pytest.mark.parametrize("name", ["t.json", "t.yml", "t.yaml", "t.JSON"])
def test_targets_and_labels_are_read_from_json_and_yaml(tmp_path: Path, name: str) -> None:
    assert read_targets(write(tmp_path / name, A)) == OF_A


def test_block_yaml_is_read_and_an_empty_file_has_no_targets(tmp_path: Path) -> None:
    text = "# a comment\n- targets:\n  - a\n  - b:23\n  labels:\n    site: fra\n- targets: ['::1']\n"
    assert read_targets(write(tmp_path / "t.yml", text)) == OF_A
    assert read_targets(write(tmp_path / "e.yml", "")) == []
    assert read_targets(write(tmp_path / "e.json", "[]")) == []


def test_meta_labels_are_dropped_with_any_value(tmp_path: Path) -> None:
    text = '[{"targets": ["a"], "labels": {"__meta_x": "1", "__param_module": "m", "rack": "7"}}]'
    assert read_targets(write(tmp_path / "t.json", text)) == [FileTarget("a", {"rack": "7"})]


MISTAKES = [
    ("t.txt", "", "t.txt: must end in .json, .yml or .yaml"),
    ("t.json", "", "t.json:1: is not valid JSON: expecting value (column 1)"),
    ("t.json", '[\n{"targets": ["a"', "t.json:2: is not valid JSON: expecting ',' delimiter (column 17)"),
    ("t.json", "[" * 200_000, "t.json: is nested too deeply"),
    ("t.json", "[" + "1" * 5000 + "]", "t.json: is not valid JSON: a number has too many digits"),
    ("t.json", "null", "t.json: must be a list"),
    ("t.json", '{"targets": []}', "t.json: must be a list"),
    ("t.json", "[1]", "t.json: [0]: must be a mapping of keys to values"),
    ("t.json", '[{"labels": {}}]', "t.json: [0].targets: is missing"),
    ("t.json", '[{"targets": ["a"]}, {"targets": "a"}]', "t.json: [1].targets: must be a list"),
    ("t.json", '[{"targets": ["a", 5]}]', "t.json: [0].targets[1]: must be text: put it in quotes"),
    ("t.json", '[{"targets": ["a@b"]}]', "t.json: [0].targets[0]: leave out the user a@ and write b"),
    ("t.json", '[{"target": [], "targets": []}]', "t.json: [0].target: unknown key; did you mean targets?"),
    ("t.json", '[{"targets": ["a"], "targets": ["b"]}]', 't.json: duplicate key "targets"'),
    ("t.json", '[{"targets": [], "labels": {"cause": "a"}}]',
     "t.json: [0].labels.cause: is reserved: the exporter sets this label itself"),
    ("t.json", '[{"targets": [], "labels": {"a": "\\ud800"}}]',
     "t.json: [0].labels.a: contains an unpaired surrogate and cannot be encoded as UTF-8"),
    ("t.json", '[{"targets": [], "labels": {"a": 1}}]', "t.json: [0].labels.a: must be text: put it in quotes"),
    ("t.yml", "- targets:\n  - a\n  - b c\n",
     "t.yml:3: [0].targets[1]: the target contains a space or a control character"),
    ("t.yml", "- targets: [a]\n  labels:\n    phase: x", "t.yml:3: [0].labels.phase: is reserved: the exporter "
     "sets this label itself"),
    ("t.yml", "- targets: [a]\n  targets: [b]", "t.yml:2: [0].targets: duplicate key; first given in line 1"),
    ("t.yml", "- targets: [a", "t.yml:1: is not valid YAML: expected ',' or ']', but got '<stream end>' "
     "(while parsing a flow sequence)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "error"), MISTAKES, ids=[str(at) for at in range(len(MISTAKES))])
def test_a_mistake_is_named_with_its_place(tmp_path: Path, name: str, text: str, error: str) -> None:
    assert errors(write(tmp_path / name, text)) == [error]


def test_all_errors_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    text = "- targets: [a@b]\n- targets: [1]\n  labels: {le: x}\n- target: []\n"
    assert [error.split(": ")[:2] for error in errors(write(tmp_path / "t.yml", text))] == [
        ["t.yml:1", "[0].targets[0]"],
        ["t.yml:2", "[1].targets[0]"],
        ["t.yml:3", "[1].labels.le"],
        ["t.yml:4", "[2].targets"],
        ["t.yml:4", "[2].target"],
    ]


def test_files_that_are_too_large_are_refused(tmp_path: Path) -> None:
    assert errors(write(tmp_path / "t.json", " " * ((16 << 20) + 1))) == ["t.json: must be at most 16 MiB"]
    assert errors(write(tmp_path / "t.yml", " " * ((2 << 20) + 1))) == ["t.yml: must be at most 2 MiB"]
    many = json.dumps([{"targets": ["a"] * 100_001}])
    assert errors(write(tmp_path / "m.json", many)) == ["m.json: must have at most 100000 targets; it has 100001"]


def test_a_hundred_thousand_targets_in_json_are_read_in_time(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.json", json.dumps([{"targets": [f"h{n}:22"], "labels": {"n": str(n)}} for n in range(100_000)])
    )
    begun = time.process_time()
    assert len(read_targets(path)) == 100_000
    assert time.process_time() - begun < 30


# --- while they change


def test_files_are_found_by_pattern_read_when_new_and_read_again_when_changed(tmp_path: Path) -> None:
    files = TargetFiles([str(tmp_path / "*.json"), str(tmp_path / "x.yml")])
    assert files.look()  # x.yml is named and missing
    assert files.targets() == []
    assert files.errors == {str(tmp_path / "x.yml"): (f"{tmp_path}/x.yml: cannot be read: no such file or directory",)}
    assert not files.look()
    write(tmp_path / "a.json", A)
    write(tmp_path / "x.yml", "- targets: [x]")
    write(tmp_path / "other.txt", A)
    assert files.look()
    assert files.targets() == [*OF_A, FileTarget("x", {})]
    assert files.errors == {}
    assert not files.look()
    write(tmp_path / "a.json", '[{"targets": ["changed"]}]')
    assert files.look()
    assert files.targets() == [FileTarget("changed", {}), FileTarget("x", {})]


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, '[{"targets": ["a"]}]')
    files = TargetFiles([str(path)])
    files.look()
    was = path.stat()
    write(tmp_path / "new", '[{"targets": ["b"]}]')
    os.utime(tmp_path / "new", ns=(was.st_atime_ns, was.st_mtime_ns))
    (tmp_path / "new").replace(path)
    assert files.look()
    assert files.targets() == [FileTarget("b", {})]


def test_the_targets_of_a_deleted_file_are_removed(tmp_path: Path) -> None:
    files = TargetFiles([str(tmp_path / "*.json")])
    write(tmp_path / "a.json", A)
    write(tmp_path / "b.json", "[{")
    assert files.look()
    (tmp_path / "a.json").unlink()
    (tmp_path / "b.json").unlink()
    assert files.look()
    assert (files.targets(), files.errors) == ([], {})


def test_a_half_written_file_keeps_its_last_valid_targets_until_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files = TargetFiles([str(path)])
    write(path, A)
    assert files.look()
    write(path, A[:40])
    assert files.look()
    assert files.targets() == OF_A
    (error,) = files.errors[str(path)]
    assert error.startswith(f"{path}:1: is not valid JSON: ")
    assert not files.look()
    with path.open("a") as file:
        file.write(A[40:].replace("::1", "::2"))
    assert files.look()
    assert files.errors == {}
    assert files.targets() == [*OF_A[:2], FileTarget("::2", {})]


def test_a_file_that_was_never_valid_has_an_error_and_no_targets_and_the_others_are_used(tmp_path: Path) -> None:
    write(tmp_path / "a.json", A)
    write(tmp_path / "b.json", "")
    files = TargetFiles([str(tmp_path / "*.json")])
    assert files.look()
    assert files.targets() == OF_A
    assert list(files.errors) == [str(tmp_path / "b.json")]


def test_pipes_and_directories_are_errors_and_the_other_files_are_used(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    (tmp_path / "b.json").mkdir()
    write(tmp_path / "c.json", A)
    files = TargetFiles([str(tmp_path / "*.json")])
    assert files.look()
    assert files.targets() == OF_A
    assert list(files.errors.values()) == [
        (f"{tmp_path}/a.json: must be a regular file",),
        (f"{tmp_path}/b.json: must be a regular file",),
    ]


def test_a_touched_file_with_the_same_content_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, A)
    files = TargetFiles([str(path)])
    assert files.look()
    os.utime(path)
    assert not files.look()


def test_a_target_with_the_same_labels_in_two_files_or_patterns_comes_once(tmp_path: Path) -> None:
    write(tmp_path / "a.json", A)
    write(tmp_path / "b.json", '[{"targets": ["a"], "labels": {"site": "fra"}}, {"targets": ["a"]}]')
    files = TargetFiles([str(tmp_path / "*.json"), str(tmp_path / "a.*")])
    files.look()
    assert files.targets() == [*OF_A, FileTarget("a", {})]
