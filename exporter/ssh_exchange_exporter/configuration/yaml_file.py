"""YAML to plain values, with the line of every key and entry. The rest of the package never sees the YAML library."""

from collections.abc import Callable, Iterable

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from .fault import ConfigurationFault

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
# Aliases of aliases grow exponentially: a kilobyte of them would fill the memory.
MAX_COPIES = 100_000

Place = tuple[int | str, ...]
_TAG = "tag:yaml.org,2002:"


class Locator:
    """Knows the line (from 1) of each place in one file; `name` is the file as the user gave it."""

    def __init__(self, name: str, lines: dict[Place, int] | None = None) -> None:
        self.name = name
        self._lines = {} if lines is None else lines

    def line(self, place: Iterable[int | str]) -> int | None:
        """Return the line of a place, or of the nearest one around it; None where the file's lines are unknown."""
        at = tuple(place)
        for end in range(len(at), -1, -1):
            if at[:end] in self._lines:
                return self._lines[at[:end]]
        return None

    def at(self, place: Iterable[int | str], sentence: str) -> str:
        """Return one error: `config.yml:11: modules.third.handshakes: should be at least 1`."""
        path = tuple(place)
        return located(self.name, self.line(path), f"{dotted(path)}: {sentence}" if path else sentence)


def located(name: str, line: int | None, sentence: str) -> str:
    """Return `NAME:LINE: SENTENCE`."""
    return f"{name}: {sentence}" if line is None else f"{name}:{line}: {sentence}"


def dotted(place: Place) -> str:
    """Return `background[0].labels.site`; entries of lists count from 0."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part[:80]}"
    return text.removeprefix(".")


def read(path: str) -> tuple[object, Locator]:
    """Return a configuration file's value (None: it is empty) and its lines; raises ConfigurationFault."""
    return parse(path, read_text(path, MAX_BYTES))


