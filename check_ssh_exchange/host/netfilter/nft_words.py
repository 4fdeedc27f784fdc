"""A rule of nft's JSON in nft's own words, as a person would have typed it."""

from collections.abc import Callable, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST = 12  # elements of a set that are shown


def words_of(expressions: "Sequence[Any]") -> str:
    """Return a rule's words; raises what comes of JSON that is no rule."""
    return " ".join(filter(None, (_statement(one) for one in expressions)))


def _statement(one: "Any") -> str:
    if not isinstance(one, dict):
        return str(one)
    ((kind, body),) = one.items()
    if kind in ("counter", "log"):
        return ""
    made: Callable[[Any], str] | None = {
        "match": _match,
        "vmap": lambda body: f"{_value(body['key'])} vmap {_value(body['data'])}",
        "limit": _limit,
        "ct count": lambda body: f"ct count {'over ' if body.get('inv') else ''}{body['val']}",
        "set": lambda body: f"{body.get('op')} {body.get('set')} {_filling(body)}",
        "meter": lambda body: f"meter {body.get('name', '')} {_filling(body)}",
        "jump": lambda body: f"jump {body['target']}",
        "goto": lambda body: f"goto {body['target']}",
        "reject": lambda body: " with ".join(("reject", *([" ".join(map(str, body.values()))] if body else ()))),
    }.get(kind)
    return made(body) if made else f"{kind}{f' {body}' if isinstance(body, str | int) else ''}"


def _match(body: "Any") -> str:
    op = "" if body.get("op") in ("==", "in") else f"{body.get('op')} "
    return f"{_value(body['left'])} {op}{_value(body['right'])}"


def _limit(body: "Any") -> str:
    if not isinstance(body, dict):
        return f"limit name {body}"
    over = "over " if body.get("inv") else ""
    return f"limit rate {over}{body['rate']}/{body.get('per', 'second')} burst {body.get('burst', 0)} packets"


def _filling(body: "Any") -> str:
    inner = body.get("stmt") or []
    several = inner if isinstance(inner, list) else [inner]
    inside = (_value(body.get("elem") or body.get("key")), *(_statement(one) for one in several))
    return f"{{ {' '.join(filter(None, inside))} }}"


def _value(value: "Any") -> str:
    if isinstance(value, list):
        return _listed(value, ",")
    if not isinstance(value, dict):
        return str(value)
    ((kind, body),) = list(value.items())[:1]
    made = {
        "payload": lambda: f"{body.get('protocol')} {body.get('field')}",
        "meta": lambda: str(body.get("key")),
        "ct": lambda: f"ct {body.get('key')}",
        "prefix": lambda: f"{body['addr']}/{body['len']}",
        "range": lambda: "-".join(map(str, body)),
        "concat": lambda: " . ".join(map(_value, body)),
        "set": lambda: f"{{ {_listed(body, ', ')} }}" if isinstance(body, list) else str(body),
        "elem": lambda: _value(body.get("val")),
        "fib": lambda: f"fib {' . '.join(body.get('flags', ()))} {body.get('result')}",
        "&": lambda: " & ".join(map(_value, body)),
        "|": lambda: " | ".join(map(_value, body)),
    }.get(kind)
    return made() if made else _statement(value)


def _listed(values: "Sequence[Any]", mark: str) -> str:
    shown = [_value(one) if not isinstance(one, list) else " : ".join(map(_value, one)) for one in values[:LONGEST]]
    return mark.join(shown) + (f"{mark}..." if len(values) > LONGEST else "")
