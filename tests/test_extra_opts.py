"""`--extra-opts`: options from an ini file, as the monitoring plugins have them."""

from pathlib import Path

import pytest

from check_ssh_exchange.plugin.extra_opts import DIRECTORIES
from check_ssh_exchange.remote.options import Options, parse

from .lab.front_door import refusal

HOST = ("-H", "127.0.0.1")


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    return tmp_path / "plugins.ini"


def from_file(ini: Path, content: str, *arguments: str, section: str = "") -> Options:
    ini.write_text(content)
    return parse([f"--extra-opts={section}@{ini}", *arguments])


def test_a_section_of_a_file_adds_options(ini: Path) -> None:
    content = "[other]\nport=1\n[check_ssh_exchange]\nhostname=h.example\nport=2222\n[third]\nport=3\n"
    assert from_file(ini, content) == parse(["-H", "h.example", "-p", "2222"])
    assert from_file(ini, content, "-Hh.example", section="third") == parse(["-H", "h.example", "-p", "3"])


def test_a_key_of_one_character_is_a_short_option(ini: Path) -> None:
    assert from_file(ini, "[check_ssh_exchange]\nH=h.example\np=2222\n") == parse(["-H", "h.example", "-p", "2222"])


def test_a_key_without_a_value_is_a_flag(ini: Path) -> None:
    content = "[check_ssh_exchange]\nH = h.example\nexempt=\nv =\nv=\n4= \n"
    assert from_file(ini, content) == parse(["-H", "h.example", "--exempt", "-vv", "-4"])


def test_comments_blanks_quotes_and_line_ends_of_windows_say_nothing(ini: Path) -> None:
    content = (
        "# first\r\n; second\r\n\r\n[ check_ssh_exchange ]\r\n  # third\r\n\t hostname =  h.example  \r\n"
        "remote-version='OpenSSH_9.2p1 Debian-2'\r\nremote-protocol=\"2.0\"\r\n"
    )
    assert from_file(ini, content) == parse(["-H", "h.example", "-r", "OpenSSH_9.2p1 Debian-2", "-P", "2.0"])


def test_a_repeated_key_is_a_repeated_option(ini: Path) -> None:
    content = "[check_ssh_exchange]\nw=failed=1\nw=timeout=2\nremote-version=a\nremote-version=b\n"
    assert from_file(ini, content, *HOST) == parse([*HOST, "-w", "failed=1", "-w", "timeout=2", "-r", "a", "-r", "b"])


def test_a_section_that_occurs_twice_is_read_twice(ini: Path) -> None:
    content = "[check_ssh_exchange]\np=2222\n[x]\np=1\n[check_ssh_exchange]\nn=3\n"
    assert from_file(ini, content, *HOST) == parse([*HOST, "-p", "2222", "-n", "3"])


def test_the_command_line_wins_over_the_file_wherever_the_option_stands(ini: Path) -> None:
    content = "[check_ssh_exchange]\nH=file.example\np=1\nw=failed=1\n"
    ini.write_text(content)
    wanted = parse(["-H", "line.example", "-p", "2", "-w", "failed=2"])
    own = ["-H", "line.example", "-p", "2", "-w", "failed=2"]
    assert parse([f"--extra-opts=@{ini}", *own]) == wanted
    assert parse([*own, f"--extra-opts=@{ini}"]) == wanted


def test_several_files_and_sections_are_read_in_their_order(ini: Path, tmp_path: Path) -> None:
    ini.write_text("[a]\np=1\nn=2\n[b]\np=2\n")
    second = tmp_path / "second.ini"
    second.write_text("[check_ssh_exchange]\nt=3\n")
    assert parse([f"--extra-opts=a@{ini}", *HOST, f"--extra-opts=b@{ini}", f"--extra-opts=@{second}"]) == parse(
        [*HOST, "-p", "2", "-n", "2", "-t", "3"]
    )


def test_the_value_may_stand_apart(ini: Path) -> None:
    ini.write_text("[a]\np=2222\n")
    assert parse([*HOST, "--extra-opts", f"a@{ini}"]) == parse([*HOST, "-p", "2222"])