def read_text(path: str, most: int) -> str:
    """Return a file of at most `most` bytes of UTF-8; raises ConfigurationFault."""
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationFault([f"{path}: cannot be read: {reason.lower()}"]) from None
    if len(data) > most:
        raise ConfigurationFault([f"{path}: is larger than {most >> 20} MiB"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationFault([f"{path}:{line}: is not UTF-8"]) from None


def parse(name: str, text: str) -> tuple[object, Locator]:
    """Return the value of a YAML 1.2 text and its lines; raises ConfigurationFault with errors in the file `name`."""
    value, locator, errors = scan(name, text)
    if errors:
        raise ConfigurationFault(sentence for _, sentence in sorted(errors, key=lambda error: error[0]))
    return value, locator


def scan(name: str, text: str) -> tuple[object, Locator, list[tuple[int, str]]]:
    """As parse; also return the errors (line and sentence) that leave a value to go on with, as a key given twice."""
    # The composed nodes carry tag and line and nothing was built yet, so neither tags nor duplicate keys can act.
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    yaml.composer.warn_double_anchors = False
    try:
        root = yaml.compose(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigurationFault([f"{name}:{line}: holds a character that YAML does not allow"]) from None
    except RecursionError:
        raise ConfigurationFault([f"{name}: is nested too deeply"]) from None
    except (YAMLError, ValueError, ArithmeticError, LookupError, AssertionError, AttributeError, TypeError) as error:
        raise ConfigurationFault([_syntax(name, error)]) from None
    builder = _Builder(name)
    value = None if root is None else builder.build(root, ())
    return value, Locator(name, builder.lines), builder.errors


def _syntax(name: str, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be parsed"
    context = getattr(error, "context", None)
    if problem == "but found another document":
        return located(name, mark and mark.line + 1, "a second document begins, only one is read")
    if problem.startswith("maximum depth"):
        return located(name, mark and mark.line + 1, "is nested too deeply")
    words = f"is no valid YAML: {problem}{f' ({context})' if context else ''}"
    return located(name, mark and mark.line + 1, " ".join(words.split()))


class _Builder:
    """Builds values from nodes and notes lines and errors on the way; goes on after an error."""

    def __init__(self, name: str) -> None:
        self.lines: dict[Place, int] = {}
        self.errors: list[tuple[int, str]] = []
        self._name = name
        self._met: set[int] = set()
        self._copies = 0

    def build(self, node: Node, place: Place) -> object:
        line = node.start_mark.line + 1
        self.lines.setdefault(place, line)
        if len(place) > MAX_DEPTH:  # an alias of what it is in
            raise ConfigurationFault([located(self._name, line, "is nested too deeply")])
        self._count(node)
        kind = str(node.tag).removeprefix(_TAG)
        if isinstance(node, MappingNode) and kind == "map":
            return self._mapping(node, place)
        if isinstance(node, SequenceNode) and kind == "seq":
            return [self.build(one, (*place, index)) for index, one in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self._scalar(node, kind, place)
        self._wrong(line, place, f"has a tag, {node.tag}, that is not for here")
        return None

    def _wrong(self, line: int, place: Place, sentence: str) -> None:
        if len(self.errors) < 2000:
            path = f"{dotted(place)}: " if place else ""
            self.errors.append((line, located(self._name, line or None, path + sentence)))

    def _count(self, node: Node) -> None:
        self._copies += id(node) in self._met
        self._met.add(id(node))
        if self._copies > MAX_COPIES:
            raise ConfigurationFault([f"{self._name}: aliases repeat too much"])

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, (key, value) in self._pairs(node, place, 0).items():
            self.lines[*place, name] = key.start_mark.line + 1
            found[name] = self.build(value, (*place, name))
        return found

    def _pairs(self, node: MappingNode, place: Place, level: int) -> dict[str, tuple[Node, Node]]:
        """Return the nodes of a mapping by key, with those that it merges (`<<: *base`) and does not say itself."""
        pairs: dict[str, tuple[Node, Node]] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if isinstance(key, ScalarNode) and str(key.tag).endswith(":merge"):
                merged += value.value if isinstance(value, SequenceNode) else [value]
            elif fault := _fault_of_key(key, pairs):
                if level == 0:
                    self._wrong(key.start_mark.line + 1, (*place, *fault[0]), fault[1])
            else:
                pairs[key.value] = (key, value)
        for other in merged:
            if not isinstance(other, MappingNode) or level > MAX_DEPTH:
                self._wrong(node.start_mark.line + 1, place, "merges (<<) what is no mapping, or too deeply")
            else:
                self._count(other)
                pairs = {**self._pairs(other, place, level + 1), **pairs}
        return pairs

    def _scalar(self, node: ScalarNode, kind: str, place: Place) -> object:
        try:
            return _SCALARS[kind](node.value)
        except (KeyError, ValueError):
            what = f"is no {_WORDS[kind]}" if kind in _WORDS else f"has a tag, {node.tag}, that is not for here"
            self._wrong(node.start_mark.line + 1, place, what)
            return "?" if kind == "str" else None


def _fault_of_key(key: Node, known: dict[str, tuple[Node, Node]]) -> tuple[Place, str] | None:
    if not isinstance(key, ScalarNode):
        return (), "has a key that is no text"
    if key.value in known:
        return (key.value,), f"is given twice, first in line {known[key.value][0].start_mark.line + 1}"
    try:
        _text(key.value)
    except ValueError:
        return (), "has a key with half a surrogate pair"
    return None


def _text(value: str) -> str:
    value.encode()  # "\ud800" is a str that no metric and no page can be made of
    return value


def _whole(value: str) -> int:
    digits = value.replace("_", "")
    return int(digits, 0 if digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else 10)


def _number(value: str) -> float:
    return float(value.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], object]] = {
    "null": lambda _: None,
    "bool": lambda value: {"true": True, "false": False}[value.lower()],
    "int": _whole,
    "float": _number,
    "str": _text,
    "timestamp": _text,  # a date is a text to all that reads this
    "value": _text,
}
_WORDS = {
    "bool": "boolean: true or false",
    "int": "whole number",
    "float": "number",
    "str": "text: it has half a surrogate pair",
}
