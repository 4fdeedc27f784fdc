"""Choose format and coding by the Accept headers (RFC 9110 12.5). Pure; never raises."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

MAX_RANGES = 32  # Prometheus sends four; the rest of a longer header is ignored

_REFUSED = re.compile(r"q=0(\.0*)?")


class MediaRange(NamedTuple):
    """One alternative of an Accept header; `quality` 0 refuses it."""

    kind: str
    version: str | None
    quality: float


def media_ranges(accept: str) -> Iterator[MediaRange]:
    """Yield the alternatives of an Accept header, without malformed ones."""
    for part in accept.split(",")[:MAX_RANGES]:
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        named = dict(piece.partition("=")[::2] for piece in parameters)
        quality = _quality(named.get("q", "1").strip())
        if "/" in kind and quality is not None:
            version = named.get("version")
            yield MediaRange(kind, version.strip().strip('"') if version is not None else None, quality)


def _quality(text: str) -> float | None:
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit() and len(text) <= 5):  # 0, 1, 0.123
        return None
    quality = float(text)
    return quality if quality <= 1 else None


@lru_cache(64)  # a client sends the same each time
def chosen(accept: str | None) -> str:
    """Return the content type of the response: TEXT, or OPENMETRICS where its quality is at least that of TEXT."""
    quality = {TEXT: 0.0, OPENMETRICS: 0.0}
    exact = {TEXT: False, OPENMETRICS: False}
    for kind, version, wanted in media_ranges(accept or "*/*"):
        for ours in _matches(kind, version):
            # A range that names the type outweighs one with a star (RFC 9110 12.5.1).
            is_exact = "*" not in kind
            if is_exact >= exact[ours]:
                quality[ours] = wanted if is_exact > exact[ours] else max(quality[ours], wanted)
                exact[ours] = is_exact
    if exact[OPENMETRICS] and quality[OPENMETRICS] > 0 and quality[OPENMETRICS] >= quality[TEXT]:
        return OPENMETRICS
    return TEXT


def _matches(kind: str, version: str | None) -> tuple[str, ...]:
    match kind:
        case "application/openmetrics-text" if version in (None, "1.0.0"):
            return (OPENMETRICS,)
        case "text/plain" if version in (None, "0.0.4"):
            return (TEXT,)
        case "text/*":
            return (TEXT,)
        case "*/*":
            return (TEXT, OPENMETRICS)
        case _:
            return ()


@lru_cache(64)
def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether a response may come in gzip's format."""
    for part in accept_encoding.split(",")[:MAX_RANGES]:
        coding, *parameters = (piece.strip().lower().replace(" ", "") for piece in part.split(";"))
        if coding in ("gzip", "*") and not any(map(_REFUSED.fullmatch, parameters)):
            return True
    return False
