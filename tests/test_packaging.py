"""The sdist and the wheel are complete, and the wheel works outside the source tree."""

import configparser
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from check_ssh_exchange import __version__
from check_ssh_exchange.text import to_install
from release import dist
from ssh_exchange_exporter.cli import LIBRARIES

from .lab.front_door import ROOT, check

PACKAGE = ROOT / "check_ssh_exchange"
EXPORTER = ROOT / "exporter" / "ssh_exchange_exporter"
PROGRAMS = ("check_ssh_exchange", "check_sshd_local", "ssh_exchange_exporter")
DOCUMENTS = "doc/check_ssh_exchange/"
# The others take parts of other files in when the site is built.
PAGES = ("check_sshd_local", "costs", "decide", "measure", "options", "other_systems", "scaling")
BUILD_SECONDS = 110.0  # pip fetches setuptools for an isolated build: seconds, and more where the network is slow


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory: `tree`, a clean copy of the source, and `dist`, its sdist and the wheel made from that."""
    pytest.importorskip("build")
    place = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, place / "tree", ignore=shutil.ignore_patterns(*dist.NOT_SOURCE))
    dist.make(place / "tree", place / "dist")
    return place


def run(*command: str, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=BUILD_SECONDS)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def members(built: Path) -> set[str]:
    """Return the paths in the sdist, below its one directory."""
    (sdist,) = (built / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def files(built: Path, *folders: str) -> list[str]:
    """Return the files of the source below these folders."""
    tree = built / "tree"
    found = (path for folder in folders for path in (tree / folder).rglob("*") if path.is_file())
    return [str(path.relative_to(tree)) for path in found]


def documents(built: Path) -> set[str]:
    """Return what a wheel has beside the programs: definitions, and the pages that need no site around them."""
    definitions = {name for name in files(built, "contrib") if not name.endswith(".py")}
    definitions -= set(files(built, "contrib/generators"))
    return definitions | {
        name.removeprefix("docs/") for name in [*files(built, "docs/screens"), *(f"{page}.md" for page in PAGES)]
    }


def test_the_packages_of_setup_cfg_are_those_on_disk() -> None:
    listed = setup_cfg()["options"]["packages"].split()
    found = [
        ".".join(path.parent.relative_to(package.parent).parts)
        for package in (PACKAGE, EXPORTER)
        for path in package.rglob("__init__.py")
    ]
    assert sorted(listed) == sorted(found)
    for package in (PACKAGE, EXPORTER):
        modules, named = ({path.parent for path in package.rglob(name)} for name in ("*.py", "__init__.py"))
        assert modules == named


def test_the_version_stands_in_one_place() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__, re.ASCII)
    assert setup_cfg()["metadata"]["version"] == "attr: check_ssh_exchange.__version__"
    files = [
        *PACKAGE.rglob("*.py"),
        *EXPORTER.rglob("*.py"),
        ROOT / "setup.cfg",
        ROOT / "pyproject.toml",
        ROOT / "Makefile",
    ]
    naming = [path.name for path in files if f'"{__version__}"' in path.read_text("utf-8")]
    assert naming == ["__init__.py"]


def test_the_exporter_names_the_libraries_of_its_extra() -> None:
    wanted = setup_cfg()["options.extras_require"]["exporter"].split("\n")[1:]
    assert [requirement.split()[0] for requirement in wanted] == LIBRARIES.split()


@pytest.mark.parametrize(
    ("module", "advice"),
    [
        ("asyncssh", "pip install asyncssh, or Debian's python3-asyncssh"),
        ("prometheus_client", "pip install prometheus-client, or Debian's python3-prometheus-client"),
        ("ruamel", "pip install ruamel.yaml, or Debian's python3-ruamel.yaml"),
    ],
)
def test_a_missing_module_is_named_as_its_packages_are(module: str, advice: str) -> None:
    assert to_install(module) == advice


def test_every_extra_is_in_all_or_for_development() -> None:
    extras = {name: set(value.split("\n")[1:]) for name, value in setup_cfg()["options.extras_require"].items()}
    wanted = set().union(*(extras[name] for name in extras if name not in ("all", "docs", "dev")))
    assert extras["all"] == wanted
    assert wanted <= extras["dev"]


@pytest.mark.network
def test_the_wheel_holds_every_module_the_runbook_and_nothing_else(built: Path) -> None:
    (wheel,) = (built / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {*files(built, "check_ssh_exchange")}
    ours |= {name.removeprefix("exporter/") for name in files(built, "exporter/ssh_exchange_exporter")}
    code = {name for name in names if ".dist-info/" not in name and ".data/" not in name}
    assert code == ours
    shipped = {name.partition("/share/")[2] for name in names if ".data/" in name}
    assert {name.removeprefix(DOCUMENTS) for name in shipped if name.startswith(DOCUMENTS)} == documents(built)
    elsewhere = {name for name in shipped if not name.startswith(DOCUMENTS)}
    assert elsewhere == {
        *(f"man/man{name[-1]}/{Path(name).name}" for name in files(built, "docs/man")),
        *(f"bash-completion/completions/{program}.bash" for program in PROGRAMS),
        *(f"zsh/site-functions/_{program}" for program in PROGRAMS),
    }
    assert any(name.endswith("/LICENSE") for name in names)


@pytest.mark.network
def test_the_sdist_holds_what_a_packager_needs(built: Path) -> None:
    names = members(built)
    wanted = ["LICENSE", "Makefile", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "setup.cfg", "pyproject.toml"]
    folders = ("check_ssh_exchange", ".ci", "tests", "bench", "contrib", "exporter", "packaging", "docs", "release")
    wanted += files(built, *folders)
    assert not set(wanted) - names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


@pytest.mark.network
def test_a_build_elsewhere_makes_the_same_bytes(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another directory, order and times of files, another umask; the time of the source is that of the first."""
    monkeypatch.setenv(dist.EPOCH, str(dist.epoch(built / "tree")))
    for name in sorted(files(built, "."), reverse=True):
        copy = tmp_path / "elsewhere" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((built / "tree" / name).read_bytes())
        copy.chmod(0o700 if os.access(built / "tree" / name, os.X_OK) else 0o600)
    mask = os.umask(0o077)
    try:
        made = dist.make(tmp_path / "elsewhere", tmp_path / "dist")
    finally:
        os.umask(mask)
    assert [path.name for path in made] == sorted(path.name for path in (built / "dist").iterdir())
    assert all(path.read_bytes() == (built / "dist" / path.name).read_bytes() for path in made)


