"""The runbook fits the code: a page for every cause, the same parts in each, only options that exist."""

import os
import re
import shlex
import subprocess
from functools import cache

import pytest

from check_ssh_exchange import runbook
from check_ssh_exchange.diagnosis.cause import PHRASES, Cause, Confidence
from check_ssh_exchange.diagnosis.rules import RULES
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.host import options as host_options
from check_ssh_exchange.remote.options import parse, parser

from .lab import zoo
from .lab.front_door import HINT, ROOT, check

RUNBOOK = ROOT / "check_ssh_exchange" / "runbook"
PAGES = [f"{cause}.md" for cause in Cause]
FILES = ["README.md", *PAGES]
HEADINGS = [
    "## What it means",
    "## How we know",
    "## Confirm on the server",
    "## Fix",
    "## Keep the monitor from being hit",
    "## Sources",
]
# What a fence may hold: commands, what a log or a configuration file says.
LANGUAGES = {"sh", "text", "sshd_config", "ini"}

# Said by diagnoses that come from no rule: all was served, nothing was, or memory changed a rule's cause.
BESIDE_THE_RULES = {
    (Cause.ADDRESS_FAMILY, Confidence.LIKELY),
    (Cause.HEALTHY, Confidence.CERTAIN),
    (Cause.HEALTHY, Confidence.POSSIBLE),
    (Cause.SLOW, Confidence.CERTAIN),
    (Cause.INCOMPATIBLE, Confidence.LIKELY),
    (Cause.NAME_RESOLUTION, Confidence.CERTAIN),
    (Cause.PENALTY, Confidence.POSSIBLE),
    (Cause.BANNED, Confidence.POSSIBLE),
    (Cause.UNEXPLAINED, Confidence.POSSIBLE),
}
SURE = sorted(BESIDE_THE_RULES | {(rule.cause, rule.confidence) for rule in RULES})

# Causes that check_sshd_local sees from the server's side.
LOCAL = {
    Cause.MAXSTARTUPS, Cause.PER_SOURCE_LIMIT, Cause.PENALTY, Cause.RATE_LIMIT, Cause.BANNED, Cause.FILTERED,
    Cause.NOT_LISTENING, Cause.ACCESS_DENIED, Cause.SERVER_FAULT, Cause.STALLED, Cause.SLOW, Cause.ADDRESS_FAMILY,
    Cause.HOST_KEY,
}  # fmt: skip

OPTIONS = {word for action in parser()._actions for word in action.option_strings}


@cache
def lines(name: str) -> tuple[str, ...]:
    return tuple((RUNBOOK / name).read_text("utf-8").splitlines())


