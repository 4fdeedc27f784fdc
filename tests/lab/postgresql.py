"""PostgreSQL in a directory of its own, reached by a socket only: `with postgresql(home) as database`."""

import grp
import os
import pwd
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.lab.daemons import ENVIRONMENT, await_result, running

USER = NAME = "postgres"  # the superuser and its own database; initdb and postgres refuse to run as root
# The newest version that is installed; Debian has no link to it.
BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=Path("/nowhere"))
PACKAGES = {BIN / "initdb": "postgresql", BIN / "postgres": "postgresql", BIN / "psql": "postgresql-client"}
SECONDS = 120.0  # for what takes ten
PORT = "5432"  # a part of the socket's name; nothing listens on TCP
# Nothing here outlives the test, so nothing waits for the disk.
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=")


def as_user(user: str) -> list[str | Path]:
    """Return the words before a command that make it run as a user, without rights."""
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


class Database(NamedTuple):
    """A running PostgreSQL: the directory of its socket, and the password of its superuser."""

    directory: Path
    password: str

    def run(self, sql: str) -> None:
        """Run statements."""
        command: list[str | Path] = [BIN / "psql", "-qX1", "-v", "ON_ERROR_STOP=1", "-U", USER, "-p", PORT]
        command += ["-h", self.directory, NAME]
        environment = {**ENVIRONMENT, "PGPASSWORD": self.password}
        done = subprocess.run(command, input=sql, capture_output=True, text=True, env=environment, timeout=SECONDS)
        assert done.returncode == 0, done.stderr


@contextmanager
def postgresql(home: Path) -> Iterator[Database]:
    """Run PostgreSQL with its files in `home`, which is made and must be a short path: it holds the socket."""
    home.mkdir()
    home.chmod(0o755)
    password = secrets.token_urlsafe()
    given, log = home / "password", home / "log"
    given.touch(0o600)
    given.write_text(password)
    for path in (home, given):
        os.chown(path, pwd.getpwnam(USER).pw_uid, grp.getgrnam(USER).gr_gid)
    made: list[str | Path] = [BIN / "initdb", "-D", home / "data", "-U", USER, "-A", "scram-sha-256", "-E", "UTF8"]
    made += [f"--pwfile={given}", "--no-locale", "--no-sync"]
    subprocess.run([*as_user(USER), *made], cwd="/", env=ENVIRONMENT, check=True, capture_output=True)
    command = [*as_user(USER), BIN / "postgres", "-D", home / "data"]
    for setting in (*SETTINGS, f"port={PORT}", f"unix_socket_directories={home}"):
        command += ["-c", setting]
    ready: list[str | Path] = [BIN / "pg_isready", "-q", "-p", PORT, "-h", home]
    with running(command, log) as process:
        await_result(lambda: True if subprocess.run(ready).returncode == 0 else None, process, log)
        yield Database(home, password)
