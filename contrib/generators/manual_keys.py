"""The keys of the exporter's configuration, as its pydantic models have them: type, limits, default."""

import inspect
import types
import typing
from collections.abc import Iterable, Iterator
from enum import Enum

from ssh_exchange_exporter.configuration.duration import text_of

if typing.TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

# What a validator takes, by its name: pydantic knows only that it is called.
TAKEN = {
    "seconds_of": "duration",
    "_address": "address",
    "_checked": "target",
    "_entry": "network, address, name or *.suffix",
    "_label": "perfdata label",
    "_label_name": "label name",
    "_label_value": "label value",
    "_module_name": "module name",
    "_name": "name of printable ASCII without blanks",
    "_pattern": "pattern of files that end in .json, .yml or .yaml",
    "_phase": "phase",
    "_range": "Nagios range",
    "_server": "host or host:port",
    "_service": "service description",
    "_shard": "share, I/N",
    "_state": "state: ok, warning, critical or unknown",
    "_vantage": "name of at most 128 characters",
    "_word": "ending or cause",
    "fingerprint": "fingerprint, SHA256:...",
}
BASES: dict[object, str] = {bool: "true or false", int: "whole number", float: "number", str: "text"}
LISTED = "_listed"  # the validator that takes one entry for a list of one


class Key(typing.NamedTuple):
    """A key: what it takes, its limits, and its default; `default` is None where it must be given."""

    kind: str
    limits: str
    default: str | None

    def __str__(self) -> str:
        first = f"{self.kind[:1].upper()}{self.kind[1:]}{self.limits}"
        return f"{first}; must be given." if self.default is None else f"{first}; default: {self.default}."


def keys() -> dict[str, Key]:
    """Return every key of the configuration file by its path, in the order of the models."""
    from ssh_exchange_exporter.configuration.configuration import Configuration

    return dict(_keys_of(Configuration, ""))


def _keys_of(model: "type[BaseModel]", prefix: str) -> Iterator[tuple[str, Key]]:
    for name, field in model.model_fields.items():
        section, suffix = _section_of(field.annotation)
        if section is None:
            yield prefix + name, _key(model, name, field)
        else:
            yield from _keys_of(section, f"{prefix}{name}{suffix}.")


def _section_of(annotation: object) -> "tuple[type[BaseModel] | None, str]":
    """Return the section that a key holds, and how its path goes on; None where it holds values."""
    from pydantic import BaseModel

    base, _ = _opened(annotation, [])
    if isinstance(base, type) and issubclass(base, BaseModel):
        return base, ""
    arguments = typing.get_args(base)
    inner = arguments[-1] if typing.get_origin(base) is dict else arguments[0] if arguments else None
    inner, _ = _opened(inner, [])
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return inner, ".NAME" if typing.get_origin(base) is dict else "[]"
    return None, ""


def _opened(annotation: object, metadata: Iterable[object]) -> tuple[object, list[object]]:
    """Return a type without Optional and Annotated, and everything that was annotated."""
    found = [one for item in metadata for one in (getattr(item, "metadata", None) or [item])]
    if typing.get_origin(annotation) is typing.Annotated:
        base, *more = typing.get_args(annotation)
        return _opened(base, [*found, *more])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        (one,) = [argument for argument in typing.get_args(annotation) if argument is not types.NoneType]
        return _opened(one, found)
    return annotation, found


def _key(model: "type[BaseModel]", name: str, field: "FieldInfo") -> Key:
    base, metadata = _opened(field.annotation, field.metadata)
    kind = _kind(base, metadata)
    limits = _limits(metadata, "characters" if base is str else "entries")
    return Key(kind, limits, None if field.is_required() else _shown(_default(model, name, field), kind))


def _kind(base: object, metadata: Iterable[object]) -> str:
    validators = {getattr(getattr(item, "func", None), "__name__", "") for item in metadata}
    for name, taken in TAKEN.items():
        if name in validators:
            return taken
    arguments = typing.get_args(base)
    if typing.get_origin(base) is typing.Literal:
        return _either(str(word) for word in arguments)
    if isinstance(base, type) and issubclass(base, Enum):
        return _either(str(word.value) for word in base)
    if typing.get_origin(base) is dict:
        key, value = (_kind(*_opened(argument, [])) for argument in arguments)
        return f"mapping of {key} to {value}"
    if typing.get_origin(base) is tuple:
        entry, inner = _opened(arguments[0], [])
        what = f"list ({_kind(entry, inner)}{_limits(inner, 'characters')})"
        return f"{what}, or one entry alone" if LISTED in validators else what
    return BASES[base]


def _either(words: Iterable[str]) -> str:
    *first, last = (f"`{word}`" for word in words)
    return f"{', '.join(first)} or {last}" if first else last


def _limits(metadata: Iterable[object], counted: str) -> str:
    """Return the limits as a sentence goes on with them: `, 1 to 1000`."""
    least: dict[str, str] = {}
    for item in metadata:
        function = getattr(item, "func", None)
        if function is not None and function.__qualname__.startswith("between."):
            found = inspect.getclosurevars(function).nonlocals
            least |= {"ge": text_of(found["low"]), "le": text_of(found["high"])}
        for name in ("ge", "gt", "le", "min_length", "max_length"):
            value = getattr(item, name, None)
            if value is not None:
                least[name] = f"{value:g}"
    parts = []
    if "ge" in least and "le" in least:
        parts.append(f"{least['ge']} to {least['le']}")
    elif "gt" in least:
        parts.append(f"above {least['gt']}" + (f", at most {least['le']}" if "le" in least else ""))
    if "max_length" in least:
        first = f"{least['min_length']} to" if "min_length" in least else "at most"
        parts.append(f"{first} {least['max_length']} {counted}")
    return "".join(f", {part}" for part in parts)


def _default(model: "type[BaseModel]", name: str, field: "FieldInfo") -> object:
    """Return a default as the model has it in the end: its validators may add to it."""
    if any(other.is_required() for other in model.model_fields.values()):
        return field.get_default(call_default_factory=True, validated_data={})
    return getattr(model(), name)


def _shown(value: object, kind: str) -> str:
    if value is None or value == "":
        return "none"
    return f"`{_yaml(value, kind)}`"


def _yaml(value: object, kind: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return text_of(value) if kind == "duration" else f"{value:g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(one, kind)}" for key, one in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_yaml(one, kind) for one in value) + "]"
    return str(value)
