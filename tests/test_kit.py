"""The Nagios kit alone: a second plugin is a table of findings and a main of a few lines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from check_ssh_exchange.plugin import arguments as types
from check_ssh_exchange.plugin import output, process
from check_ssh_exchange.plugin.arguments import Parser
from check_ssh_exchange.plugin.nagios import Critical, Ok
from check_ssh_exchange.plugin.perfdata import Figure, block, violation
from check_ssh_exchange.plugin.state_file import StateFile
from check_ssh_exchange.plugin.states import STATE_OF_WORD, Result, verdict_of
from check_ssh_exchange.plugin.thresholds import Thresholds

# --- a plugin about a spool directory: what it reads is a dict, its findings are pure functions of that

UNITS = {"files": "", "used": "%"}
DEFAULTS = Thresholds({"files": "10", "used": "90"}, {"used": "98"})
Read = dict[str, float]


class Finding(NamedTuple):
    name: str
    judge: Callable[[Read], Result]


def is_readable(read: Read) -> Result:
    return Result(Ok) if read["readable"] else Result(Critical, "the spool cannot be read")


FINDINGS = (Finding("readable", is_readable),)


def check_of(read: Read) -> Callable[[list[str]], tuple[int, str]]:
    def check(words: list[str]) -> tuple[int, str]:
        parser = Parser("check_spool", "%(prog)s [options]", "Judge a spool.")
        types.add_judgement(parser, tuple(UNITS), [finding.name for finding in FINDINGS], "a finding", DEFAULTS)
        types.add_output(parser, "1.2", "more words")
        given = types.parse(parser, words)
        thresholds, states, _ = types.judgement(given, DEFAULTS)
        figures = [Figure(label, read[label]) for label in UNITS]
        results = [Result(thresholds.state(*figure)) for figure in figures]
        results = [
            Result(result.state, violation(figure, UNITS[figure.label], thresholds, result.state))
            for figure, result in zip(figures, results, strict=True)
            if result.state is not Ok
        ]
        for name, judge in FINDINGS:
            found = judge(read)
            results.append(Result(STATE_OF_WORD[states[name]], found.reason) if name in states else found)
        verdict = verdict_of(results)
        line = output.status_line("SPOOL", verdict.state, output.summary_of(verdict.reasons or ["all is well"]))
        if given.output_format == "json":
            return int(verdict.state), output.json_line({"state": str(verdict.state), "reasons": verdict.reasons})
        return int(verdict.state), output.text(line, block(figures, UNITS, thresholds))

    return check


GOOD: Read = {"files": 3, "used": 40.5, "readable": True}


def run(read: Read, *words: str) -> tuple[int, str]:
    return process.guarded("SPOOL", check_of(read), list(words))


def test_the_kit_makes_a_whole_plugin() -> None:
    assert run(GOOD) == (0, "SPOOL OK - all is well | files=3;10;;0 used=40.5%;90;98;0;100\n")
    assert run({**GOOD, "files": 11}) == (
        1,
        "SPOOL WARNING - files is 11 (outside 10) | files=11;10;;0 used=40.5%;90;98;0;100\n",
    )


def test_the_worst_finding_leads_and_the_user_may_set_its_state() -> None:
    broken = {**GOOD, "files": 11, "readable": False}
    assert run(broken)[1].startswith("SPOOL CRITICAL - the spool cannot be read, files is 11 (outside 10) |")
    assert run(broken, "--state", "readable=ok")[0] == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["-w", "inodes=5"], "argument -w/--warning: 'inodes' is not a perfdata label; these are: files, used"),
        (["--state", "gone=ok"], "argument --state: 'gone' is not a finding; these are: readable"),
        (["--nothing"], "unrecognized arguments: --nothing"),
    ],
)
def test_labels_words_and_prefix_are_the_plugins_own(words: list[str], sentence: str) -> None:
    assert run(GOOD, *words) == (3, f"SPOOL UNKNOWN - {sentence} (--help lists the options)\n")


def test_options_come_from_the_plugins_own_section(tmp_path: Path) -> None:
    ini = tmp_path / "plugins.ini"
    ini.write_text("[check_spool]\nwarning=files=2\n")
    assert run(GOOD, f"--extra-opts=@{ini}")[0] == 1


def test_json_version_and_help() -> None:
    code, printed = run(GOOD, "--output-format", "json")
    assert (code, json.loads(printed)) == (0, {"state": "ok", "reasons": []})
    assert run(GOOD, "-V") == (3, "check_spool 1.2\n")
    assert run(GOOD, "--help")[1].startswith("usage: check_spool [options]")


def test_a_bug_is_one_sentence() -> None:
    code, printed = run({})
    assert (code, printed.count("\n")) == (3, 1)
    assert printed.startswith("SPOOL UNKNOWN - internal error, please report it: KeyError(")


def test_a_state_file_belongs_to_a_program_and_a_target(tmp_path: Path) -> None:
    file = StateFile(str(tmp_path), "check_spool", "/var/spool")
    file.update(lambda seen: {"runs": seen.get("runs", 0) + 1})
    file.update(lambda seen: {"runs": seen.get("runs", 0) + 1})
    assert file.load()["runs"] == 2
    (name,) = [path.name for path in tmp_path.iterdir() if path.suffix == ".json"]
    assert name.startswith("check_spool-_var_spool-")
