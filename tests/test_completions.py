"""The completions in real shells, in a terminal: somebody types, presses TAB, and the line is what it should be."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.figures import LABELS
from check_ssh_exchange.ending import Depth
from check_ssh_exchange.host.items import LABELS as LOCAL_LABELS
from check_ssh_exchange.host.items import NAMES
from check_ssh_exchange.host.options import WORDS as LOCAL_WORDS
from check_ssh_exchange.plugin.states import WORDS as STATES
from check_ssh_exchange.remote.options import WORDS
from contrib.generators.completions import PROGRAMS
from contrib.generators.manual_options import words as spellings
from tests.lab.daemons import CONTRIB
from tests.lab.shells import BASH, ZSH, Shell

COMPLETIONS = CONTRIB / "completions"
OF_THE_SYSTEM = Path("/usr/share/bash-completion/bash_completion")
# Another program's completion by another release of shtab: the helpers of all of them have the same names.
FOREIGN = "_set_parser_defaults() { :; }; _set_new_action() { :; }; _shtab_replace_nonword() { :; }"
KNOWN_HOSTS = """met.example,192.0.2.9 ssh-ed25519 AAAA
|1|c2FsdA==|aGFzaA== ssh-ed25519 AAAA
[port.example]:2222 ssh-ed25519 AAAA
*.pattern.example ssh-ed25519 AAAA
2001:db8::7 ssh-ed25519 AAAA
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home directory with files to complete, and programs in `bin` that tell when they are started."""
    place = tmp_path_factory.mktemp("home")
    (place / ".ssh").mkdir()
    (place / ".ssh" / "known_hosts").write_text(KNOWN_HOSTS)
    (place / "hosts").write_text("192.0.2.1 bastion.example\n")
    for name in ("two words.yml", "other.yml"):
        (place / name).touch()
    (place / "folder").mkdir()
    (place / "bin").mkdir()
    for name in ("python", "python3", *PROGRAMS):
        program = place / "bin" / name
        program.write_text(f"#!/bin/sh\necho {name} >>{place}/started\n")
        program.chmod(0o755)
    return place


def shell(kind: str, home: Path) -> Shell:
    """Return a shell with the completions; `bash` has sourced them, the others find them where packages put them."""
    env = {"PATH": f"{home}/bin:/usr/bin:/bin", "HOSTFILE": f"{home}/hosts"}
    scripts = [COMPLETIONS / f"{program}.bash" for program in PROGRAMS]
    if kind == "zsh":
        found = f"fpath=({COMPLETIONS} $fpath)\nautoload -Uz compinit\ncompinit -u -d {home}/dump\n"
        return Shell(["zsh", "-f", "-i"], ZSH + found, home, env)
    if kind == "bash":
        found = "".join(f"source {script}\n" for script in scripts)
        return Shell(["bash", "--noprofile", "--norc", "-i"], f"{BASH}{found}{FOREIGN}\n", home, env)
    place = home / ".local/share/bash-completion/completions"
    place.mkdir(parents=True, exist_ok=True)
    for script in scripts:
        shutil.copy(script, place)
    return Shell(["bash", "--noprofile", "--norc", "-i"], f"{BASH}source {OF_THE_SYSTEM}\n", home, env)


def missing(kind: str) -> str:
    """Return the sentence that says what to install for a shell; nothing where it is there."""
    if shutil.which(kind.partition("-")[0]) is None:
        return f"to try the completions in {kind}: apt-get install {kind}"
    if kind == "bash-completion" and not OF_THE_SYSTEM.exists():
        return "to try how bash finds completions: apt-get install bash-completion"
    return ""


@pytest.fixture(scope="module", params=["bash", "bash-completion", "zsh"])
def typist(request: pytest.FixtureRequest, home: Path) -> Iterator[tuple[str, Shell]]:
    kind = str(request.param)
    if sentence := missing(kind):
        pytest.skip(sentence)
    with shell(kind, home) as begun:
        yield kind, begun


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("check_ssh_exchange -4 --exe", "check_ssh_exchange -4 --exempt "),
        ("/usr/lib/nagios/plugins/check_ssh_exchange --exe", "/usr/lib/nagios/plugins/check_ssh_exchange --exempt "),
        ("check_ssh_exchange met", "check_ssh_exchange met.example "),
        ("check_ssh_exchange -H met", "check_ssh_exchange -H met.example "),
        ("check_ssh_exchange --hostname=met", "check_ssh_exchange --hostname=met.example "),
        ("check_ssh_exchange met.example --expl", "check_ssh_exchange met.example --explain "),
        ("check_ssh_exchange --depth ban", "check_ssh_exchange --depth banner "),
        ("check_ssh_exchange --depth=ban", "check_ssh_exchange --depth=banner "),
        ("check_ssh_exchange --require post", "check_ssh_exchange --require post_quantum "),
        ("check_ssh_exchange --runbook=per", "check_ssh_exchange --runbook=per_source_limit "),
        ("check_ssh_exchange -w base", "check_ssh_exchange -w baseline_banner="),
        ("check_ssh_exchange -w early_close=20,base", "check_ssh_exchange -w early_close=20,baseline_banner="),
        ("check_ssh_exchange --critical=failed=5,base", "check_ssh_exchange --critical=failed=5,baseline_banner="),
        ("check_ssh_exchange --state maxst", "check_ssh_exchange --state maxstartups="),
        ("check_ssh_exchange --max-startups 9:30:99 --expl", "check_ssh_exchange --max-startups 9:30:99 --explain "),
        ("check_ssh_exchange --identity two", r"check_ssh_exchange --identity two\ words.yml "),
        ("check_ssh_exchange --state-file=oth", "check_ssh_exchange --state-file=other.yml "),
        ("check_ssh_exchange --state-file ~/oth", "check_ssh_exchange --state-file ~/other.yml "),
        ("check_ssh_exchange --known-hosts fol", "check_ssh_exchange --known-hosts folder/"),
        ("check_ssh_exchange --user roo", "check_ssh_exchange --user root "),
        ("check_ssh_exchange -p 22 >oth", "check_ssh_exchange -p 22 >other.yml "),
        ("check_sshd_local --output-format=op", "check_sshd_local --output-format=openmetrics "),
        ("check_sshd_local --login-user=roo", "check_sshd_local --login-user=root "),
        ("check_sshd_local --snapshot oth", "check_sshd_local --snapshot other.yml "),
        ("check_sshd_local -w snap", "check_sshd_local -w snapshot_age="),
        ("ssh_exchange_exporter --log.level=de", "ssh_exchange_exporter --log.level=debug "),
        ("ssh_exchange_exporter --log.format js", "ssh_exchange_exporter --log.format json "),
        ("ssh_exchange_exporter --config.file=oth", "ssh_exchange_exporter --config.file=other.yml "),
        ("ssh_exchange_exporter --web.config.file=oth", "ssh_exchange_exporter --web.config.file=other.yml "),
        ("ssh_exchange_exporter --shard=1/3 --web.s", "ssh_exchange_exporter --shard=1/3 --web.systemd-socket "),
        ("ssh_exchange_exporter --nonsense=de", "ssh_exchange_exporter --nonsense=de"),
    ],
)  # fmt: skip
def test_a_tab_ends_the_word(typist: tuple[str, Shell], typed: str, line: str) -> None:
    assert typist[1].complete(typed).line == line


@pytest.mark.parametrize(
    ("bash", "zsh"),
    [
        # zsh offers the comma of a list, which the next blank takes away; bash leaves it to the typist.
        ("check_ssh_exchange --state closed=warn", "check_ssh_exchange --state closed=warning,"),
        ("check_ssh_exchange --state=reset=ok,closed=warn", "check_ssh_exchange --state=reset=ok,closed=warning,"),
        ("check_sshd_local --only startups,ban", "check_sshd_local --only startups,bans,"),
        ("check_sshd_local --skip=fire", "check_sshd_local --skip=firewall,"),
    ],
)
def test_lists_with_commas_go_on(typist: tuple[str, Shell], bash: str, zsh: str) -> None:
    kind, begun = typist
    assert begun.complete(bash).line == (zsh if kind == "zsh" else f"{zsh[:-1]} ")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("check_ssh_exchange --depth ", [*Depth]),
        ("check_ssh_exchange --depth=", [*Depth]),
        ("check_ssh_exchange --output-format=", ["text", "json"]),
        ("check_ssh_exchange --runbook ", [*Cause]),
        ("check_ssh_exchange -w ", [f"{label}=" for label in LABELS]),
        ("check_ssh_exchange --state ", [f"{word}=" for word in WORDS]),
        ("check_ssh_exchange --state closed=", [*STATES]),
        ("check_sshd_local --only ", [*NAMES]),
        ("check_sshd_local --critical=", [f"{label}=" for label in LOCAL_LABELS]),
        ("check_sshd_local --state=", [f"{word}=" for word in LOCAL_WORDS]),
        ("ssh_exchange_exporter --log.level=", ["debug", "info", "warn", "error"]),
    ],
)
def test_a_tab_lists_every_word(typist: tuple[str, Shell], typed: str, words: list[str]) -> None:
    kind, begun = typist
    # zsh shows the words, and adds the = when one is chosen.
    wanted = {word.rstrip("=") for word in words} if kind == "zsh" else set(words)
    answer = begun.complete(typed)
    assert answer.line == typed
    assert wanted <= answer.listed


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_tab_lists_every_option(typist: tuple[str, Shell], program: str) -> None:
    kind, begun = typist
    options = {word for word in spellings(PROGRAMS[program].parser()) if word.startswith("--")}
    listed = begun.complete(f"{program} --").listed
    assert options == {word for word in listed if word.startswith("--") and word != "--"}
    if kind != "zsh":  # which hides a short option behind the long one that says the same
        short = {word for word in spellings(PROGRAMS[program].parser()) if not word.startswith("--")}
        assert short == {word for word in begun.complete(f"{program} -").listed if len(word) == 2 and word[0] == "-"}


def test_hosts_are_those_of_the_system_and_those_that_ssh_has_met(typist: tuple[str, Shell]) -> None:
    kind, begun = typist
    if kind == "zsh":  # it reads the same places by itself, and /etc/hosts by getent
        assert begun.complete("check_ssh_exchange -H met.").line == "check_ssh_exchange -H met.example "
        return
    listed = begun.complete("check_ssh_exchange -H ").listed
    assert {"bastion.example", "met.example", "192.0.2.9", "2001:db8::7"} <= listed
    assert not {word for word in listed if word[0] in "|[*"}
    assert begun.complete("check_ssh_exchange -H 2001:db").line == "check_ssh_exchange -H 2001:db8::7 "


def test_no_program_is_started_at_a_tab(typist: tuple[str, Shell], home: Path) -> None:
    _, begun = typist
    for program in PROGRAMS:
        begun.complete(f"{program} --")
        begun.complete(f"{program} --state ")
    assert not (home / "started").exists()


def test_the_programs_that_would_tell_do_tell(typist: tuple[str, Shell], home: Path) -> None:
    _, begun = typist
    begun.complete("check_ssh_exchange; python3;\n")
    assert (home / "started").read_text().split() == ["check_ssh_exchange", "python3"]
    (home / "started").unlink()
