"""The pages of `/probe`, packed: unpacked by the standard library they are the same."""

import gzip

import pytest

from ssh_exchange_exporter.exposition.small_page import packed_page

LINE = 'ssh_exchange_server_info{comments="\u00e4"} 1.0\n'


@pytest.mark.parametrize("lines", [0, 1, 100, 10_000])  # the last is far larger than the window
def test_a_page_comes_back_as_it_was(lines: int) -> None:
    page = LINE * lines
    packed = packed_page(page)
    assert gzip.decompress(packed).decode() == page
    assert len(packed) <= len(page) / 10 + 100
