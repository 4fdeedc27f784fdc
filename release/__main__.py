"""`make release-check`: what must be true before a release, each looked at; then what only a maintainer can do."""

import re
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from check_ssh_exchange import __version__

from .dist import ROOT, make

PROGRAMS = ("check_ssh_exchange", "check_sshd_local", "ssh_exchange_exporter")
QUICK_TESTS = "not real and not timing and not network"
HEADING = re.compile(r"^## (\S+) \((.*)\)$", re.MULTILINE)
DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Check(NamedTuple):
    """A sentence that must be true, and what looks: it returns what is wrong, "" if nothing is."""

    sentence: str
    problem: Callable[[], str]


def said(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command; return the end of what it printed if it failed, "" if not."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return "" if done.returncode == 0 else done.stdout.strip()[-2000:] or f"exit code {done.returncode}"


def text(name: str) -> str:
    """Return the text of a file of the project."""
    return (ROOT / name).read_text("utf-8")


@cache
def place() -> TemporaryDirectory[str]:
    """Return the directory of the archives; it is removed when the process ends."""
    return TemporaryDirectory(prefix="release-", ignore_cleanup_errors=True)


@cache
def built() -> tuple[Path, ...]:
    """Build the archives once; return wheel and sdist."""
    return tuple(make(ROOT, Path(place().name)))


def changes() -> str:
    """Whether git has all."""
    done = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True)
    return f"not committed:\n{done.stdout.rstrip()}" if done.stdout else ""


def versions() -> str:
    """Whether every file that names the version of this release names the same."""
    debian = re.match(r"\S+ \((\S+)-\d+\)", text("debian/changelog"))
    named = {"CHANGELOG.md": HEADING.findall(text("CHANGELOG.md"))[0][0], "debian/changelog": debian and debian[1]}
    return "; ".join(f"{name} says {value}, not {__version__}" for name, value in named.items() if value != __version__)


def same_bytes() -> str:
    """Whether a second build makes the same archives."""
    with TemporaryDirectory() as other:
        again = make(ROOT, Path(other))
        return "; ".join(
            f"{one.name} differs"
            for one, two in zip(built(), again, strict=True)
            if one.read_bytes() != two.read_bytes()
        )


def installed() -> str:
    """Whether the wheel works in a new virtual environment: each program says its version."""
    wheel = built()[0]
    with TemporaryDirectory() as directory:
        venv.create(directory, with_pip=True)
        binaries = Path(directory, "bin")
        if problem := said(binaries / "pip", "--quiet", "install", f"{wheel}[exporter]"):
            return problem
        for program in PROGRAMS:
            option = "--version" if program == "ssh_exchange_exporter" else "-V"
            asked = subprocess.run([binaries / program, option], cwd="/", capture_output=True, text=True)
            if __version__ not in asked.stdout:
                return f"{program} {option} prints {asked.stdout + asked.stderr!r}"
    return ""


def tested() -> str:
    """Whether the sdist passes its quick tests where it is unpacked."""
    with TemporaryDirectory() as directory:
        if problem := said("tar", "--extract", "--strip-components=1", "--file", built()[1], cwd=Path(directory)):
            return problem
        command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup", "-m", QUICK_TESTS)
        return said(sys.executable, *command, cwd=Path(directory))


def checks() -> Iterator[Check]:
    """Yield every check, quick ones first."""
    yield Check("everything is committed", changes)
    yield Check("every file names the same version", versions)
    yield Check(
        "generated files are as the code has them", lambda: said(sys.executable, "-m", "contrib.generate", "--check")
    )
    yield Check("code is clean (ruff)", lambda: said(sys.executable, "-m", "ruff", "check", "."))
    yield Check("types are right (mypy)", lambda: said(sys.executable, "-m", "mypy"))
    yield Check("the site builds, strictly", lambda: said("make", "docs"))
    yield Check(
        "sdist and wheel are as an index wants them",
        lambda: said(sys.executable, "-m", "twine", "check", "--strict", *built()),
    )
    yield Check("two builds are the same bytes", same_bytes)
    yield Check("the wheel works where it is installed", installed)
    yield Check("the sdist passes its quick tests", tested)


def by_hand() -> Iterator[str]:
    """Yield what nobody but a maintainer can do, as far as it is not done."""
    name, when = HEADING.findall(text("CHANGELOG.md"))[0]
    if not DATE.fullmatch(when):
        yield f"CHANGELOG.md: write the date of {name} for ({when}); debian/changelog: the same, and the suite"
    if "NOT reached" in text("bench/RESULTS.md"):
        yield "bench/RESULTS.md: some figures are not reached; say so in the announcement"
    if re.search(r"^url: ~$", text("icingaexchange.yml"), re.MULTILINE):
        yield "setup.cfg and icingaexchange.yml: write the project's public home"
    yield "make test, test-director, test-zabbix, deb on an idle machine; make bench where code has changed"
    yield f"git tag --sign v{name}; make dist; compare its bytes with another maintainer's; sign and publish them"
    yield "icingaexchange.yml: list the release, with its files"


def main() -> int:
    """Look at everything; return 1 if something is wrong."""
    wrong = 0
    for check in checks():
        begun = time.monotonic()
        problem = check.problem()
        wrong += bool(problem)
        print(f"{'WRONG' if problem else 'ok   '} {check.sentence} ({time.monotonic() - begun:.0f} s)", flush=True)
        if problem:
            print("      " + problem.replace("\n", "\n      "))
    print("\nBy hand:")
    for step in by_hand():
        print(f"- {step}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
