"""Markdown of the repository as the site's builder needs it: lists, fences, sections."""

import pytest

from contrib.generators.site_markdown import indented, outside_of_code, section


@pytest.mark.parametrize(
    ("written", "needed"),
    [
        ("* a\n  b\n\n  c", "* a\n    b\n\n    c"),
        ("- a\n  - b\n    c", "- a\n    - b\n        c"),
        ("1. a\n\n   b", "1. a\n\n    b"),
        ("text\n* a\n* b", "text\n\n* a\n* b"),
        ("* a\n  b\n* c", "* a\n    b\n* c"),
        ("* a\n\ntext\n  b", "* a\n\ntext\n  b"),
        ("* a\n\n  ```\n  x\n    y\n  ```", "* a\n\n    ```\n    x\n      y\n    ```"),
        ("```\ntext\n* a\n  b\n```", "```\ntext\n* a\n  b\n```"),
        ("text\n\n    code\n", "text\n\n    code\n"),
    ],
)
def test_what_belongs_to_an_item_is_indented_by_four(written: str, needed: str) -> None:
    assert indented(written) == needed


def test_code_is_left_alone() -> None:
    assert outside_of_code("a\n```sh\na\n```\na", str.upper) == "A\n```sh\na\n```\nA"
    assert outside_of_code("- a\n  ```\n  a\n  ```", str.upper) == "- A\n  ```\n  a\n  ```"


def test_a_section_ends_where_the_next_begins() -> None:
    text = "# T\n\n## A\n\none\n\n### deeper\n\n## B\n\ntwo\n"
    assert section(text, "A") == "one\n\n### deeper"
    assert section(text, "B") == "two"
    assert section(text, "C") == ""
