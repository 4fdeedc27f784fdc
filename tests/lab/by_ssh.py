"""The sshd of this machine as a monitored server that check_by_ssh logs in to, with a user of its own.

The user exists for this sshd and its children alone: they have a passwd and a shadow file of their own.
"""

import ipaddress
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.lab import sudoers
from tests.lab.daemons import USER, Installation, await_result, running
from tests.lab.network import Host
from tests.lab.zoo import listening

SSHD, CHECK_BY_SSH = Path("/usr/sbin/sshd"), Path("/usr/lib/nagios/plugins/check_by_ssh")
PACKAGES = {SSHD: "openssh-server", CHECK_BY_SSH: "monitoring-plugins-basic", **sudoers.PACKAGES}
LOGIN, LOGIN_ID = "sshmonitor", 6789
MOUNT = 'for f in passwd shadow group; do mount --bind "$0/$f" "/etc/$f" || exit 1; done; mkdir -p /run/sshd; exec "$@"'
CONFIG = """HostKey {home}/host_key
AuthorizedKeysFile {home}/authorized_keys
PidFile none
UsePAM no
PasswordAuthentication no
MaxStartups 100
"""


class Login(NamedTuple):
    """Where check_by_ssh logs in, and the directory of user nagios with its key and known_hosts."""

    address: str
    port: int
    directory: Path


def keygen(file: Path) -> str:
    """Make a key; return its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", file], check=True)
    return file.with_suffix(".pub").read_text().strip()


@contextmanager
def server(plugin: Installation, host: Host, port: int, line: str) -> Iterator[Login]:
    """Run sshd in a namespace; `line` is that of authorized_keys, with {} for the public key of user nagios."""
    ours, home, address = plugin.directory("ssh"), plugin.home / "sshd", host.ipv4[0]
    home.mkdir()
    public, host_key = keygen(ours / "sshd_local"), keygen(home / "host_key")
    (ours / "known_hosts").write_text(f"[{address}]:{port} {host_key}\n")
    for path in ours.iterdir():
        shutil.chown(path, USER, USER)
    (home / "authorized_keys").write_text(line.format(public) + "\n")
    (home / "sshd_config").write_text(CONFIG.format(home=home) + f"ListenAddress {address}:{port}\n")
    accounts(home)
    inside = (*host.prefix, "sh", "-c", MOUNT, str(home))
    prefix = sudoers.prefix(plugin, LOGIN, inside)
    log = home / "log"
    with running([*prefix, SSHD, "-D", "-e", "-f", home / "sshd_config"], log) as process:
        place = (ipaddress.ip_address(address), port)
        await_result(lambda: place in listening(process.pid) or None, process, log)
        yield Login(address, port, ours)


def accounts(home: Path) -> None:
    """Write this machine's accounts, and one more that may log in."""
    lines = {
        "passwd": f"{LOGIN}:x:{LOGIN_ID}:{LOGIN_ID}::{home}:/bin/sh",
        "shadow": f"{LOGIN}:*:19000::::::",
        "group": f"{LOGIN}:x:{LOGIN_ID}:",
    }
    for name, line in lines.items():
        file = home / name
        file.write_text(Path("/etc", name).read_text() + line + "\n")
        file.chmod(0o600 if name == "shadow" else 0o644)
        os.chown(file, 0, 0)
