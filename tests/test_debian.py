"""debian/ agrees with the project: files, version, bounds, unit, defaults. `make deb` builds and tries the packages."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from check_ssh_exchange import __version__
from ssh_exchange_exporter.flags import parser as flags

from .lab.front_door import ROOT

DEBIAN = ROOT / "debian"
SCRIPTS = ROOT / "packaging" / "deb"
PLUGINS, EXPORTER = "monitoring-plugins-ssh-exchange", "ssh-exchange-exporter"
USER = "_ssh-exchange-exporter"
SERVICE = "ssh_exchange_exporter.service"
WORST = 11  # tenths of systemd-analyze's exposure, as for contrib's unit
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "exporter")])}
EXTRAS = {"exporter": "Depends", "login": "Recommends", "gearman": "Recommends"}


def setup_cfg() -> configparser.ConfigParser:
    read = configparser.ConfigParser()
    read.read(ROOT / "setup.cfg", encoding="utf-8")
    return read


def bounds(section: str, key: str) -> dict[str, str]:
    """Return the lower bounds of requirements by Debian's name of the package."""
    found = {}
    for line in setup_cfg()[section][key].split("\n"):
        if line.strip():
            wanted = Requirement(line)
            (lower,) = (one.version for one in wanted.specifier if one.operator == ">=")
            found[f"python3-{wanted.name}"] = lower
    return found


def dependencies(text: str) -> dict[str, str]:
    """Return the lower bounds of a field of debian/control; "" where there is none."""
    words = re.findall(r"([a-z][a-z0-9.+-]+)(?: \(>= ([^)]+)\))?(?: <!nocheck>)?\s*(?:,|\||$)", text)
    return dict(words)


def control() -> dict[str, dict[str, str]]:
    """Return the fields of each paragraph, by package; the source's is ""."""
    found = {}
    for paragraph in (DEBIAN / "control").read_text("utf-8").split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): *((?:.*\n?)(?:^ .*\n?)*)", paragraph, re.MULTILINE))
        found[fields.get("Package", "").strip()] = fields
    return found


def lists(suffix: str) -> list[tuple[str, str]]:
    """Return the first word of every line of the files with this suffix, each with the file's name."""
    return [
        (file.name, line.split()[0])
        for file in sorted(DEBIAN.glob(f"*.{suffix}"))
        for line in file.read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]


