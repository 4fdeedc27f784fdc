"""The plugin as a monitoring system runs it, read back from its JSON."""

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.lab.front_door import PLUGIN, check

from .scenario import Target

MAX_LINE = 200  # characters of the first line without its perfdata


class Answer(NamedTuple):
    """What one run said, and how long it took."""

    document: Mapping[str, Any]
    seconds: float

    @property
    def cause(self) -> str:
        """The cause it names."""
        return str(self.document["diagnosis"]["cause"])

    @property
    def confidence(self) -> str:
        """How sure it is."""
        return str(self.document["diagnosis"]["confidence"])

    @property
    def line(self) -> str:
        """The first line without its perfdata."""
        return f"SSH {self.document['state'].upper()} - {self.document['summary']}"

    @property
    def is_served(self) -> bool:
        """Whether every handshake completed."""
        endings = {handshake["ending"] for handshake in self.document["handshakes"]}
        return endings == {"completed"}

    @property
    def words(self) -> str:
        """All sentences of the diagnosis."""
        told = self.document["diagnosis"]
        return "\n".join([self.line, *told["evidence"], *told["alternatives"]])


def run(target: Target, options: tuple[str, ...] = ()) -> Answer:
    """Run the plugin against a target and read its document; raises RuntimeError for anything but one."""
    words = ("-H", target.host, "-p", str(target.port), "--output-format", "json", *target.options, *options)
    begun = time.monotonic()
    answer = check(*words, command=(*target.prefix, *PLUGIN))
    seconds = time.monotonic() - begun
    if answer.err or answer.code not in range(4):
        raise RuntimeError(f"exit {answer.code}: {answer.err or answer.out}")
    try:
        return Answer(json.loads(answer.out), seconds)
    except ValueError:
        raise RuntimeError(f"exit {answer.code}, and no JSON: {answer.out!r}") from None
