"""packaging/rpm: what the packages hold and ask for, that they are built the same twice, and that they work.

They are installed into a chroot of Debian's newest Python, for which the packages for Enterprise Linux are built here:
rpm itself installs, runs the scriptlets and removes, with a database of its own.
"""

import configparser
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from packaging.requirements import Requirement

from check_ssh_exchange import __version__
from tests.lab import zoo
from tests.lab.chroots import PYTHON
from tests.lab.front_door import NEVER_SLOW, ROOT
from tests.lab.rpm_packages import (
    CONFIGURATION,
    EXPORTER,
    EXPORTER_MODULES,
    MODULES,
    PLUGIN_DIRECTORY,
    PLUGINS,
    RPM,
    SECONDS,
    build_twice,
    entered,
    exporter,
    missing,
    plugin,
    rpm,
    run,
    tree,
)

SPEC = RPM / "check_ssh_exchange.spec.in"
PINNED = ROOT / "packaging" / "requirements.txt"


REAL = [
    pytest.mark.real,
    pytest.mark.network,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
    pytest.mark.timeout(1200),
]


Test = TypeVar("Test", bound=Callable[..., None])


def marked(test: Test) -> Test:
    """Mark a test that builds and installs."""
    for mark in REAL:
        test = mark(test)
    return test


def requirements(extra: str) -> dict[str, Requirement]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    texts = parser["options.extras_require"].get(extra) or parser["options"][extra]
    return {found.name: found for line in texts.strip().splitlines() for found in [Requirement(line)]}


def pinned() -> dict[str, str]:
    return dict(re.findall(r"^([a-z][a-z0-9-]*)==(\S+) ", PINNED.read_text("ascii"), re.MULTILINE))


# What needs no rpm.


def test_what_is_bundled_is_what_setup_cfg_accepts() -> None:
    versions = pinned()
    for extra in ("install_requires", "exporter", "gearman", "login"):
        for name, requirement in requirements(extra).items():
            assert requirement.specifier.contains(versions[name.replace(".", "-").lower()]), requirement
    text = PINNED.read_text("ascii")
    assert all("--hash=sha256:" in part for part in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:])


def test_fedora_is_asked_for_what_setup_cfg_asks_for() -> None:
    asked = re.findall(r"^(Requires|Recommends): +python3dist\(([a-z-]+)\) >= (\S+)$", SPEC.read_text(), re.MULTILINE)

    def least(extra: str) -> set[tuple[str, str]]:
        found = requirements(extra).items()
        return {
            (name.replace(".", "-"), part.version)
            for name, requirement in found
            for part in requirement.specifier
            if part.operator == ">="
        }

    assert {(name, version) for kind, name, version in asked if kind == "Requires"} == least("exporter")
    weak = {(name, version) for kind, name, version in asked if kind == "Recommends"}
    assert weak == least("login") | least("explain") | least("gearman")


def test_the_version_is_written_in_no_file_of_the_packages() -> None:
    for path in RPM.iterdir():
        assert __version__ not in path.read_text("utf-8"), path


def test_the_compiled_modules_are_removed_and_made(tmp_path: Path) -> None:
    module = tmp_path / "a" / "b.py"
    module.parent.mkdir()
    module.write_text("x = 1\n")
    stale = tmp_path / "a" / "__pycache__" / "gone.cpython-311.pyc"
    for command, left in (("compile", [f"b.{sys.implementation.cache_tag}.pyc"]), ("remove", [])):
        stale.parent.mkdir(exist_ok=True)
        stale.touch()
        run(sys.executable, RPM / "bytecode.py", command, tmp_path)
        assert [path.name for path in tmp_path.rglob("*.pyc")] == left
    assert not stale.parent.exists()
    module.write_text("x = \n")
    assert subprocess.run([sys.executable, RPM / "bytecode.py", "compile", tmp_path], capture_output=True).returncode


# What rpm says of the packages.


@pytest.fixture(scope="module")
def chroot() -> Iterator[Path]:
    with zoo.copy(PYTHON) as made:
        yield made.root


