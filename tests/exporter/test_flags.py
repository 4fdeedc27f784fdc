"""The values of command-line flags."""

import argparse

import pytest

from ssh_exchange_exporter.flags import count


@pytest.mark.parametrize("text", ["000000001999999", "0", "100001", "1" * 5000, "٣"])
def test_a_count_is_a_whole_number_in_range(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        count(text)
