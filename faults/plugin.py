"""The plugin as a monitoring system runs it, read back from its JSON."""

import json
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
    def words(self) -> str:
        """Return all sentences of the diagnosis."""
        diagnosis = self.document["diagnosis"]
        return "\n".join([self.line, *diagnosis["evidence"], *diagnosis["alternatives"]])


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
