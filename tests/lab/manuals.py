"""What a manual page says, read from its macros as roff reads them."""

import re
from itertools import pairwise

from tests.lab.front_door import ROOT

PAGES = ROOT / "docs" / "man"
CHARACTERS = {
    r"\(rs": "\\", r"\(aq": "'", r"\(ga": "`", r"\(ha": "^", r"\(ti": "~", r"\(bu": "*",
    r"\-": "-", r"\&": "", r"\:": "",
}  # fmt: skip


def source(page: str) -> str:
    return (PAGES / page).read_text("utf-8")


def text(roff: str) -> str:
    """Return a line of roff without fonts, with its escapes as the characters that they are."""
    plain = re.sub(r"\\f[BIR]", "", roff)
    return re.sub(r"\\\([a-z]{2}|\\[-&:]", lambda found: CHARACTERS[found[0]], plain)


def section(page: str, name: str) -> list[str]:
    """Return the lines of a section."""
    found = re.search(rf"^\.SH {name}\n(.*?)(?=^\.SH |\Z)", source(page), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {name}"
    return found[1].splitlines()


def terms(lines: list[str]) -> list[str]:
    """Return what is defined there: the lines behind .TP."""
    return [text(line) for before, line in pairwise(lines) if before == ".TP"]


def definitions(page: str, name: str) -> dict[str, str]:
    """Return what a section defines, with what it says of each."""
    found: dict[str, str] = {}
    term = ""
    lines = section(page, name)
    for before, line in zip(["", *lines], lines, strict=False):
        if before == ".TP":
            term = text(line)
            found[term] = ""
        elif term and not line.startswith("."):
            found[term] = f"{found[term]} {text(line)}".strip()
    return found


def examples(page: str, name: str = "EXAMPLES") -> list[str]:
    """Return what stands between .EX and .EE in a section."""
    found = re.findall(r"^\.EX\n(.*?)^\.EE$", "\n".join(section(page, name)), re.MULTILINE | re.DOTALL)
    return [text(example).rstrip("\n") for example in found]
