"""Pages in gzip's format and their text again."""

import gzip

from hypothesis import given
from hypothesis import strategies as st

from ssh_exchange_exporter.exposition.packed import PART, packed


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.integers(1, 5000))
def test_a_page_is_the_text_of_its_pieces_whatever_they_are(pieces: list[str], times: int) -> None:
    page = packed(pieces * times)
    expected = "".join(pieces * times).encode()
    assert b"".join(page.text()) == gzip.decompress(page.body) == expected
    assert page.text_size == len(expected)


def test_a_large_page_is_unpacked_in_parts() -> None:
    page = packed('ssh_exchange_state{target="192.0.2.1"} 0\n' for _ in range(100_000))
    assert len(page.body) < page.text_size / 50
    parts = list(page.text())
    assert max(map(len, parts)) <= PART
    assert len(parts) >= page.text_size / PART
