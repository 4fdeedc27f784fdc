"""Validation of documents against pydantic models, with one sentence for each kind of error."""

import typing
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from types import NoneType

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from .yaml_document import Document, Place

T = typing.TypeVar("T")

_MAPPING = "must be a mapping of keys to values"
_SENTENCES = {
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "greater_than": "must be above {gt:g}",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have at most {max_length} entries",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have at most {max_length} characters",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
}


class Section(BaseModel):
    """A frozen mapping of known keys. A known key without a value stands for its default."""

    # An error must not repeat a value: it may be a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, given: object) -> object:
        if given is None:
            return {}
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if value is not None or key not in cls.model_fields}
        return given


class KeyErrors(ValueError):
    """Errors of several keys of one section; `errors` has the key and the sentence of each."""

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{key}: {sentence}" for key, sentence in self.errors))


def validate(document: Document, kind: type[T], context: dict[str, object] | None = None) -> T:
    """Return a document's value as the given type; raises ConfigurationError with all errors of the document."""
    try:
        made = TypeAdapter(kind).validate_python(document.value, context=context)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            for place, sentence in _sentences(one, kind):
                document.add(place, sentence)
        raise document.error() from None
    if document.has_errors:
        raise document.error()
    return made


def unknown(noun: str, given: str, known: Iterable[str]) -> str:
    """Return the sentence for a word that is not a known one: `unknown key; did you mean timeout?`."""
    words = list(known)
    if meant := get_close_matches(given[:80], words, 1):
        return f"unknown {noun}; did you mean {meant[0]}?"
    return f"unknown {noun}; must be one of: {', '.join(words)}" if words else f"unknown {noun}"


def _sentences(error: ErrorDetails, kind: object) -> Iterator[tuple[Place, str]]:
    place = tuple(part for part in error["loc"] if part != "[key]")
    context = error.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, KeyErrors):
        for key, sentence in cause.errors:
            yield (*place, key), sentence
    elif error["type"] == "value_error":
        yield place, str(cause)
    elif error["type"] == "extra_forbidden":
        yield place, unknown("key", str(place[-1]), _keys(kind, place[:-1]))
    elif error["type"] == "string_type" and isinstance(error["input"], int | float):
        yield place, "must be text: put it in quotes"
    elif error["type"] in _SENTENCES:
        yield place, _SENTENCES[error["type"]].format(**context).replace("'", "")
    else:
        yield place, error["msg"][:1].lower() + error["msg"][1:]


def _keys(kind: object, place: Place) -> list[str]:
    """Return the keys of the section that a path leads to from a type."""
    for part in place:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = None if field is None else field.annotation
        else:
            inner = [argument for argument in typing.get_args(kind) if argument not in (Ellipsis, NoneType)]
            kind = inner[-1] if inner else None
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