@pytest.fixture(scope="module")
def builds(chroot: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build all packages, and at once those for Enterprise Linux again elsewhere, with another mask and time zone."""
    place = tmp_path_factory.mktemp("rpm")
    python = run("chroot", chroot, "/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    build_twice(place, python.strip())
    return place / "one", place / "another"


@pytest.fixture(scope="module")
def packages(builds: tuple[Path, Path]) -> dict[tuple[str, str], Path]:
    """Return the packages by name and kind."""
    return {
        (name, kind): builds[0] / f"{name}-{__version__}-1.{kind}.x86_64.rpm"
        for name in (PLUGINS, EXPORTER)
        for kind in ("fc", "el")
    }


def query(package: Path, *options: str) -> list[str]:
    return run("rpm", "-qp", *options, package).splitlines()


@marked
def test_two_builds_are_the_same_bytes(builds: tuple[Path, Path]) -> None:
    one, another = ({path.name for path in build.iterdir()} for build in builds)
    assert one - another == {f"{name}-{__version__}-1.fc.x86_64.rpm" for name in (PLUGINS, EXPORTER)}
    assert sorted(Path(name).suffix for name in another) == [".gz", ".gz", ".rpm", ".rpm", ".spec"]
    for name in another:
        assert (builds[0] / name).read_bytes() == (builds[1] / name).read_bytes(), name


@marked
def test_the_packages_hold_the_program_its_manuals_and_its_definitions(packages: dict[tuple[str, str], Path]) -> None:
    sources = {
        MODULES: [path.relative_to(ROOT) for path in (ROOT / "check_ssh_exchange").rglob("*")],
        EXPORTER_MODULES: [path.relative_to(ROOT / "exporter") for path in (ROOT / "exporter").glob("ssh_*/**/*")],
    }
    for kind in ("fc", "el"):
        held = {name: set(query(packages[name, kind], "--list")) for name in (PLUGINS, EXPORTER)}
        for name, base in ((PLUGINS, MODULES), (EXPORTER, EXPORTER_MODULES)):
            wanted = {f"{base}/{path}" for path in sources[base] if path.suffix in (".py", ".md", ".typed")}
            assert wanted <= held[name]
            assert not [path for path in held[name] if "__pycache__" in path]
        assert held[PLUGINS] >= {
            f"{PLUGIN_DIRECTORY}/check_ssh_exchange",
            f"{PLUGIN_DIRECTORY}/check_sshd_local",
            "/usr/share/man/man1/check_ssh_exchange.1.gz",
            "/usr/share/man/man8/check_sshd_local.8.gz",
            "/usr/share/bash-completion/completions/check_ssh_exchange",
            "/usr/share/zsh/site-functions/_check_sshd_local",
            "/etc/nagios/conf.d/ssh_exchange_commands.cfg",
            "/usr/share/icinga2/include/plugins-contrib.d/ssh_exchange.conf",
            f"/usr/share/doc/{PLUGINS}/runbook/maxstartups.md",
        }
        assert held[EXPORTER] >= {
            CONFIGURATION,
            "/usr/bin/ssh_exchange_exporter",
            "/usr/lib/systemd/system/ssh_exchange_exporter.service",
            "/usr/lib/systemd/system/ssh_exchange_exporter.socket",
            "/usr/lib/sysusers.d/ssh_exchange_exporter.conf",
            "/usr/share/man/man8/ssh_exchange_exporter.8.gz",
            "/usr/share/man/man5/ssh_exchange_exporter.yml.5.gz",
            "/usr/share/bash-completion/completions/ssh_exchange_exporter",
        }
        assert (f"{EXPORTER_MODULES}/aiohttp/__init__.py" in held[EXPORTER]) == (kind == "el")


@marked
def test_the_packages_ask_for_the_right_python_and_for_each_other(packages: dict[tuple[str, str], Path]) -> None:
    for (name, kind), package in packages.items():
        asked = set(query(package, "--requires"))
        interpreters = {line for line in asked if line.startswith("/usr/bin/")}
        assert len(interpreters) == 1
        assert re.fullmatch(r"/usr/bin/python3" + (r"\.\d+" if kind == "el" else ""), interpreters.pop())
        provided = query(package, "--provides")
        # Private libraries and modules are nobody else's.
        assert not [line for line in provided if not re.match(r"bundled\(|config\(|[a-z-]+(\(x86-64\))? = ", line)]
        bundled = dict(re.findall(r"bundled\(python3dist\((.+?)\)\) = (\S+)", "\n".join(provided)))
        if name == PLUGINS:
            assert bundled == {"nagiosplugin": pinned()["nagiosplugin"]}
        else:
            assert bundled == ({n: v for n, v in pinned().items() if n != "nagiosplugin"} if kind == "el" else {})
            assert f"{PLUGINS}(x86-64) = {__version__}-1.{kind}" in asked
        assert query(package, "--changelog")[0].endswith(f" - {__version__}-1")
        assert not re.search(r"%\{?[a-z_]+|@[A-Z]+@", "\n".join(query(package, "--scripts", "--filetriggers")))
    # Enterprise Linux 8 has glibc 2.28.
    glibc = re.findall(r"GLIBC_2\.(\d+)", "\n".join(query(packages[EXPORTER, "el"], "--requires")))
    assert max(map(int, glibc)) <= 28


@marked
def test_no_upgrade_replaces_what_the_administrator_wrote(packages: dict[tuple[str, str], Path]) -> None:
    written = {PLUGINS: "/etc/nagios/conf.d/ssh_exchange_commands.cfg", EXPORTER: CONFIGURATION}
    for (name, _), package in packages.items():
        marks = dict(line.split(" ") for line in query(package, "--qf", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]"))
        configuration = {path: flags for path, flags in marks.items() if path.startswith("/etc/") and flags}
        assert configuration == {written[name]: "cn"}


@marked
def test_rpmlint_finds_no_error(packages: dict[tuple[str, str], Path]) -> None:
    if not shutil.which("rpmlint"):
        pytest.skip("rpmlint is missing: apt-get install rpmlint")
    done = subprocess.run(
        ["rpmlint", "--config", RPM / "rpmlint.toml", *packages.values()],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert " 0 errors, " in done.stdout, done.stdout
    assert done.returncode == 0


# What they do where they are installed.


@marked
def test_installed_used_upgraded_and_removed(
    packages: dict[tuple[str, str], Path], chroot: Path, tmp_path: Path, servers_port: int
) -> None:
    before = tree(chroot)
    rpm(chroot, "--install", packages[PLUGINS, "el"], packages[EXPORTER, "el"])
    compiled = {path.parent.parent for path in chroot.rglob("*.pyc") if f"{MODULES}/" in f"{path}"}
    assert chroot / MODULES[1:] / "check_ssh_exchange" / "wire" in compiled
    rpm(chroot, "--verify", PLUGINS, EXPORTER)

    used = tree(chroot)
    target = ("-H", "127.0.0.1", "-p", str(servers_port))
    answer = plugin(chroot, "check_ssh_exchange", *target, *NEVER_SLOW)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("SSH OK - OpenSSH_")
    assert plugin(chroot, "check_ssh_exchange", "-V").out == f"check_ssh_exchange {__version__}\n"
    page = (ROOT / "check_ssh_exchange" / "runbook" / "maxstartups.md").read_text("ascii")
    assert plugin(chroot, "check_ssh_exchange", "--runbook", "maxstartups").out == page
    local = plugin(chroot, "check_sshd_local", "-v", "-p", str(servers_port), user="0:0")
    assert local.code in (0, 1, 2)
    assert local.err == ""
    assert re.search(r"\blisteners=1;", local.out), local.out
    with exporter(chroot, tmp_path / "log") as program:
        assert program.get("/-/healthy").text == "Healthy\n"
        reply = program.get(f"/probe?target=127.0.0.1:{servers_port}")
        assert "\nprobe_success 1" in reply.text
        login = program.get(f"/probe?target=127.0.0.1:{servers_port}&module=default&format=nagios")
        assert login.headers["x-exit-code"] in ("0", "1")  # a busy machine may be slow
    assert tree(chroot) == used  # users other than root leave nothing behind

    # Another release, here Fedora's: what the administrator wrote stays, and what was bundled goes.
    mine = "allowed_targets: [localhost]\n"
    (chroot / CONFIGURATION[1:]).write_text(mine)
    rpm(chroot, "--upgrade", packages[PLUGINS, "fc"], packages[EXPORTER, "fc"])
    assert (chroot / CONFIGURATION[1:]).read_text() == mine
    assert sorted(path.name for path in (chroot / EXPORTER_MODULES[1:]).iterdir()) == ["ssh_exchange_exporter"]
    assert (chroot / EXPORTER_MODULES[1:] / "ssh_exchange_exporter" / "__pycache__").is_dir()
    assert plugin(chroot, "check_ssh_exchange", *target, *NEVER_SLOW).code == 0
    lacking = subprocess.run(entered(chroot, "/usr/bin/ssh_exchange_exporter"), capture_output=True, text=True)
    assert (lacking.returncode, lacking.stdout) == (3, "")
    assert lacking.stderr.startswith("the exporter needs the Python module ")

    rpm(chroot, "--erase", EXPORTER, PLUGINS)
    left = tree(chroot) - before
    assert {path for path in left if (chroot / path).is_file()} == {f"{CONFIGURATION[1:]}.rpmsave"}
    assert not [
        path for path in left if re.search(r"exchange(?!_exporter(/config\.yml\.rpmsave)?$)|nagios|icinga", path)
    ]


@pytest.fixture(scope="module")
def servers_port() -> Iterator[int]:
    """The port of a real sshd."""
    with zoo.server("openssh-10.0") as server:
        yield server.port


DUMMY = """Name: python3-dummy
Version: 1
Release: 1
Summary: A file of the name of an interpreter
License: MIT
BuildArch: noarch
%description
It stands for a new Python.
%install
mkdir -p %{buildroot}/usr/bin
touch %{buildroot}/usr/bin/python3.99
%files
/usr/bin/python3.99
"""


@marked
def test_a_new_python_compiles_anew_on_fedora(
    packages: dict[tuple[str, str], Path], chroot: Path, tmp_path: Path
) -> None:
    spec = tmp_path / "dummy.spec"
    spec.write_text(DUMMY)
    run("rpmbuild", "-bb", "--define", f"_topdir {tmp_path}", "--define", f"_rpmdir {tmp_path}", spec)
    rpm(chroot, "--install", packages[PLUGINS, "fc"])
    compiled = chroot / MODULES[1:] / "check_ssh_exchange" / "__pycache__"
    shutil.rmtree(compiled)
    rpm(chroot, "--install", tmp_path / "noarch" / "python3-dummy-1-1.noarch.rpm")
    assert compiled.is_dir()
    rpm(chroot, "--erase", PLUGINS, "python3-dummy")


@marked
def test_the_service_is_that_of_contrib_with_a_user_of_its_own(
    packages: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    archive = subprocess.run(["rpm2cpio", packages[EXPORTER, "el"]], capture_output=True, check=True).stdout
    subprocess.run(["cpio", "-idm", "--quiet"], input=archive, cwd=tmp_path, check=True)
    ours = (tmp_path / "usr/lib/systemd/system/ssh_exchange_exporter.service").read_text()
    theirs = (ROOT / "contrib/systemd/ssh_exchange_exporter.service").read_text()
    changed = theirs.partition("[Unit]\n")[2].replace("DynamicUser=yes", "User=ssh_exchange_exporter")
    assert ours == f"[Unit]\n{changed}"
    user = (tmp_path / "usr/lib/sysusers.d/ssh_exchange_exporter.conf").read_text()
    assert user.startswith("u ssh_exchange_exporter - ")
