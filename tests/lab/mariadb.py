"""MariaDB in a directory of its own: no service, no network, a socket that only root gets in by.

`with mariadb(plugin.directory("mariadb")) as server: server.make("director")`
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.daemons import ENVIRONMENT, USER, await_result, running

PROGRAM = Path("/usr/sbin/mariadbd")
INSTALL = Path("/usr/bin/mariadb-install-db")
CLIENT = Path("/usr/bin/mariadb")
PACKAGES = {PROGRAM: "mariadb-server-core", CLIENT: "mariadb-client-core"}
AS_TEXT = ("--skip-column-names", "--batch", "--raw")
SECONDS = 100.0  # for what takes less than one
# What a crash would lose does not matter here, and waiting for the disk does.
QUICK = ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--performance-schema=OFF"]


class MariaDb:
    """A running server."""

    def __init__(self, home: Path) -> None:
        self.socket = home / "socket"

    def run(self, statements: str, database: str = "") -> str:
        """Return what the client prints for these statements, values as they are."""
        command: list[str | Path] = [CLIENT, "--no-defaults", f"--socket={self.socket}", *AS_TEXT, database]
        done = subprocess.run(
            command, input=statements, env=ENVIRONMENT, capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, database: str, columns: str, rest: str) -> list[list[Any]]:
        """Return the rows of `SELECT columns rest`."""
        printed = self.run(f"SELECT JSON_ARRAY({columns}) {rest}", database)
        return [json.loads(line) for line in printed.splitlines()]

    def make(self, database: str) -> None:
        """Make an empty database."""
        self.run(f"CREATE DATABASE `{database}` CHARACTER SET utf8")

    def checksums(self, database: str) -> dict[str, str]:
        """Return a checksum of the rows of each table."""
        tables = self.run("SHOW TABLES", database).split()
        lines = self.run(f"CHECKSUM TABLE {', '.join(f'`{table}`' for table in tables)}", database).splitlines()
        return dict(line.split("\t") for line in lines)


@contextmanager
def mariadb(home: Path) -> Iterator[MariaDb]:
    """Run a server in an empty directory of user nagios."""
    server = MariaDb(home)
    common = ["--no-defaults", f"--user={USER}", f"--datadir={home / 'data'}"]
    root = ["--auth-root-authentication-method=socket", "--auth-root-socket-user=root", "--skip-test-db"]
    install: list[str | Path] = [
        INSTALL,
        *common,
        *root,
        "--force",
    ]  # it would refuse a machine that does not know its name
    done = subprocess.run(install, env=ENVIRONMENT, cwd="/", capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    log = home / "log"
    where = [f"--socket={server.socket}", f"--pid-file={home / 'pid'}", "--skip-networking"]
    command: list[str | Path] = [PROGRAM, *common, *where, *QUICK]

    def listens() -> bool | None:
        return True if server.socket.exists() else None

    with running(command, log) as process:
        await_result(listens, process, log)
        yield server
