"""A snapshot of a host: what was read, as a value. Pure: the same answer on another machine, years later."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..values import NamedTuple
from .ip_address import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCHEMA = 1
PARTS = ("files", "stats", "lists", "links", "commands")


class SnapshotError(ValueError):
    """What was given is no snapshot that this release can read; the message is one sentence."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


class Output(NamedTuple):
    """What a program did: its exit code (None where it was killed), its output, what went wrong as an errno's name."""

    code: int | None
    out: str
    err: str
    error: str = ""

    @property
    def is_absent(self) -> bool:
        """Whether there is no such program."""
        return self.error == "ENOENT"

    @property
    def is_good(self) -> bool:
        """Whether it ran to its end and said 0."""
        return self.code == 0 and not self.error


ABSENT = Output(None, "", "", "ENOENT")


class Snapshot:
    """The record of a host. Paths and commands that were not asked for are as absent ones."""

    def __init__(self, document: "Mapping[str, Any]") -> None:
        self.document = document
        self._memory: dict[str, Any] = {}

    def remembered(self, what: str, make: "Callable[[], Any]") -> "Any":
        """Return what was made of this record before, or make it: nineteen items ask for the same."""
        if what not in self._memory:
            self._memory[what] = make()
        return self._memory[what]

    def forget(self) -> None:
        """Forget what was made of the record: it has grown."""
        self._memory.clear()

    @classmethod
    def of_document(cls, document: object) -> "Snapshot":
        """Return the snapshot in a JSON object; raises SnapshotError for what is none."""
        if not isinstance(document, dict) or document.get("program") != "check_sshd_local":
            raise SnapshotError("this is not a snapshot of check_sshd_local --collect")
        if document.get("schema") != SCHEMA:
            raise SnapshotError(
                f"the snapshot has schema {str(document.get('schema'))[:20]}; this release reads {SCHEMA}"
            )
        if not all(isinstance(document.get(part), dict) for part in PARTS):
            raise SnapshotError("the snapshot is not complete")
        records = [record for part in PARTS for record in document[part].values()]
        numbers = [document.get(name, 0) for name in ("at", "uid", "zone", "since")]
        is_right = all(isinstance(record, dict) for record in records) and all(map(_is_number, numbers))
        if not is_right or not isinstance(document.get("host", {}), dict):
            raise SnapshotError("the snapshot has values of another kind than this release writes")
        if not all(_are_names(record.get("names", [])) for record in document["lists"].values()):
            raise SnapshotError("the snapshot has values of another kind than this release writes")
        return cls(document)

    @property
    def at(self) -> float:
        """When it was taken (seconds since the epoch)."""
        return float(self.document.get("at", 0.0))

    @property
    def uid(self) -> int:
        """As whom it was taken."""
        return int(self.document.get("uid", 0))

    @property
    def is_root(self) -> bool:
        """Whether root took it."""
        return self.uid == 0

    @property
    def monitors(self) -> tuple[str, ...]:
        """The monitors that it was taken for, each once, as `plain` writes them."""
        found = self.document.get("monitors")
        return tuple(dict.fromkeys(plain(str(one)) for one in found)) if isinstance(found, list | tuple) else ()

    def text(self, path: str) -> str | None:
        """Return what was read of a file, None where it was not."""
        found = self.document["files"].get(path, {}).get("text")
        return None if found is None else str(found)

    def lines(self, path: str) -> list[str]:
        """Return the lines of a file, none where it was not read."""
        # Not splitlines(): the kernel writes a process's name as it is, and a form feed in it must not begin a line.
        text = self.text(path)
        return text.removesuffix("\n").split("\n") if text else []

    def is_denied(self, path: str) -> bool:
        """Return whether a file or directory is there and we had no right to it."""
        return any(self.document[part].get(path, {}).get("error") in ("EACCES", "EPERM") for part in PARTS[:4])

    def stat(self, path: str) -> "dict[str, Any] | None":
        """Return what was told of a path, None where there is none."""
        found = self.document["stats"].get(path, {"error": "ENOENT"})
        return None if "error" in found else dict(found)

    def names(self, path: str) -> list[str]:
        """Return the names in a directory."""
        return list(self.document["lists"].get(path, {}).get("names", ()))

    def link(self, path: str) -> str | None:
        """Return where a link leads."""
        found = self.document["links"].get(path, {}).get("target")
        return None if found is None else str(found)

    def command(self, *words: str) -> Output:
        """Return what a program did, by its words (or the one key that it was recorded as)."""
        found = self.document["commands"].get(" ".join(words))
        if found is None:
            return ABSENT
        return Output(found.get("code"), found.get("out", ""), found.get("err", ""), found.get("error", ""))

    def commands(self, *beginning: str) -> Iterator[tuple[str, Output]]:
        """Yield each recorded command whose words begin like this, with what it did."""
        start = " ".join(beginning)
        for key in self.document["commands"]:
            if key == start or key.startswith(f"{start} "):
                yield key, self.command(key)

    @property
    def samples(self) -> "Sequence[tuple[float, Mapping[str, list[int] | None]]]":
        """The titles of the listeners over a second, where they changed.

        Each has the seconds since the first, and by process id connections in progress, begin and full.
        """
        return [(float(at), titles) for at, titles in self.document.get("samples", ())]
