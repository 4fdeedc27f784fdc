"""A YAML file as plain values whose every key knows its line; scalars keep their text, as Go's YAML reads them."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MOST_BYTES = 1 << 20
MOST_DEPTH = 8

TRUE = {spelled for word in ("y", "yes", "on", "true") for spelled in (word, word.title(), word.upper())}
FALSE = {spelled for word in ("n", "no", "off", "false") for spelled in (word, word.title(), word.upper())}
NUMBER = re.compile(r"[0-9]{1,9}")
DURATION_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|m|h)")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

Path = tuple[str | int, ...]


class Plain(str):
    """An unquoted scalar: only these may become a flag or a number."""

    __slots__ = ()


class Problem(NamedTuple):
    """What is wrong at a path of the document; `line` counts from 1, 0 where there is none."""

    line: int
    path: Path
    text: str

    def told(self, name: str) -> str:
        """The sentence for the user, beginning with the file's name."""
        where = "".join(f"[{key}]" if isinstance(key, int) else f".{_printable(key)}" for key in self.path).lstrip(".")
        return f"{name}{f':{self.line}' if self.line else ''}: {f'{where}: ' if where else ''}{self.text}"


class Document(NamedTuple):
    """A read file: its values, the line of each path, and the problems of reading it."""

    value: Any
    lines: dict[Path, int]
    problems: list[Problem]

    def line_of(self, path: Path) -> int:
        """The line of the path, or of the nearest key above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def read(content: bytes) -> Document:
    """Reads YAML; never raises: what cannot be read is among the problems."""
    document = Document({}, {}, [])
    try:
        if len(content) > MOST_BYTES:
            raise ValueError("the file is larger than 1 MiB")
        node = YAML(typ="safe", pure=True).compose(content.decode())
    except UnicodeDecodeError:
        return document._replace(problems=[Problem(0, (), "the file is not UTF-8")])
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        return document._replace(problems=[Problem(line, (), f"not YAML: {_printable(error.problem or 'unreadable')}")])
    except (YAMLError, ValueError, RecursionError) as error:
        return document._replace(problems=[Problem(0, (), f"not YAML: {_printable(str(error))}")])
    return document if node is None else document._replace(value=_value(node, (), document))


def _value(node: Node, path: Path, document: Document) -> Any:
    """The node's value; lines and problems go into the document. Depth is bounded, for an alias may hold itself."""
    if len(path) > MOST_DEPTH:
        document.problems.append(Problem(node.start_mark.line + 1, path[:2], "nested too deep"))
        return None
    if isinstance(node, MappingNode):
        return dict(_pairs(node, path, document))
    if isinstance(node, SequenceNode):
        items = enumerate(node.value)
        return [_value(item, _noted(item, (*path, number), document), document) for number, item in items]
    return _scalar(node) if isinstance(node, ScalarNode) else None


def _pairs(node: MappingNode, path: Path, document: Document) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, ScalarNode) else ""
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode):
            document.problems.append(Problem(line, path, "a key must be a word"))
        elif key in seen:
            document.problems.append(Problem(line, (*path, key), "given twice"))
        else:
            seen.add(key)
            yield key, _value(value_node, _noted(key_node, (*path, key), document), document)


def _noted(node: Node, path: Path, document: Document) -> Path:
    document.lines.setdefault(path, node.start_mark.line + 1)
    return path


def _scalar(node: ScalarNode) -> str | None:
    if node.style is not None:
        return str(node.value)
    return None if str(node.tag).endswith(":null") else Plain(node.value)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]


def as_text(value: object) -> object:
    """Any scalar is text, as written; nothing is the empty text."""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else value


def as_flag(value: object) -> bool:
    """An unquoted yes or no; raises ValueError."""
    if isinstance(value, Plain) and value in TRUE | FALSE:
        return value in TRUE
    raise ValueError("must be true or false")


def as_count(value: object) -> int:
    """An unquoted whole number; raises ValueError."""
    if isinstance(value, Plain) and NUMBER.fullmatch(value):
        return int(value)
    raise ValueError("must be a whole number")


def as_seconds(value: object) -> float:
    """A duration as Go writes it (1s, 1m30s, 500ms); raises ValueError."""
    text = value if isinstance(value, str) else ""
    parts = DURATION_PART.findall(text)
    if text == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("must be a duration such as 500ms, 1s or 1m30s")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


Text = Annotated[str, BeforeValidator(as_text)]
Flag = Annotated[bool, BeforeValidator(as_flag)]
Count = Annotated[int, BeforeValidator(as_count)]
Seconds = Annotated[float, BeforeValidator(as_seconds)]


class KeyFaults(ValueError):
    """Keys that do not fit each other; `faults` holds (key, sentence) for each."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{key}: {text}" for key, text in faults))
        self.faults = faults


class Section(BaseModel):
    """A mapping of known keys; one without a value counts as left out. No fault repeats a value: it may be secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _drop(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if value is not None}
        return {} if values is None else values
