"""What is remembered between runs: positions in logs, counters that go on, host keys."""

from collections.abc import Mapping

from ..plugin.state_file import StateFile, StateFileError
from ..text import printable
from ..values import NamedTuple
from .items import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .judge import Outcome

PROGRAM = "check_sshd_local"


class Memory(NamedTuple):
    """The remembered object, where it is kept (None: nowhere), and what went wrong on the way."""

    file: StateFile | None = None
    document: "Mapping[str, Any]" = {}
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | None) -> "Memory":
        """Return what is remembered; an unusable file is a note."""
        if path is None:
            return cls()
        file = StateFile(path, PROGRAM, "localhost")
        try:
            return cls(file, file.load())
        except StateFileError as error:
            return cls(None, {}, (printable(str(error)),))

    @property
    def position(self) -> "Mapping[str, Any]":
        """Where the logs were read to."""
        found = self.document.get("log")
        return found if isinstance(found, dict) else {}

    @property
    def counters(self) -> dict[str, float]:
        """Events since the beginning of the memory, by the name of their counter."""
        found = self.document.get("counters")
        return dict(found) if isinstance(found, dict) else {}

    def after(self, outcome: "Outcome") -> "Memory":
        """Return what is known after a run."""
        counters = self.counters
        kept: dict[str, Any] = {}
        for one in outcome.judged:
            for name, number in one.finding.counters:
                counters[name] = counters.get(name, 0) + number
            if one.finding.remember is not None:
                kept[one.finding.item] = one.finding.remember
        document = {**{name: self.document[name] for name in NAMES if name in self.document}, **kept}
        return self._replace(document={**document, "counters": counters, "at": outcome.seen.at})

    def save(self) -> tuple[str, ...]:
        """Write it; return what went wrong."""
        if self.file is None:
            return self.notes
        try:
            self.file.update(lambda _: dict(self.document))
        except StateFileError as error:
            return (*self.notes, printable(str(error)))
        return self.notes
