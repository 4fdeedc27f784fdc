"""The plugin as a monitoring system runs it, read back from its JSON."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.lab.front_door import PLUGIN, check

from .scenario import Target

MAX_LINE = 200  # characters of the first line without its perfdata


class Answer(NamedTuple):
    """The document of one run, and its duration in seconds."""

    document: Mapping[str, Any]
    seconds: float

    @property
    def cause(self) -> str:
        """Return the cause."""
        return str(self.document["diagnosis"]["cause"])

    @property
    def confidence(self) -> str:
        """Return the confidence."""
        return str(self.document["diagnosis"]["confidence"])

    @property
    def line(self) -> str:
        """Return the first line without its perfdata."""
        return f"SSH {self.document['state'].upper()} - {self.document['summary']}"

    @property
    def is_served(self) -> bool:
        """Return whether every handshake completed."""
        endings = {handshake["ending"] for handshake in self.document["handshakes"]}
        return endings == {"completed"}

    @property
    def is_cut(self) -> bool:
        """Return whether the burst was served up to one handshake and none after it, as by a limit."""
        burst = [one["ending"] == "completed" for one in self.document["handshakes"] if one["role"] == "burst"]
        return burst == sorted(burst, reverse=True)

    @property
    def words(self) -> str:
        """Return all sentences of the diagnosis."""
        diagnosis = self.document["diagnosis"]
        return "\n".join([self.line, *diagnosis["evidence"], *diagnosis["alternatives"]])


LOCAL = [sys.executable, "-m", "check_ssh_exchange.host"]
LOCAL_SECONDS = 60.0  # it takes one or two; the rest is for a busy machine


class LocalAnswer(NamedTuple):
    """The document of one run of check_sshd_local."""

    document: Mapping[str, Any]

    @property
    def causes(self) -> list[str]:
        """Return the causes that it is certain of, the worst first."""
        return [one["cause"] for one in self.document["causes"] if one["confidence"] == "certain"]

    @property
    def line(self) -> str:
        """Return the first line."""
        return f"SSHD {self.document['state'].upper()} - {self.document['summary']}"


def run_local(target: Target) -> LocalAnswer:
    """Run check_sshd_local on the host of the fault, which is this one; raises RuntimeError for what is no answer."""
    words = ["-p", str(target.port), "--monitor", "127.0.0.1", "--trial", "--output-format", "json"]
    done = subprocess.run([*LOCAL, *words], capture_output=True, text=True, timeout=LOCAL_SECONDS, check=False)
    try:
        return LocalAnswer(json.loads(done.stdout))
    except ValueError:
        raise RuntimeError(f"check_sshd_local: exit {done.returncode}: {done.stdout}{done.stderr}") from None


def run(target: Target, options: tuple[str, ...] = ()) -> Answer:
    """Run the plugin against a target and read its document; raises RuntimeError where the output is not one."""
    words = ("-H", target.host, "-p", str(target.port), "--output-format", "json", *target.options, *options)
    begun = time.monotonic()
    answer = check(*words, command=(*target.prefix, *PLUGIN))
    seconds = time.monotonic() - begun
    if answer.err or answer.code not in range(4):
        raise RuntimeError(f"exit {answer.code}: {answer.err or answer.out}")
    try:
        return Answer(json.loads(answer.out), seconds)
    except ValueError:
        raise RuntimeError(f"exit {answer.code}, and not JSON: {answer.out!r}") from None
