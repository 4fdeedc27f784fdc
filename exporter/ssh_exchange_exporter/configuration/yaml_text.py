"""Plain values to YAML, for a page that shows thousands of modules: the library would take seconds."""

import json
import re
from collections.abc import Iterator

# Words and durations, which nothing reads as anything but text; all else is quoted.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*|(?:[0-9]+(?:ms|[smhdwy]))+", re.ASCII)
_NOT_PLAIN = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def yaml_of(value: dict[str, object]) -> str:
    """Return a mapping of str, int, float, bool, None, lists and mappings as YAML 1.2; long keys are printable."""
    return "".join(f"{line}\n" for line in _mapping(value)) or "{}\n"


def _mapping(value: dict[str, object]) -> Iterator[str]:
    for key, inner in value.items():
        name = _scalar(key)
        if isinstance(inner, dict) and inner:
            yield f"{name}:"
            yield from (f"  {line}" for line in _mapping(inner))
        elif isinstance(inner, list) and any(isinstance(one, dict) for one in inner):
            yield f"{name}:"
            yield from (f"  {line}" for line in _entries(inner))
        else:
            yield f"{name}: {_inline(inner)}"


def _entries(value: list[object]) -> Iterator[str]:
    for one in value:
        lines = _mapping(one) if isinstance(one, dict) and one else iter([_inline(one)])
        yield f"- {next(lines)}"
        yield from (f"  {line}" for line in lines)


def _inline(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_inline(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_scalar(key)}: {_inline(one)}' for key, one in value.items())}}}"
    return _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_PLAIN:
        return value
    if not isinstance(value, str):
        return json.dumps(value)
    # Only what is not printable is escaped: a key of more than 1024 characters on its line would be none.
    quoted = json.dumps(value, ensure_ascii=False)
    return quoted if quoted.isprintable() else "".join(map(_escaped, quoted))


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"