def assignments(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[\w:]+=", line))


@pytest.mark.parametrize("suffix", ["install", "docs", "examples", "manpages"])
def test_every_file_that_is_installed_exists(suffix: str) -> None:
    made = {
        f"usr/bin/{line.split()[0]}"
        for line in setup_cfg()["options.entry_points"]["console_scripts"].split("\n")
        if line
    }
    found = lists(suffix)
    assert found
    for name, path in found:
        if path.startswith("usr/lib/python3*/dist-packages/"):
            assert path.rpartition("/")[2] in (
                "check_ssh_exchange",
                "ssh_exchange_exporter",
                "check_ssh_exchange-*.dist-info",
            )
        elif path.startswith("usr/"):
            assert path in made, name
        else:
            assert (ROOT / path).exists(), f"{name}: {path}"


def test_every_file_that_rules_names_exists_and_every_program_is_packaged() -> None:
    rules = (DEBIAN / "rules").read_text("utf-8").replace("\\\n", " ")
    named = re.findall(r" ((?:contrib|debian|docs)/[\w./$-]+)", rules)
    assert len(named) > 6
    for path in named:
        if "ssh_exchange_exporter." not in Path(path).name and not path.startswith(("debian/monitoring", "debian/ssh")):
            for name in ("check_ssh_exchange", "check_sshd_local") if "$$name" in path else ("",):
                assert (ROOT / path.replace("$$name", name)).exists(), path
    (tests,) = re.findall(r"addprefix tests/test_,([\w ]+)\)", rules)
    assert all((ROOT / "tests" / f"test_{name}.py").exists() for name in tests.split())
    programs = {line.split()[0] for line in setup_cfg()["options.entry_points"]["console_scripts"].split("\n") if line}
    assert {Path(path).name for _, path in lists("install") if path.startswith("usr/bin/")} == programs


def test_the_changelog_has_the_version_of_the_project() -> None:
    first = (DEBIAN / "changelog").read_text("utf-8").split("\n", 1)[0]
    match = re.fullmatch(r"check-ssh-exchange \(([\d.]+)-\d+\) \w+; urgency=\w+", first)
    assert match, first
    assert match[1] == __version__


def test_the_plugins_need_what_the_wheel_needs() -> None:
    fields = control()[PLUGINS]
    assert bounds("options", "install_requires").items() <= dependencies(fields["Depends"]).items()
    recommended = dependencies(fields["Recommends"])
    # asyncssh without a bound: debian/README.source says what bookworm's was tried with.
    assert recommended == {**bounds("options.extras_require", "explain"), "python3-asyncssh": ""}
    building = dependencies(control()[""]["Build-Depends"])
    assert building["python3"] == setup_cfg()["options"]["python_requires"].removeprefix(">=")
    assert f'"setuptools >= {building["python3-setuptools"]}"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_exporter_needs_what_its_extras_need_where_the_suite_has_it() -> None:
    said = assignments((DEBIAN / "suite-libraries").read_text("utf-8"))
    wanted: dict[str, dict[str, str]] = {"Depends": {}, "Recommends": {}}
    for extra, field in EXTRAS.items():
        wanted[field] |= bounds("options.extras_require", extra)
    assert {f"exporter:{field}": found for field, found in wanted.items()} == {
        field: dependencies(text) for field, text in said.items()
    }


def test_what_the_readme_says_of_bounds_is_so() -> None:
    table = re.findall(r"^ {4}([\w.-]+) +>= (\S+) ", (DEBIAN / "README.source").read_text("utf-8"), re.MULTILINE)
    wanted = bounds("options", "install_requires")
    for extra in (*EXTRAS, "explain"):
        wanted |= bounds("options.extras_require", extra)
    assert {f"python3-{name}": lower for name, lower in table} == wanted


def test_every_wheel_that_is_brought_along_has_its_license_told() -> None:
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "packaging" / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    told = re.findall(r"wheels/(\w+)-\*", (DEBIAN / "venv" / "copyright").read_text("utf-8"))
    assert sorted(told) == sorted({re.sub(r"[.-]", "_", name) for name in pinned} - {"nagiosplugin"})


# --- the unit


def unit(name: str) -> str:
    script, shipped = DEBIAN / "unit.sed", ROOT / "contrib" / "systemd" / name
    return subprocess.run(["sed", "-f", script, shipped], capture_output=True, text=True, check=True).stdout


def settings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_unit_differs_from_the_shipped_one_by_user_and_arguments_alone() -> None:
    shipped, ours = settings((ROOT / "contrib" / "systemd" / SERVICE).read_text("utf-8")), settings(unit(SERVICE))
    (start,) = (line for line in shipped if line.startswith("ExecStart="))
    assert set(shipped) - set(ours) == {"DynamicUser=yes", start}
    assert set(ours) - set(shipped) == {
        f"User={USER}",
        f"{start} $ARGS",
        "EnvironmentFile=-/etc/default/ssh-exchange-exporter",
        "Documentation=man:ssh_exchange_exporter(8) man:ssh_exchange_exporter.yml(5)",
    }
    assert "pip" not in unit(SERVICE)
    # What DynamicUser=yes implies, the unit says itself.
    implied = ("NoNewPrivileges=yes", "PrivateTmp=yes", "ProtectSystem=strict", "RemoveIPC=yes", "RestrictSUIDSGID=yes")
    assert {*implied, "ProtectHome=yes"} <= set(ours)


def test_systemd_accepts_the_unit_and_finds_it_confined(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    directory = tmp_path / "usr" / "lib" / "systemd" / "system"
    directory.mkdir(parents=True)
    for name in (SERVICE, SERVICE.replace("service", "socket")):
        (directory / name).write_text(unit(name))
    for name in ("usr/bin/ssh_exchange_exporter", "bin/kill"):
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/true\n")
        program.chmod(0o755)
    run = [analyze, "verify", f"--root={tmp_path}", "--recursive-errors=no", "--man=no", SERVICE]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    run = [analyze, "security", "--offline=yes", f"--threshold={WORST}", "--no-pager", str(directory / SERVICE)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


# --- the files that an admin changes


def test_the_arguments_in_etc_default_are_flags_and_keep_the_port_to_this_host() -> None:
    words = assignments((DEBIAN / f"{EXPORTER}.default").read_text("utf-8"))
    (arguments,) = shlex.split(words["ARGS"])
    given = flags().parse_args(arguments.split())
    assert given.listen == ["localhost:10922"]


@pytest.mark.parametrize("is_used", [False, True])
def test_the_configuration_is_valid_with_and_without_its_examples(tmp_path: Path, *, is_used: bool) -> None:
    text = (DEBIAN / "config.yml").read_text("utf-8")
    if is_used:
        text, count = re.subn(r"^#(?=\w|  - | {4}\w)", "", text, flags=re.MULTILINE)
        assert count == 4
    (tmp_path / "config.yml").write_text(text)
    program = [sys.executable, "-m", "ssh_exchange_exporter", f"--config.file={tmp_path}/config.yml", "--config.check"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")


# --- scripts


def shell_scripts() -> list[Path]:
    maintainer = [
        *DEBIAN.glob("*.postinst"),
        *DEBIAN.glob("*.postrm"),
        *DEBIAN.glob("*.prerm"),
        *DEBIAN.glob("*.preinst"),
    ]
    return [*maintainer, *SCRIPTS.glob("*.sh"), DEBIAN / "venv" / "make", DEBIAN / "venv" / "start", *autopkgtests()]


def autopkgtests() -> list[Path]:
    names = re.findall(r"^Tests: (.*)$", (DEBIAN / "tests" / "control").read_text("utf-8"), re.MULTILINE)
    return [DEBIAN / "tests" / name for line in names for name in line.replace(",", " ").split()]


def test_maintainer_scripts_stop_at_an_error_and_leave_room_for_debhelper() -> None:
    scripts = [file for file in shell_scripts() if file.suffix in (".postinst", ".postrm", ".prerm", ".preinst")]
    assert len(scripts) == 4
    for file in scripts:
        text = file.read_text("utf-8")
        assert text.startswith("#!/bin/sh\nset -e\n"), file.name
        assert "\n#DEBHELPER#\n" in text, file.name


def test_scripts_are_what_shellcheck_takes() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is missing: apt-get install shellcheck")
    run = ["shellcheck", "-S", "warning", "--external-sources", "--source-path=SCRIPTDIR", *map(str, shell_scripts())]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_tests_of_the_packages_and_the_scripts_can_be_run() -> None:
    assert len(autopkgtests()) == 3
    for file in (
        DEBIAN / "rules",
        SCRIPTS / "build.sh",
        DEBIAN / "venv" / "make",
        DEBIAN / "venv" / "depends",
        *autopkgtests(),
    ):
        assert file.stat().st_mode & 0o111, file.name
    assert {file.name for file in (DEBIAN / "tests").iterdir()} == {
        "control",
        "sshd.sh",
        *(file.name for file in autopkgtests()),
    }


def test_one_user_has_one_name() -> None:
    for file in (
        *DEBIAN.glob(f"{EXPORTER}.post*"),
        DEBIAN / "unit.sed",
        DEBIAN / "tests" / "exporter",
        SCRIPTS / "lifecycle.sh",
    ):
        assert re.findall(r"_ssh-exchange\S*?(?=\W|$)", file.read_text("utf-8")), file.name
        assert set(re.findall(r"_ssh-exchange[a-z-]*", file.read_text("utf-8"))) == {USER}, file.name


def test_every_override_of_lintian_says_why() -> None:
    files = [*DEBIAN.glob("*.lintian-overrides"), *DEBIAN.glob("source/lintian-overrides")]
    assert files
    for file in files:
        lines = file.read_text("utf-8").splitlines()
        for before, line in zip(["", *lines], lines, strict=False):
            assert line.startswith("#") or before.startswith("#"), f"{file.name}: {line}"
