"""A page put together from pieces, packed or not: the whole text of a large fleet is never in memory beside it."""

import zlib
from collections.abc import Iterable

LEVEL = 1  # a third of the CPU of the usual 6, and pages that are a sixth larger
_GZIP = 16 + zlib.MAX_WBITS


def packed(pieces: Iterable[str], *, wants_gzip: bool) -> bytes:
    """Return the pieces as one body, in gzip's format or as they are."""
    if not wants_gzip:
        return b"".join([piece.encode() for piece in pieces])
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
    body = [packer.compress(piece.encode()) for piece in pieces]
    return b"".join([*body, packer.flush()])
