"""What the value of an option is made of, where it is made of words."""

from typing import NamedTuple


class Words(NamedTuple):
    """The words; whether several may stand in a list with commas; `values` stand behind a word and =.

    None: no value follows the word. An empty tuple: a value follows, and any text is valid.
    """

    words: tuple[str, ...]
    is_list: bool = False
    values: tuple[str, ...] | None = None
