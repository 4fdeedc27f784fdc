"""Durations and ages in words."""

import pytest

from ssh_exchange_exporter import text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "now"),
        (0.4, "now"),
        (12, "12 s ago"),
        (59.9, "59 s ago"),
        (200, "3 min ago"),
        (7300, "2 h ago"),
        (1e6, "11 d ago"),
    ],
)
def test_ages(seconds: float, words: str) -> None:
    assert text.age(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "-"), (0.00031, "0.31 ms"), (0.15, "150 ms"), (0.9996, "1.0 s"), (8.51, "8.5 s"), (120.2, "120 s")],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert text.duration(seconds) == words
