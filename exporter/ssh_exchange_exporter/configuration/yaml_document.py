"""YAML files as plain values, with the line of each path. No other module touches the YAML library.

A document goes on after an error: each is kept with its line, so that all of them are reported at once.
"""

import io
import re
from collections.abc import Callable, Iterable

from ruamel.yaml import YAML
from ruamel.yaml.emitter import Emitter
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.representer import SafeRepresenter

from .file import SURROGATE, ConfigurationError

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
# Aliases of aliases grow exponentially: a kilobyte of them would fill the memory.
MAX_COPIES = 100_000
MAX_KEPT = 2000  # errors

Place = tuple[int | str, ...]
# Makes a value of a scalar and its kind (`str`, `int`, ...); raises ValueError with a sentence.
ScalarPolicy = Callable[[ScalarNode, str], object]

TOO_DEEP = "is nested too deeply"

_TAG = "tag:yaml.org,2002:"


class Document:
    """A file's value, the line (from 1) of each path, and the errors found so far; `name` is the file as given."""

    def __init__(self, name: str, value: object = None) -> None:
        self.name = name
        self.value = value
        self.lines: dict[Place, int] = {}
        self._errors: list[tuple[int, str]] = []

    def line(self, place: Iterable[int | str]) -> int | None:
        """Return the line of a path or of its nearest parent; None if the file's lines are unknown."""
        path = tuple(place)
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None

    def add(self, place: Place, sentence: str, line: int | None = None) -> None:
        """Keep an error of a path; `line` only if the path's own line is not the one to report."""
        line = line or self.line(place)
        if len(self._errors) < MAX_KEPT:
            self._errors.append((line or 0, self._sentence(place, sentence, line)))

    @property
    def has_errors(self) -> bool:
        """Whether an error was kept."""
        return bool(self._errors)

    def error(self) -> ConfigurationError:
        """Return the errors kept so far in the order of their lines."""
        return ConfigurationError(text for _, text in sorted(self._errors, key=lambda error: error[0]))

    def fatal(self, sentence: str, line: int | None = None) -> ConfigurationError:
        """Return the error of a file of which nothing can be used."""
        return ConfigurationError([self._sentence((), sentence, line)])

    def _sentence(self, place: Place, sentence: str, line: int | None) -> str:
        return f"{self.name}:{f'{line}:' if line else ''} {f'{dotted(place)}: ' if place else ''}{sentence}"


