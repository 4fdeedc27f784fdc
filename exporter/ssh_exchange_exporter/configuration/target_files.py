"""Lists of targets in files, in the format of Prometheus' file_sd: read, and read again when they change."""

import glob
import json
import os
import stat
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from . import files
from .fault import ConfigurationFault
from .labels import Labels
from .strict import Strict as Part
from .strict import errors_of
from .target import TargetText
from .yaml_file import Locator, located, parse, read_text

MAX_JSON_BYTES = 16 << 20
# The YAML library takes ten seconds a MiB, and other threads wait for it. A larger list is better off as JSON.
MAX_YAML_BYTES = 2 << 20
MAX_TARGETS = 100_000


class FileTarget(NamedTuple):
    """A target as it is written, and its labels."""

    target: str
    labels: dict[str, str]


def _without_meta(given: object) -> object:
    # Prometheus drops labels that begin with __ after relabelling, and we do not relabel.
    if not isinstance(given, dict):
        return given
    return {name: value for name, value in given.items() if not str(name).startswith("__")}


class FileGroup(Part):
    """One entry of a file."""

    targets: tuple[TargetText, ...]
    labels: Annotated[Labels, BeforeValidator(_without_meta)] = Field(default_factory=dict)


_FILE = TypeAdapter(list[FileGroup])


def read_targets(path: str) -> list[FileTarget]:
    """Return the targets of a .json, .yml or .yaml file; raises ConfigurationFault with every error.

    Errors in YAML have a line; in JSON those of its syntax do, the others a path.
    """
    if not path.lower().endswith(files.SUFFIXES):
        raise ConfigurationFault([f"{path}: should end in .json, .yml or .yaml"])
    is_json = path.lower().endswith(".json")
    text = read_text(path, MAX_JSON_BYTES if is_json else MAX_YAML_BYTES)
    given, locator = _parse_json(path, text) if is_json else parse(path, text)
    try:
        groups = _FILE.validate_python([] if given is None and not is_json else given)
    except ValidationError as error:
        found = errors_of(error, FileGroup, locator)
        raise ConfigurationFault(text for _, text in sorted(found, key=lambda one: one[0])) from None
    count = sum(len(group.targets) for group in groups)
    if count > MAX_TARGETS:
        raise ConfigurationFault([f"{path}: has {count} targets, at most {MAX_TARGETS} are allowed"])
    return [FileTarget(target, group.labels) for group in groups for target in group.targets]


def _parse_json(path: str, text: str) -> tuple[object, Locator]:
    twice: list[str] = []

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice.extend(f'{path}: the key "{name}" is given twice' for name in made if names.count(name) > 1)
        return made

    try:
        given = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        words = f"is no valid JSON: {error.msg[:1].lower()}{error.msg[1:]} (column {error.colno})"
        raise ConfigurationFault([located(path, error.lineno, words)]) from None
    except RecursionError:
        raise ConfigurationFault([f"{path}: is nested too deeply"]) from None
    except ValueError:  # int() of thousands of digits
        raise ConfigurationFault([f"{path}: is no valid JSON: a number has too many digits"]) from None
    if twice:
        raise ConfigurationFault(twice)
    return given, Locator(path)


class _Stamp(NamedTuple):
    """What differs when a file was changed; its ctime changes with its permissions."""

    modified: int
    changed: int
    size: int
    inode: int


class TargetFiles:
    """The files that some patterns match, as they last were good. Blocks: to be used in a thread, by one at a time.

    `faults` has the errors of files that are not as they should be, by path.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.faults: dict[str, tuple[str, ...]] = {}
        self._patterns = tuple(patterns)
        self._stamps: dict[str, _Stamp] = {}
        self._good: dict[str, list[FileTarget]] = {}

    def look(self) -> bool:
        """Read what is new or changed, forget what is gone; return whether targets or faults are others now."""
        before = (self._good, self.faults)
        self._good, self.faults = dict(self._good), dict(self.faults)
        there = self._there()
        for path in (self._stamps.keys() | self.faults.keys()) - there.keys():
            for kept in (self._stamps, self._good, self.faults):
                kept.pop(path, None)
        for path, stamp in there.items():
            if self._stamps.get(path) != stamp:
                self._stamps[path] = stamp
                self._read(path)
        for path in self._patterns:
            if not glob.has_magic(path) and path not in there:
                self.faults[path] = ConfigurationFault([f"{path}: there is no such file"]).errors
        return before != (self._good, self.faults)

    def _there(self) -> dict[str, _Stamp]:
        there = {}
        for path in sorted({path for pattern in self._patterns for path in glob.glob(pattern)}):
            try:
                # Before it is read: what is written in the meantime then differs at the next look.
                found = os.stat(path)
            except OSError:
                continue
            there[path] = _Stamp(found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        return there

    def _read(self, path: str) -> None:
        try:
            self._good[path] = _of_regular(path)
        except ConfigurationFault as fault:
            self.faults[path] = fault.errors
        else:
            self.faults.pop(path, None)

    def targets(self) -> list[FileTarget]:
        """Return the targets of all files by path, each target with the same labels once."""
        found: dict[tuple[str, frozenset[tuple[str, str]]], FileTarget] = {}
        for _, targets in sorted(self._good.items()):
            for one in targets:
                found.setdefault((one.target, frozenset(one.labels.items())), one)
        return list(found.values())


def _of_regular(path: str) -> list[FileTarget]:
    # Opening a pipe would wait for its writer.
    try:
        is_regular = stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        raise ConfigurationFault([f"{path}: cannot be read: {(error.strerror or str(error)).lower()}"]) from None
    if not is_regular:
        raise ConfigurationFault([f"{path}: is no regular file"])
    return read_targets(path)
