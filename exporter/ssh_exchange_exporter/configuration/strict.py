"""What all parts of the configuration have in common, and their errors in plain words."""

import types
import typing
from collections.abc import Iterator
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from .yaml_file import Locator, Place


class Strict(BaseModel):
    """A frozen part of the configuration that knows all its keys. A key without a value stands for its default."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, given: object) -> object:
        if given is None:
            return {}
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if value is not None or key not in cls.model_fields}
        return given


def errors_of(error: ValidationError, model: type[BaseModel] | None, locator: Locator) -> list[tuple[int, str]]:
    """Return line (0: unknown) and text of every error of a validation."""
    return [_located(one, model, locator) for one in error.errors(include_url=False)]


def _located(error: ErrorDetails, model: type[BaseModel] | None, locator: Locator) -> tuple[int, str]:
    place = tuple(part for part in error["loc"] if part != "[key]")
    return locator.line(place) or 0, locator.at(place, _sentence(error, model, place))


def _sentence(error: ErrorDetails, model: type[BaseModel] | None, place: Place) -> str:  # noqa: PLR0911
    context = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return str(context["error"])
        case "extra_forbidden":
            return _unknown(str(place[-1]), _keys(model, place[:-1]))
        case "greater_than_equal":
            return f"should be at least {context['ge']:g}"
        case "less_than_equal":
            return f"should be at most {context['le']:g}"
        case "greater_than":
            return f"should be above {context['gt']:g}"
        case "too_long":
            return f"should have at most {context['max_length']} entries"
        case "too_short":
            return f"should have at least {context['min_length']} entries"
        case "enum" | "literal_error":
            return f"should be {context['expected'].replace(chr(39), '')}"
        case "string_type" if isinstance(error["input"], int | float):
            return "should be a text: put it in quotes"
        case kind:
            return _TYPES.get(kind) or error["msg"][:1].lower() + error["msg"][1:]


_TYPES = {
    "missing": "is missing",
    "string_type": "should be a text",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "finite_number": "should be a finite number",
    "bool_type": "should be true or false",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "dict_type": "should be a mapping of keys to values",
    "model_type": "should be a mapping of keys to values",
}


def _unknown(key: str, known: list[str]) -> str:
    meant = get_close_matches(key[:80], known, 1)
    if meant:
        return f"is no key that is known here; {meant[0]} is"
    return f"is no key that is known here; these are: {', '.join(known)}" if known else "is no key that is known here"


def _keys(model: type[BaseModel] | None, place: Place) -> list[str]:
    """Return the keys of the part of a model that a place leads to."""
    is_inside = False  # of a list or mapping, whose keys are the user's
    for part in place:
        if is_inside or model is None or part not in model.model_fields:
            is_inside = False
            continue
        annotation = model.model_fields[str(part)].annotation
        inner = next(_models(annotation), None)
        is_inside = typing.get_origin(annotation) in (list, tuple, dict)
        model = inner or model
    return [] if model is None else list(model.model_fields)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for inner in typing.get_args(annotation):
        yield from _models(inner)