def test_a_time_of_the_source_that_is_no_number_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(dist.EPOCH, "yesterday")
    assert dist.main([]) == 1
    assert capsys.readouterr().err == "SOURCE_DATE_EPOCH is 'yesterday'; it must be a number of seconds since 1970\n"


@pytest.mark.network
def test_an_index_takes_both(built: Path) -> None:
    pytest.importorskip("twine")
    archives = [str(path) for path in (built / "dist").iterdir()]
    assert (
        run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *archives, cwd=built).count("PASSED") == 2
    )


@pytest.mark.network
def test_the_installed_wheel_works_from_anywhere(built: Path, tmp_path: Path) -> None:
    (wheel,) = (built / "dist").glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    run(str(binaries / "pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel), cwd=tmp_path)
    env = {"PATH": "/usr/bin:/bin"}
    script = [str(binaries / "check_ssh_exchange")]
    assert check("-V", command=script, cwd=Path("/"), env=env) == (3, f"check_ssh_exchange {__version__}\n", "")
    page = check("--runbook", "maxstartups", command=script, cwd=Path("/"), env=env)
    assert page == (0, (PACKAGE / "runbook" / "maxstartups.md").read_text("ascii"), "")
    module = [str(binaries / "python"), "-m", "check_ssh_exchange"]
    for command in (script, module):
        with socket.socket() as held:  # bound without listening: the port is reserved and answers with RST
            held.bind(("127.0.0.1", 0))
            target = ("-H", "127.0.0.1", "-p", str(held.getsockname()[1]))
            answer = check(*target, "-v", command=command, cwd=Path("/"), env=env)
        assert (answer.code, answer.err) == (2, "")
        assert answer.line.startswith("SSH CRITICAL - 5 of 5 handshakes refused: ")
    exporter = subprocess.run(
        [binaries / "ssh_exchange_exporter", "--web.listen-address=:0"], capture_output=True, text=True
    )
    assert (exporter.returncode, exporter.stdout) == (3, "")
    assert re.fullmatch(rf"the exporter needs the Python module \w+: pip install {LIBRARIES}\n", exporter.stderr)
    missing = check("127.0.0.1", "--depth", "kex", command=script, cwd=Path("/"), env=env)
    assert (missing.code, missing.err) == (3, "")
    assert re.fullmatch(r"SSH UNKNOWN - .*pip install asyncssh, .*\n", missing.out)
