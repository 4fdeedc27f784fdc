"""Icinga's `ifw-api` (2.14 and later): a check as an HTTP request, the body a command line in the shape of JSON. Pure.

Icinga sends strings, `true` and lists of strings (lib/methods/ifwapichecktask.cpp, lib/icinga/macroprocessor.cpp): a
number as a string; a flag that is set as `true`, one that is not set not at all; a boolean that is a value as "true" or
"false"; a variable that is null as ""; `separator = "="` and `skip_key` as one key that is `true`.
"""

import json
from collections.abc import Iterator
from functools import cache

from check_ssh_exchange.remote.options import parser

from .answer import Answer

MAX_WORDS = 256


class BadBodyError(ValueError):
    """The body is no command line; the text is a sentence."""


def words(body: bytes) -> list[str]:
    """Return the arguments that a body says. Raises BadBodyError."""
    try:
        given = json.loads(body, parse_constant=_no_number, object_pairs_hook=_once)
    except BadBodyError:
        raise
    except (ValueError, RecursionError):
        raise BadBodyError("the body of the request is not valid JSON") from None
    if not isinstance(given, dict):
        raise BadBodyError('the body of the request must be a JSON object of options, as {"-H": "host"}')
    found = [word for key, value in given.items() for word in _option(key, value)]
    if len(found) > MAX_WORDS:
        raise BadBodyError(f"the body of the request has more than {MAX_WORDS} words")
    if "\0" in "".join(found):
        raise BadBodyError("the body of the request has a NUL character")
    return found


def reply(name: str, answer: Answer) -> str:
    """Return the body of the response; Icinga takes perfdata from its list only."""
    said = {"exitcode": answer.code, "checkresult": answer.text, "perfdata": list(answer.perfdata)}
    return json.dumps({name: said})


def _option(key: str, value: object) -> Iterator[str]:
    if key in _flags() and value in ("true", "false"):
        value = value == "true"
    if value is True:
        yield key
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, list):
                raise BadBodyError(f"{key[:80]!r} has a list in a list")
            yield from _option(key, one)
    elif isinstance(value, str | int | float) and value is not False:
        text = value if isinstance(value, str) else _number(value)
        yield from (key, text) if text else ()
    elif value is not None and value is not False:
        raise BadBodyError(f"{key[:80]!r} must be a string, a number, true or a list of these")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:f}".rstrip("0").rstrip(".")


def _no_number(word: str) -> object:
    raise BadBodyError(f"{word} is not a number")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadBodyError("the body of the request gives an option twice: give it once, with a list")
    return found


@cache
def _flags() -> frozenset[str]:
    """Return the options that take no value."""
    return frozenset(word for action in parser()._actions if action.nargs == 0 for word in action.option_strings)