def test_the_environment_names_the_usual_file(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ini.write_text("[check_ssh_exchange]\np=2222\n[a]\np=1111\n")
    monkeypatch.setenv("MP_CONFIG_FILE", str(ini))
    assert parse([*HOST, "--extra-opts"]) == parse([*HOST, "-p", "2222"])
    assert parse(["--extra-opts", *HOST]) == parse([*HOST, "-p", "2222"])
    assert parse(["--extra-opts=", *HOST]) == parse([*HOST, "-p", "2222"])
    assert parse(["--extra-opts=a", *HOST]) == parse([*HOST, "-p", "1111"])


def test_the_old_environment_names_directories(ini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if present := [path for path in DIRECTORIES if Path(path).exists()]:
        pytest.skip(f"{present[0]} exists here and comes first")
    ini.write_text("[check_ssh_exchange]\np=2222\n")
    monkeypatch.delenv("MP_CONFIG_FILE", raising=False)
    monkeypatch.setenv("NAGIOS_CONFIG_PATH", f"/nowhere:{tmp_path}")
    assert parse([*HOST, "--extra-opts"]) == parse([*HOST, "-p", "2222"])


def test_words_behind_the_double_dash_are_no_extra_opts() -> None:
    assert refusal("--", "--extra-opts=@/nowhere", "x") == "unrecognized arguments: x"


def test_a_bad_option_from_a_file_is_named_like_one_of_the_command_line(ini: Path) -> None:
    ini.write_text("[check_ssh_exchange]\nport=0\n")
    assert refusal(*HOST, f"--extra-opts=@{ini}") == "argument -p/--port: '0' is not a valid port: use 1 to 65535"


S = b"[check_ssh_exchange]\n"
BROKEN = {
    "a host with a NUL": (S + b"H=a\0b\n", "{ini}:2: a NUL byte"),
    "a key with a NUL": (S + b"po\0rt=22\n", "{ini}:2: a NUL byte"),
    "an empty file": (b"", "{ini} has no section [check_ssh_exchange]"),
    "another section": (b"[other]\np=1\n", "{ini} has no section [check_ssh_exchange]"),
    "another file": (S + b"extra-opts=@/nowhere\n", "{ini}:2: a file cannot name another one"),
    "no equals sign": (S + b"exempt\n", "{ini}:2: not of the form key=value"),
    "no key": (S + b"=5\n", "{ini}:2: not of the form key=value"),
    "a key of two words": (S + b"a b=5\n", "{ini}:2: not of the form key=value"),
    "no section": (b"\n# x\np=1\n" + S, "{ini}:3: an option before the first [section]"),
    "an open bracket": (b"[check_ssh_exchange\np=1\n", "{ini}:1: a section heading without its closing bracket"),
    "binary": (bytes(range(256)) * 4, "{ini}:1: an option before the first [section]"),
    "binary in a section": (S + bytes(range(128, 256)), "{ini}:2: not of the form key=value"),
    "too large": (S + b"#" * (1 << 20), "{ini} has more than 1048576 bytes"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_refused_with_the_place(kind: str, ini: Path) -> None:
    content, sentence = BROKEN[kind]
    ini.write_bytes(content)
    assert refusal(*HOST, f"--extra-opts=@{ini}") == sentence.format(ini=ini)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.ini"
    assert refusal(*HOST, f"--extra-opts=@{missing}") == f"cannot read {missing}: No such file or directory"
    assert refusal(*HOST, f"--extra-opts=@{tmp_path}") == f"cannot read {tmp_path}: Is a directory"
    told = refusal(*HOST, "--extra-opts", env={"MP_CONFIG_FILE": str(missing)})
    assert told == f"cannot read {missing}: No such file or directory"


def test_a_file_without_an_end_is_refused() -> None:
    assert refusal(*HOST, "--extra-opts=@/dev/zero") == "/dev/zero has more than 1048576 bytes"


def test_a_missing_usual_file_is_refused_with_where_it_could_be() -> None:
    if any(Path(path).exists() for path in DIRECTORIES):
        pytest.skip("one of the usual files exists here")
    assert refusal(*HOST, "--extra-opts", env={}) == (
        f"--extra-opts names no file, and none of the usual ones exists ({DIRECTORIES[2]} and others)"
    )
