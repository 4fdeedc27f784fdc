"""Pages in gzip's format, and their way back: the whole text of a large fleet is never in memory."""

import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

LEVEL = 1  # a third of the CPU of the usual 6, and pages that are a sixth larger
PART = 1 << 16  # bytes of text that are unpacked in one step, in a fraction of a millisecond
_GZIP = 16 + zlib.MAX_WBITS


class Packed(NamedTuple):
    """A page in gzip's format, in parts, and how many bytes its text has."""

    parts: tuple[bytes, ...]
    text_size: int

    @property
    def size(self) -> int:
        """Return how many bytes the parts have."""
        return sum(map(len, self.parts))

    def text(self) -> Iterator[bytes]:
        """Yield the text, at most PART bytes at a time."""
        unpacker = zlib.decompressobj(_GZIP)
        for part in self.parts:
            rest = part
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
        if part := packer.compress(text):
            parts.append(part)
    return Packed((*parts, packer.flush()), size)