@cache
def fences(name: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each fenced block of a page: its language and its lines."""
    found: list[tuple[str, tuple[str, ...]]] = []
    language, block = "", list[str]()
    for line in lines(name):
        if not line.strip().startswith("```"):
            block.append(line.strip())
        elif language:
            found.append((language, tuple(block)))
            language = ""
        else:
            language, block = line.strip()[3:] or "none", []
    assert not language, f"{name} has a fence without an end"
    return tuple(found)


@cache
def prose(name: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", "\n".join(lines(name)), flags=re.MULTILINE | re.DOTALL)


@cache
def spans(name: str) -> tuple[str, ...]:
    """Return what stands between backticks outside the fences."""
    return tuple(" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(name)))


@cache
def section(name: str, heading: str) -> str:
    return prose(name).split(f"\n{heading}\n")[1].split("\n## ")[0]


def our_commands(name: str) -> list[list[str]]:
    shell = [line for language, block in fences(name) if language == "sh" for line in block]
    parts = [part.strip() for line in (*shell, *spans(name)) for part in line.split(";")]
    return [shlex.split(part, comments=True)[1:] for part in parts if part.startswith("check_ssh_exchange ")]


def test_every_cause_has_its_page_and_every_page_its_cause() -> None:
    assert sorted(path.name for path in RUNBOOK.glob("*.md")) == sorted(FILES)


@pytest.mark.parametrize("cause", Cause)
def test_a_page_is_found_by_its_cause(cause: Cause) -> None:
    assert runbook.path(cause) == str(RUNBOOK / f"{cause}.md")
    assert runbook.page(cause) == (RUNBOOK / f"{cause}.md").read_text("utf-8")


def test_the_names_of_the_pages_are_the_causes_in_their_order() -> None:
    assert [f"{name}.md" for name in runbook.NAMES] == PAGES
    assert runbook.index() == (RUNBOOK / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["", "README", "healthy.md", "../runbook/healthy", "HEALTHY"])
def test_only_a_cause_names_a_page(name: str) -> None:
    for function in (runbook.path, runbook.page):
        with pytest.raises(KeyError):
            function(name)


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_option_prints_the_page_whole_in_every_locale(cause: Cause, locale: str) -> None:
    env = {"PATH": os.environ["PATH"], "LC_ALL": locale}
    assert check("--runbook", cause, env=env) == (0, (RUNBOOK / f"{cause}.md").read_text("ascii"), "")


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("maxstartup", "; did you mean maxstartups?"),
        ("MaxStartups", "; did you mean maxstartups?"),
        ("per-source-limit", "; did you mean per_source_limit?"),
        ("README", ""),
        ("", ""),
        ("q" * 80, ""),
    ],
)
def test_an_unknown_cause_is_answered_with_the_nearest_and_all(name: str, guess: str) -> None:
    causes = ", ".join(Cause)
    sentence = f"argument --runbook: unknown cause {name!r}{guess} (choose from {causes})"
    assert check("--runbook", name) == (3, f"SSH UNKNOWN - {sentence}{HINT}\n", "")


def test_help_wins_over_a_page() -> None:
    answer = check("--runbook", "healthy", "--help")
    assert answer.code == 3
    assert answer.out.startswith("usage: ")


@pytest.mark.parametrize("name", FILES)
def test_a_page_is_ascii(name: str) -> None:
    # The plugin writes ASCII whatever the locale is, and would escape anything else.
    assert (RUNBOOK / name).read_bytes().isascii()


@pytest.mark.parametrize("cause", Cause)
def test_a_page_begins_with_its_cause_and_phrase(cause: Cause) -> None:
    assert lines(f"{cause}.md")[0] == f"# {cause}: {PHRASES[cause]}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_same_parts_in_the_same_order(name: str) -> None:
    assert re.findall(r"^#{2,}.*", prose(name), re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("heading", HEADINGS)
def test_no_part_is_empty(name: str, heading: str) -> None:
    whole = "\n".join(lines(name)).split(f"\n{heading}\n")[1].split("\n## ")[0]
    assert len(whole.split()) >= 5


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_short_enough_to_be_read_at_night(name: str) -> None:
    assert 50 <= len(lines(name)) <= 110


def test_the_index_lists_every_cause_once_in_the_order_of_the_code() -> None:
    rows = [line for line in lines("README.md") if line.startswith("| [")]
    links = [re.match(r"\| \[(\w+)\]\((\S+)\) \| (\S.*) \|$", row) for row in rows]
    assert [(link[1], link[2]) for link in links if link] == [(str(cause), f"{cause}.md") for cause in Cause]
    assert all(links)


@pytest.mark.parametrize(("cause", "confidence"), SURE)
def test_a_page_tells_when_its_cause_is_that_sure(cause: Cause, confidence: Confidence) -> None:
    assert f"`{confidence}`" in section(f"{cause}.md", "## How we know")


@pytest.mark.parametrize("cause", Cause)
def test_a_page_does_not_promise_more_than_the_rules_give(cause: Cause) -> None:
    told = {word for word in Confidence if f"* `{word}`" in section(f"{cause}.md", "## How we know")}
    assert told <= {confidence for known, confidence in SURE if known is cause}


@pytest.mark.parametrize("name", PAGES)
def test_how_we_know_names_an_ending(name: str) -> None:
    if name != f"{Cause.NAME_RESOLUTION}.md":  # nothing was opened, so nothing ended
        assert {f"`{ending}`" for ending in Ending} & set(re.findall(r"`\w+`", section(name, "## How we know")))


@pytest.mark.parametrize("name", FILES)
def test_every_option_of_ours_that_a_page_mentions_exists(name: str) -> None:
    # In prose an option that stands alone is ours; one of another program stands behind its program's name.
    mentioned = [word for span in spans(name) if span.startswith("-") for word in span.split()]
    # Among the sources an option stands behind its manual page, as in `sshd(8): -t`.
    mentioned += re.sub(r"`[^`]+`", "", prose(name).partition("\n## Sources\n")[0]).split()
    named = {word.rstrip(".,;:)") for word in mentioned if re.match(r"--[a-z]|-[a-zA-Z0-9]\W?$", word)}
    assert named <= OPTIONS


@pytest.mark.parametrize("name", FILES)
def test_every_command_of_ours_in_a_page_is_one_that_we_take(name: str) -> None:
    for arguments in our_commands(name):
        if arguments != ["-v"]:
            parse(arguments)


def test_every_item_that_a_page_has_check_sshd_local_look_at_exists() -> None:
    found = {name: re.findall(r"`(check_sshd_local --only [^`]+)`", prose(name)) for name in FILES}
    for command in (command for commands in found.values() for command in commands):
        wishes = host_options.parse(shlex.split(command)[1:], lambda _: None, 0).wishes
        assert set(wishes.items) == set(command.split()[2].split(","))
    assert [name for name in FILES if found[name]] == [f"{cause}.md" for cause in Cause if cause in LOCAL]


def test_the_commands_of_ours_are_found() -> None:
    assert ["-H", "server.example", "-n", "1", "-v"] in our_commands("penalty.md")
    assert sum(len(our_commands(name)) for name in FILES) > len(Cause)


@pytest.mark.parametrize("name", FILES)
def test_fences_say_what_they_hold(name: str) -> None:
    assert {language for language, _ in fences(name)} <= LANGUAGES


@pytest.mark.parametrize("name", FILES)
def test_the_shell_understands_the_commands(name: str) -> None:
    for language, block in fences(name):
        if language == "sh":
            done = subprocess.run(["sh", "-n"], input="\n".join(block) + "\n", capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, ""), "\n".join(block)


@pytest.mark.parametrize("name", FILES)
def test_links_lead_to_pages(name: str) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", prose(name))
    assert [target for target in targets if not (RUNBOOK / target).is_file()] == []


@pytest.mark.parametrize("name", FILES)
def test_no_page_cites_an_address_on_the_web(name: str) -> None:
    assert "://" not in "\n".join(lines(name))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_both_units_or_both_logs_where_distributions_differ(name: str) -> None:
    text = "\n".join(lines(name))
    if name == f"{Cause.NAME_RESOLUTION}.md":  # its place is the monitor, not a server
        return
    assert "-u ssh -u sshd" in text or {"/var/log/auth.log", "/var/log/secure"} <= set(re.findall(r"/[\w./]+", text))


def settings(name: str) -> list[tuple[str, ...]]:
    """Return the lines of sshd_config that a page proposes, block by block."""
    blocks = [block for language, block in fences(name) if language == "sshd_config"]
    return blocks + [
        (span,) for span in spans(name) if re.fullmatch(r"(PerSource\w+|MaxStartups|UseDNS) [a-z0-9:]+", span)
    ]


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
@pytest.mark.parametrize("name", [name for name in FILES if (RUNBOOK / name).is_file() and settings(name)])
def test_a_new_sshd_takes_the_settings_of_a_page(name: str) -> None:
    with zoo.copy("openssh-10.6") as chroot:
        for block in settings(name):
            command = ["chroot", str(chroot.root), "/usr/sbin/sshd", "-T", "-f", "/dev/null"]
            command += [word for line in block for word in ("-o", line)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, ""), block
