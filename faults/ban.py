"""A real fail2ban that reads a real sshd's log and bans us for trying users that do not exist."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from check_ssh_exchange.diagnosis.cause import Cause
from tests.lab import network, zoo
from tests.lab.network import Namespace

from .network import PORT, target
from .package import environment, place, program
from .scenario import Scenario, Skip, Target

STRANGER = "198.51.100.7"
START_SECONDS = BAN_SECONDS = 30.0
JAIL = """[DEFAULT]
backend = polling
allowipv6 = auto
banaction = iptables-multiport
[sshd]
enabled = true
mode = {mode}
port = {port}
logpath = {log}
maxretry = 5
findtime = 600
bantime = 600
"""
LOGIN = [
    "ssh",
    "-F",
    "none",
    "-o",
    "BatchMode=yes",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
]


class Fail2ban:
    """A fail2ban of its own configuration in a namespace, with one jail that reads `log`."""

    def __init__(self, pair: Namespace, home: Path, mode: str = "normal") -> None:
        self.log = home / "auth.log"
        self._mode = mode
        self._pair, self._home = pair, home
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when the jail is at work."""
        server = program("fail2ban-server")
        unpacked = place() / "fail2ban-server/etc/fail2ban"
        shutil.copytree(unpacked if server.is_relative_to(place()) else "/etc/fail2ban", self._home / "etc")
        self.log.touch()
        (self._home / "etc/jail.local").write_text(JAIL.format(port=PORT, log=self.log, mode=self._mode))
        (self._home / "etc/fail2ban.local").write_text("[DEFAULT]\ndbfile = None\n")
        paths = {"-c": "etc", "-s": "socket", "-p": "pid", "--logtarget": "out"}
        words = [word for option, name in paths.items() for word in (option, str(self._home / name))]
        command = [*self._pair.server.prefix, "/usr/bin/python3", str(server), "-f", *words]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        )
        self._await("Jail 'sshd' started", START_SECONDS)

    def stop(self) -> None:
        """Kill it; its firewall goes with the namespace."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def show(self, sshd_says: str) -> None:
        """Append what sshd wrote to its standard error as syslog would have written it."""
        stamp = time.strftime("%b %d %H:%M:%S")
        lines = [f"{stamp} host sshd[{number}]: {line.strip()}\n" for number, line in enumerate(sshd_says.splitlines())]
        with self.log.open("a") as file:
            file.writelines(lines)

    def output_after(self, sshd_says: str) -> str:
        """Append to its log, wait until it has read that, and return all its output."""
        self.show(sshd_says + f"\nInvalid user last from {STRANGER} port 1\n")
        self._await(f"Found {STRANGER}", BAN_SECONDS)
        return (self._home / "out").read_text()

    def read(self, sshd_says: str) -> None:
        """Append to its log, and wait for the ban."""
        self.show(sshd_says)
        banned = self._pair.client.ipv4[0]
        self._await(f"Ban {banned}", BAN_SECONDS)
        # It prints this before the firewall has the rule.
        deadline = time.monotonic() + BAN_SECONDS
        while f"-s {banned}/32" not in self._pair.server.run("iptables", "-S"):
            if time.monotonic() > deadline:
                raise RuntimeError("fail2ban has made no rule")
            time.sleep(0.05)

    def _await(self, words: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        out = self._home / "out"
        while words not in (output := out.read_text() if out.exists() else ""):
            if time.monotonic() > deadline:
                raise RuntimeError(f"fail2ban does not say {words!r} within {seconds:g} s: {output[-2000:]}")
            time.sleep(0.05)


@contextmanager
def banned(*, has_second_source: bool = False) -> Iterator[Target]:
    """A server whose fail2ban has just banned this machine."""
    if reason := network.missing():
        raise Skip(reason)
    program("fail2ban-server")
    if not shutil.which("ssh"):
        raise Skip("ssh(1) is not installed, so no login can be tried")
    with ExitStack() as stack:
        pair = stack.enter_context(Namespace())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        host = pair.server
        running = stack.enter_context(
            zoo.server("openssh-9.2", prefix=host.prefix, address=(*host.ipv4, *host.ipv6), port=PORT)
        )
        watch = Fail2ban(pair, home)
        stack.callback(watch.stop)
        watch.start()
        for _ in range(5):
            login = [
                *pair.client.prefix,
                *LOGIN,
                "-p",
                str(PORT),
                f"stranger@{host.ipv4[0]}",
            ]
            subprocess.run(login, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
        watch.read(running.log())
        sources = ("-S", pair.client.ipv4[0], "-S", pair.client.ipv4[1]) if has_second_source else ()
        yield target(pair, "-t", "4", *sources)


def scenarios() -> Iterator[Scenario]:
    """Yield all of them."""
    yield Scenario("fail2ban", (Cause.BANNED,), banned)
    yield Scenario("fail2ban, second source served", (Cause.BANNED,), partial(banned, has_second_source=True))
