"""Pages in gzip's format, and their way back: the whole text of a large fleet is never in memory."""

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

LEVEL = 1  # a third of the CPU of the usual 6, and pages that are a sixth larger
STEP = 1 << 13  # bytes that are unpacked at once; the text of a fleet is twenty times as long
PART = 1 << 18  # bytes of text that a step yields at most, in less than a millisecond
_GZIP = 16 + zlib.MAX_WBITS


class Packed(NamedTuple):
    """A page in gzip's format, and how many bytes its text has."""

    body: bytes
    text_size: int

    def text(self) -> Iterator[bytes]:
        """Yield the text in parts."""
        unpacker = zlib.decompressobj(_GZIP)
        for start in range(0, len(self.body), STEP):
            rest = self.body[start : start + STEP]
            while rest:
                yield unpacker.decompress(rest, PART)
                rest = unpacker.unconsumed_tail
        yield unpacker.flush()


def packed(pieces: Iterable[str]) -> Packed:
    """Return the pieces as one page."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
    parts, size = [], 0
    for piece in pieces:
        text = piece.encode()
        size += len(text)
        parts.append(packer.compress(text))
    return Packed(b"".join((*parts, packer.flush())), size)
