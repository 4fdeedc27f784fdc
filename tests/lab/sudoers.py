"""The sudoers fragment of contrib/ in /etc/sudoers.d, for what is started with a prefix and for nobody else.

`with Installation() as plugin` and `command = [*sudoers.prefix(plugin), PROGRAM, ...]`: in a mount namespace of that
process alone /etc/sudoers.d is a directory with this fragment.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.daemons import CONTRIB, USER, Installation

FRAGMENT = CONTRIB / "sudoers" / "check_sshd_local"
SUDO, VISUDO = Path("/usr/bin/sudo"), Path("/usr/sbin/visudo")
PACKAGES = {SUDO: "sudo", VISUDO: "sudo"}
MOUNT = 'mount --bind "$0" /etc/sudoers.d && exec "$@"'


def prefix(plugin: Installation, user: str = USER, inside: Sequence[str] = ("unshare", "-m")) -> tuple[str, ...]:
    """Return the words before a command: it and its children have the fragment, with this installation's paths.

    `inside` is what starts a process in a mount namespace of its own, as `ip netns exec NAME` does.
    """
    directory = plugin.home / f"sudoers-{user}"
    if not directory.exists():
        directory.mkdir()
        file = directory / FRAGMENT.name
        file.write_text(plugin.definition(FRAGMENT).replace(f"{USER} ALL=", f"{user} ALL="))
        file.chmod(0o440)
    return (*inside, "sh", "-c", MOUNT, str(directory))


def visudo(file: Path) -> tuple[int, str]:
    """Return the exit code of `visudo -c` for a file, and what it says."""
    done = subprocess.run([VISUDO, "-c", "-f", file], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr
