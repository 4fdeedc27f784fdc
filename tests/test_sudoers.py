"""contrib/sudoers in sudo and in sudo-rs: they read the fragment, and it allows one command and no other."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import chroots, daemons, sudoers, zoo
from tests.lab.daemons import ENVIRONMENT, RESULT_SECONDS, USER
from tests.lab.monitored import need
from tests.lab.sudoers import FRAGMENT, PACKAGES, SUDO, visudo

pytestmark = pytest.mark.real

SUDO_RS = "sudo-rs"
PLUGIN = "/usr/lib/nagios/plugins/check_sshd_local"
PAM = "auth required pam_deny.so\naccount required pam_permit.so\nsession required pam_permit.so\n"
REFUSED = "sudo: a password is required\n"
# What a user might try: other options, several, an abbreviation, another program.
OTHERS = (
    (),
    ("--collect", "--since", "1d"),
    ("--collect", "--state-file", "/etc/passwd"),
    ("--collect", ""),
    ("--coll",),
    ("--trial",),
    ("--snapshot", "/etc/shadow"),
)


@pytest.fixture(scope="module")
def prefix(plugin: daemons.Installation) -> tuple[str, ...]:
    """Return the words that run something as user nagios, where the fragment is in /etc/sudoers.d."""
    need(PACKAGES)
    return (*sudoers.prefix(plugin), "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")


def sudo(prefix: tuple[str, ...], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, str(SUDO), "-n", *words], capture_output=True, text=True, env=ENVIRONMENT, timeout=RESULT_SECONDS
    )


def test_visudo_accepts_the_fragment_and_would_not_accept_a_wrong_one(tmp_path: Path) -> None:
    need(PACKAGES)
    assert visudo(FRAGMENT)[0] == 0, visudo(FRAGMENT)
    wrong = tmp_path / "wrong"
    wrong.write_text(FRAGMENT.read_text("utf-8").replace("NOPASSWD:", "NOPASSWD"))
    wrong.chmod(0o440)
    assert visudo(wrong)[0] == 1


def test_it_allows_exactly_the_collection(prefix: tuple[str, ...], plugin: daemons.Installation) -> None:
    done = sudo(prefix, str(plugin.local), "--collect")
    assert (done.returncode, done.stderr) == (0, "")
    assert '"uid": 0, ' in done.stdout


@pytest.mark.parametrize("words", OTHERS, ids=" ".join)
def test_it_allows_nothing_else(prefix: tuple[str, ...], plugin: daemons.Installation, words: tuple[str, ...]) -> None:
    done = sudo(prefix, str(plugin.local), *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", REFUSED)


def test_it_allows_no_other_program_and_no_other_user(prefix: tuple[str, ...], plugin: daemons.Installation) -> None:
    for words in (("/bin/cat", "/etc/shadow"), ("-u", "daemon", str(plugin.local), "--collect")):
        done = sudo(prefix, *words)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", REFUSED)


# --- sudo-rs, which only newer suites have


@pytest.fixture(scope="module")
def sudo_rs() -> Iterator[Path]:
    """Return the root of a chroot with sudo-rs, user nagios, and in the plugin's place what tells if it is root."""
    if reason := chroots.missing((SUDO_RS,)):
        pytest.skip(reason)
    with zoo.copy(SUDO_RS) as chroot:
        root = chroot.root
        for name, line in {"passwd": "x:77:77::/:/bin/sh", "group": "x:77:", "shadow": "*:19000::::::"}.items():
            with (root / "etc" / name).open("a") as file:
                file.write(f"{USER}:{line}\n")
        plugin = root / PLUGIN.lstrip("/")
        plugin.parent.mkdir(parents=True)
        plugin.write_text('#!/bin/sh\nread -r secret </secret && echo "$secret $*"\n')
        (root / "etc/pam.d").mkdir(exist_ok=True)
        (root / "etc/pam.d/sudo").write_text(PAM)
        shutil.copy(FRAGMENT, root / "etc/sudoers")
        (root / "secret").write_text("as root:\n")
        for path, mode in ((plugin, 0o755), (root / "etc/sudoers", 0o440), (root / "secret", 0o600)):
            path.chmod(mode)
        (root / "usr/lib/cargo/bin/sudo").chmod(0o4755)
        yield root


def in_chroot(root: Path, *words: str, user: str = "0:0") -> subprocess.CompletedProcess[str]:
    command = ["chroot", f"--userspec={user}", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=RESULT_SECONDS)


def test_visudo_of_sudo_rs_accepts_the_fragment_and_would_not_accept_a_wrong_one(sudo_rs: Path) -> None:
    wrong = sudo_rs / "etc/wrong"
    wrong.write_text(FRAGMENT.read_text("utf-8").replace("NOPASSWD:", "NOPASSWD"))
    wrong.chmod(0o440)
    done = [in_chroot(sudo_rs, "/usr/bin/visudo-rs", "-c", "-f", f"/etc/{name}") for name in ("sudoers", "wrong")]
    assert [one.returncode for one in done] == [0, 1], done


def test_sudo_rs_allows_exactly_the_collection(sudo_rs: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return in_chroot(sudo_rs, "/usr/bin/sudo-rs", "-n", PLUGIN, *words, user="77:77")

    done = run("--collect")
    assert (done.returncode, done.stdout, done.stderr) == (0, "as root: --collect\n", "")
    for words in OTHERS:
        done = run(*words)
        assert (done.returncode, done.stdout) == (1, ""), words
        assert "sudo-rs: " in done.stderr
