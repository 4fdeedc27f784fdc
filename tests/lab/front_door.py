"""The plugin as a monitoring system runs it: a command line in, an exit code and bytes out."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .fake_sshd import FakeSshd

ROOT = Path(__file__).parents[2]
PLUGIN = (sys.executable, "-m", "check_ssh_exchange")
SECONDS = 60.0  # a run takes one; only a plugin that hangs reaches this
SERVED = re.compile(r"SSH OK - FakeSSH_1\.0 \(protocol 2\.0\), 5/5 handshakes, banner [\d.]+ ms", re.ASCII)
# With these thresholds no server is slow, however busy the machine is that runs server and plugin.
NEVER_SLOW = ("-w", "banner_p50=60", "-c", "banner_p50=60")
HINT = " (--help lists the options)"


class Answer(NamedTuple):
    """What a monitoring system sees of a run."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The status line without its perfdata."""
        return self.out.split("\n", 1)[0].split(" | ")[0]


def check(
    *arguments: str | bytes,
    command: Sequence[str] = PLUGIN,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> Answer:
    """Run the plugin to its end."""
    done = subprocess.run(
        [*command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, env=env, cwd=cwd
    )
    return Answer(done.returncode, done.stdout.decode("ascii"), done.stderr.decode("utf-8", "replace"))


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the plugin; the caller ends it."""
    return subprocess.Popen(
        [*PLUGIN, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT,
    )  # fmt: skip


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition; fails where it does not come in the time after which a plugin is taken to hang."""
    until = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def at(server: FakeSshd) -> tuple[str, ...]:
    """Return the options that name a scripted server, and thresholds that it does not exceed."""
    return ("-H", server.address, "-p", str(server.port), *NEVER_SLOW)


def refusal(*arguments: str | bytes, env: dict[str, str] | None = None) -> str:
    """Run the plugin with an invalid command line; return its error message."""
    answer = check(*arguments, env=env)
    assert (answer.code, answer.err) == (3, "")
    assert re.fullmatch(r"SSH UNKNOWN - [^\n|]+\n", answer.out), answer.out
    assert "Traceback" not in answer.out
    assert "internal error" not in answer.out
    return answer.out.removeprefix("SSH UNKNOWN - ").removesuffix(f"{HINT}\n")


def assert_served(answer: Answer) -> None:
    assert (answer.code, answer.err) == (0, "")
    assert SERVED.fullmatch(answer.line), answer.out
    assert answer.out.count("\n") == 1
