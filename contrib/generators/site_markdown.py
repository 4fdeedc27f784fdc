"""Markdown as the repository writes it and as Python's Markdown reads it, for the site. Pure."""

import re
from collections.abc import Callable

_FENCE = re.compile(r"^( *)(`{3,})[^\n]*\n.*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r" *(?:[*-]|\d+\.) +")


def section(text: str, heading: str) -> str:
    """Return what stands under a heading of the second level, without the heading."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def outside_of_code(markdown: str, change: Callable[[str], str]) -> str:
    """Change what is not in a fenced block."""
    parts, at = [], 0
    for fence in _FENCE.finditer(markdown):
        parts += [change(markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, change(markdown[at:])])


def indented(markdown: str) -> str:
    """Give what belongs to a list item the four spaces that Python's Markdown wants; two or three are usual."""
    lines: list[str] = []
    columns: list[int] = []  # where the text of each list item begins that the line may belong to
    fence = ""
    for line in markdown.split("\n"):
        item = None if fence else _ITEM.match(line)
        before = lines[-1].strip() if lines else ""
        indent = len(line) - len(line.lstrip(" "))
        if line.strip() and not fence and (item or not before or line.startswith("#")):
            columns = [column for column in columns if column <= indent]
        if item and not columns and before and not before.startswith("<!--") and not in_list(lines):
            lines.append("")  # a list that follows its paragraph at once
        level = sum(column <= indent for column in columns)
        rest = line[columns[level - 1] :] if level else line
        lines.append(" " * (4 * level) + rest if line.strip() else "")
        if item:
            columns.append(len(item[0]))
        mark = re.match(r" *(`{3,})", line)
        if mark:
            fence = "" if fence and line.strip() == fence else fence or mark[1]
    return "\n".join(lines)


def in_list(lines: list[str]) -> bool:
    """Return whether the paragraph that these lines end with is a list."""
    for line in reversed(lines):
        if not line.strip():
            return False
        if _ITEM.match(line):
            return True
    return False
