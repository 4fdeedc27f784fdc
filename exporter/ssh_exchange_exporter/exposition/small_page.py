"""A page of a few KiB in gzip's format."""

import zlib

from .packed import LEVEL

# By default zlib takes 256 KiB for each page: to have so much memory takes three times as long as to pack a few KiB.
# With these it takes 64 KiB, and such a page is no larger.
_GZIP = 16 + 13  # a window of 8 KiB
_MEMORY = 6


def packed_page(page: str) -> bytes:
    """Return a page in gzip's format."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP, _MEMORY)
    return packer.compress(page.encode()) + packer.flush()