def dotted(place: Place) -> str:
    """Return `background[0].labels.site`; entries of lists count from 0."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part[:80]}"
    return text.removeprefix(".")


class Unquoted(str):
    """A text that was written without quotes: only such a text can stand for a flag or a number."""

    __slots__ = ()


def typed(node: ScalarNode, kind: str) -> object:
    """Return a scalar as YAML 1.2 types it; dates stay text."""
    make, sentence = _TYPED.get(kind, (_text, SURROGATE))
    try:
        return make(node.value)
    except (KeyError, ValueError):
        raise ValueError(sentence) from None


def text_only(node: ScalarNode, kind: str) -> object:
    """Return a scalar as it is written, `Unquoted` if it is; None if it is empty or null."""
    if node.style is None and kind == "null":
        return None
    return _text(node.value) if node.style is not None else Unquoted(_text(node.value))


def parse(name: str, text: str, scalars: ScalarPolicy = typed) -> Document:
    """Return the document of a YAML 1.2 text (value None: empty); raises ConfigurationError if nothing can be used."""
    document = Document(name)
    # The composed nodes carry tag and line, and nothing was built from them: tags and duplicate keys cannot act.
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    yaml.composer.warn_double_anchors = False
    try:
        root = yaml.compose(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise document.fatal("contains a character that YAML does not allow", line) from None
    except RecursionError:
        raise document.fatal(TOO_DEEP) from None
    except (YAMLError, ValueError, ArithmeticError, LookupError, AssertionError, AttributeError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise document.fatal(_syntax(error), mark and mark.line + 1) from None
    if root is not None:
        document.value = _Builder(document, scalars).build(root, ())
    return document


def _syntax(error: Exception) -> str:
    problem = getattr(error, "problem", None) or "it cannot be parsed"
    context = getattr(error, "context", None)
    if problem == "but found another document":
        return "must be a single YAML document; a second one begins"
    if problem.startswith("maximum depth"):
        return TOO_DEEP
    return " ".join(f"is not valid YAML: {problem}{f' ({context})' if context else ''}".split())


class _Builder:
    """Builds the value of a document from its nodes."""

    def __init__(self, document: Document, scalars: ScalarPolicy) -> None:
        self._document = document
        self._scalars = scalars
        self._seen: set[int] = set()
        self._copies = 0

    def build(self, node: Node, place: Place) -> object:
        line = node.start_mark.line + 1
        self._document.lines.setdefault(place, line)
        if len(place) > MAX_DEPTH:  # an alias of a node that contains it
            raise self._document.fatal(TOO_DEEP, line)
        self._count(node)
        kind = str(node.tag).removeprefix(_TAG)
        if isinstance(node, MappingNode) and kind == "map":
            return self._mapping(node, place)
        if isinstance(node, SequenceNode) and kind == "seq":
            return [self.build(one, (*place, index)) for index, one in enumerate(node.value)]
        if isinstance(node, ScalarNode) and kind in _KINDS:
            return self._scalar(node, kind, place)
        self._document.add(place, f"has an unsupported tag {node.tag}", line)
        return None

    def _scalar(self, node: ScalarNode, kind: str, place: Place) -> object:
        try:
            return self._scalars(node, kind)
        except ValueError as error:
            self._document.add(place, str(error), node.start_mark.line + 1)
            return "?" if kind == "str" else None

    def _count(self, node: Node) -> None:
        self._copies += id(node) in self._seen
        self._seen.add(id(node))
        if self._copies > MAX_COPIES:
            raise self._document.fatal("repeats too much by aliases")

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, (key, value) in self._pairs(node, place, 0).items():
            self._document.lines[*place, name] = key.start_mark.line + 1
            found[name] = self.build(value, (*place, name))
        return found

    def _pairs(self, node: MappingNode, place: Place, level: int) -> dict[str, tuple[Node, Node]]:
        """Return the nodes of a mapping by key, with those it merges (`<<: *base`) and does not set itself."""
        pairs: dict[str, tuple[Node, Node]] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if isinstance(key, ScalarNode) and str(key.tag).endswith(":merge"):
                merged += value.value if isinstance(value, SequenceNode) else [value]
            elif wrong := _error_of_key(key, pairs):
                if level == 0:
                    self._document.add((*place, *wrong[0]), wrong[1], key.start_mark.line + 1)
            else:
                pairs[key.value] = (key, value)
        for other in merged:
            if not isinstance(other, MappingNode) or level > MAX_DEPTH:
                sentence = f"must merge (<<) only mappings, at most {MAX_DEPTH} levels deep"
                self._document.add(place, sentence, node.start_mark.line + 1)
            else:
                self._count(other)
                pairs = {**self._pairs(other, place, level + 1), **pairs}
        return pairs


def _error_of_key(key: Node, known: dict[str, tuple[Node, Node]]) -> tuple[Place, str] | None:
    if not isinstance(key, ScalarNode):
        return (), "has a key that is not text"
    if key.value in known:
        return (key.value,), f"duplicate key; first given in line {known[key.value][0].start_mark.line + 1}"
    try:
        _text(key.value)
    except ValueError:
        return (), f"has a key that {SURROGATE}"
    return None


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(SURROGATE) from None
    return value


def _whole(value: str) -> int:
    digits = value.replace("_", "")
    return int(digits, 0 if digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else 10)


def _number(value: str) -> float:
    return float(value.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


_TYPED: dict[str, tuple[Callable[[str], object], str]] = {
    "null": (lambda _: None, ""),
    "bool": (lambda value: {"true": True, "false": False}[value.lower()], "must be true or false"),
    "int": (_whole, "must be a whole number"),
    "float": (_number, "must be a number"),
}
_KINDS = frozenset({*_TYPED, "str", "timestamp", "value"})


_WORD = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./-]*")


class _Emitter(Emitter):
    # Keys on one line with their values are read up to 1024 characters, and an escaped one is ten times as long.
    MAX_SIMPLE_KEY_LENGTH = 100


class _Representer(SafeRepresenter):
    """Quotes all text but words: the library writes some in a way that it cannot read, as the key :0."""


def _represent_text(representer: SafeRepresenter, text: str) -> ScalarNode:
    return representer.represent_scalar(f"{_TAG}str", text, style=None if _WORD.fullmatch(text) else '"')


_Representer.add_representer(str, _represent_text)


def dump(value: object) -> str:
    """Return plain values (mappings, lists, str, int, float, bool, None) as YAML 1.2 in printable characters."""
    text = _dumped(value, allow_unicode=True)
    return text if text.replace("\n", "").isprintable() else _dumped(value, allow_unicode=False)


def _dumped(value: object, *, allow_unicode: bool) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.Emitter = _Emitter
    yaml.Representer = _Representer
    yaml.allow_unicode = allow_unicode
    yaml.default_flow_style = None  # only the innermost lists and mappings on one line
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 1 << 30
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()
