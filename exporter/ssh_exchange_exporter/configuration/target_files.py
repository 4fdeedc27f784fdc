"""Lists of targets in files, in the format of Prometheus' file_sd: read, and read again when they change."""

import glob
import json
import os
import stat
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field

from .fields import SUFFIX_SENTENCE, SUFFIXES, Labels
from .file import ConfigurationError, Stamp, read_text, stamp_of, unreadable
from .target import TargetText
from .validation import Section, validate
from .yaml_document import TOO_DEEP, Document, parse

MAX_JSON_BYTES = 16 << 20
# The YAML library takes ten seconds per MiB, and other threads wait for it. JSON suits longer lists better.
MAX_YAML_BYTES = 2 << 20
MAX_TARGETS = 100_000


class FileTarget(NamedTuple):
    """A target as written, and its labels."""

    target: str
    labels: dict[str, str]


def _without_meta(given: object) -> object:
    # Prometheus drops labels that begin with __ after relabelling, and the exporter does not relabel.
    if not isinstance(given, dict):
        return given
    return {name: value for name, value in given.items() if not str(name).startswith("__")}


class FileGroup(Section):
    """One entry of a file."""

    targets: tuple[TargetText, ...]
    labels: Annotated[Labels, BeforeValidator(_without_meta)] = Field(default_factory=dict)


def read_targets(path: str) -> list[FileTarget]:
    """Return the targets of a .json, .yml or .yaml file; raises ConfigurationError with all errors.

    Errors in YAML have a line. In JSON only syntax errors do; the others have a path.
    """
    if not path.lower().endswith(SUFFIXES):
        raise ConfigurationError([f"{path}: {SUFFIX_SENTENCE}"])
    if path.lower().endswith(".json"):
        document = _parse_json(path, read_text(path, MAX_JSON_BYTES))
    else:
        document = parse(path, read_text(path, MAX_YAML_BYTES))
        if document.value is None:
            document.value = []
    groups = validate(document, list[FileGroup])
    count = sum(len(group.targets) for group in groups)
    if count > MAX_TARGETS:
        raise document.fatal(f"must have at most {MAX_TARGETS} targets; it has {count}")
    return [FileTarget(target, group.labels) for group in groups for target in group.targets]


def _parse_json(path: str, text: str) -> Document:
    document = Document(path)

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) < len(pairs):
            for name, times in Counter(name for name, _ in pairs).items():
                if times > 1:
                    document.add((), f'duplicate key "{name}"')
        return made

    try:
        document.value = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        sentence = f"is not valid JSON: {error.msg[:1].lower()}{error.msg[1:]} (column {error.colno})"
        raise document.fatal(sentence, error.lineno) from None
    except RecursionError:
        raise document.fatal(TOO_DEEP) from None
    except ValueError:  # int() refuses thousands of digits
        raise document.fatal("is not valid JSON: a number has too many digits") from None
    return document


class TargetFiles:
    """The files that match some patterns, each as it was when last valid.

    It blocks: use it in a thread, by one at a time. `errors` has the errors of unusable files by path.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.errors: dict[str, tuple[str, ...]] = {}
        self._patterns = tuple(patterns)
        self._stamps: dict[str, Stamp] = {}
        self._valid: dict[str, list[FileTarget]] = {}

    def look(self) -> bool:
        """Read new and changed files and forget deleted ones; return whether targets or errors have changed."""
        before = (self._valid, self.errors)
        self._valid, self.errors = dict(self._valid), dict(self.errors)
        present = self._present()
        for path in (self._stamps.keys() | self.errors.keys()) - present.keys():
            for kept in (self._stamps, self._valid, self.errors):
                kept.pop(path, None)
        for path, stamp in present.items():
            if self._stamps.get(path) != stamp:
                self._stamps[path] = stamp
                self._read(path)
        for path in self._patterns:
            if not glob.has_magic(path) and path not in present:
                self.errors[path] = (f"{path}: cannot be read: no such file or directory",)
        return before != (self._valid, self.errors)

    def _present(self) -> dict[str, Stamp]:
        paths = sorted({path for pattern in self._patterns for path in glob.glob(pattern)})
        return {path: stamp for path in paths if (stamp := stamp_of(path)) is not None}

    def _read(self, path: str) -> None:
        try:
            self._valid[path] = _of_regular(path)
        except ConfigurationError as error:
            self.errors[path] = error.errors
        else:
            self.errors.pop(path, None)

    def targets(self) -> list[FileTarget]:
        """Return the targets of all files in the order of their paths; a target with the same labels comes once."""
        found: dict[tuple[str, frozenset[tuple[str, str]]], FileTarget] = {}
        for _, targets in sorted(self._valid.items()):
            for one in targets:
                found.setdefault((one.target, frozenset(one.labels.items())), one)
        return list(found.values())


def _of_regular(path: str) -> list[FileTarget]:
    # Opening a pipe would wait for its writer.
    try:
        is_regular = stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        raise ConfigurationError([f"{path}: {unreadable(error)}"]) from None
    if not is_regular:
        raise ConfigurationError([f"{path}: must be a regular file"])
    return read_targets(path)
