"""The pages of the runbook, from the subset of Markdown that they are written in.

Blocks: headings of one and two levels, paragraphs, fences, tables, and lists of `*` or numbers whose items hold blocks
again. Spans: code, **strong**, *emphasis* and links to other pages. Anything else is shown as it is written.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from check_ssh_exchange import runbook

from .html import Markup, escape, frame, join, link, tag

_ITEM = re.compile(r"(?:\*|\d+\.) +")
_SPAN = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>.+?)\*\*|\*(?P<em>[^*\s][^*]*)\*|\[(?P<label>[^\]]+)\]\((?P<page>\w+)\.md\)"
)
_FENCE_NAMES = {"sh": "Commands", "text": "Text", "sshd_config": "sshd_config", "ini": "Configuration"}


class _Block(NamedTuple):
    """Lines of one kind: `heading`, `fence`, `table`, `list` or `text`."""

    kind: str
    lines: Sequence[str]


@cache
def runbook_page(cause: str) -> str:
    """Return the page of a cause; raises KeyError for a name that is not a cause."""
    return _page(cause, runbook.page(cause), link("./", "All causes"))


@cache
def runbook_index() -> str:
    """Return the page at /runbook/."""
    return _page("Runbook", runbook.index(), None)


def _page(title: str, text: str, way_up: Markup | None) -> str:
    top = tag("p", None, way_up) if way_up else None
    return frame(title, tag("article", {"class": "runbook"}, top, rendered(text)), depth=1)


def rendered(text: str) -> Markup:
    """Return a page's Markdown as HTML, everything in it escaped."""
    return join(_sections(text))


def _sections(text: str) -> Iterator[Markup]:
    """Yield what stands before the first heading of level two, and a section for each of these headings."""
    opened: list[Markup] = []
    name = ""
    for block in _blocks(text.splitlines()):
        heading = block.lines[0].partition(" ")[2] if block.kind == "heading" else ""
        if heading and block.lines[0].startswith("## "):
            yield _section(name, opened)
            name, opened = re.sub(r"\W+", "-", heading.lower()), [tag("h2", None, _spans(heading))]
        else:
            opened.append(tag("h1", None, _spans(heading)) if heading else _block(block))
    yield _section(name, opened)


def _section(name: str, children: Sequence[Markup]) -> Markup:
    return tag("section", {"id": name}, *children) if name else tag("div", {"class": "intro"}, *children)


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    at = 0
    while at < len(lines):
        kind = _kind(lines[at])
        end = at + 1
        if kind == "fence":
            end = next((n + 1 for n in range(end, len(lines)) if lines[n].startswith("```")), len(lines))
        elif kind in ("table", "text"):
            while end < len(lines) and _kind(lines[end]) == kind:
                end += 1
        elif kind == "list":
            end = _end_of_list(lines, at)
        if kind:
            yield _Block(kind, lines[at:end])
        at = end


def _kind(line: str) -> str:
    """Return the kind of block that a line begins or continues; "" for a blank one."""
    if not line.strip():
        return ""
    if line.startswith(("# ", "## ")):
        return "heading"
    if line.startswith("```"):
        return "fence"
    if line.startswith("|"):
        return "table"
    return "list" if _ITEM.match(line) else "text"


def _end_of_list(lines: Sequence[str], at: int) -> int:
    """Return the line behind a list: it goes on with items of its own kind, indented lines, and blanks between them."""
    is_numbered = lines[at][0] != "*"
    end = at
    for number in range(at, len(lines)):
        line = lines[number]
        is_item = bool(_ITEM.match(line)) and (line[0] != "*") is is_numbered
        if is_item or line.startswith("  "):
            end = number + 1
        elif line.strip():
            break
    return end


def _block(block: _Block) -> Markup:
    if block.kind == "fence":
        return _fence(block.lines)
    if block.kind == "table":
        return _table(block.lines)
    if block.kind == "list":
        return _list(block.lines)
    return tag("p", None, _spans(" ".join(line.strip() for line in block.lines)))


def _fence(lines: Sequence[str]) -> Markup:
    name = _FENCE_NAMES.get(lines[0].removeprefix("```").strip(), "Text")
    body = lines[1:-1] if len(lines) > 1 and lines[-1].startswith("```") else lines[1:]
    # Line by line: `escape` shows a line feed as a character that cannot be printed.
    code = Markup("\n".join(escape(line) for line in body))
    return _scrolling(name, tag("pre", None, tag("code", None, code)))


def _scrolling(name: str, child: Markup) -> Markup:
    """Return what may be wider than the page, in a container that the keyboard can scroll."""
    return tag("div", {"class": "scroll", "role": "region", "aria-label": name, "tabindex": 0}, child)


def _table(lines: Sequence[str]) -> Markup:
    head, _, *rows = ([cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines)
    headings = tag("tr", None, *(tag("th", {"scope": "col"}, _spans(cell)) for cell in head))
    body = (tag("tr", None, *(tag("td", None, _spans(cell)) for cell in row)) for row in rows)
    table = tag("table", None, tag("thead", None, headings), tag("tbody", None, *body))
    return _scrolling(f"Table: {head[0] or head[1]}", table)


def _list(lines: Sequence[str]) -> Markup:
    items: list[list[str]] = []
    indent = 0
    for line in lines:
        if marker := _ITEM.match(line):
            indent = marker.end()
            items.append([line[indent:]])
        else:
            items[-1].append(line[indent:])
    name = "ul" if lines[0].startswith("*") else "ol"
    return tag(name, None, *(_item(item) for item in items))


def _item(lines: Sequence[str]) -> Markup:
    blocks = [_block(block) for block in _blocks(lines)]
    only_text = len(blocks) == 1 and _kind(lines[0]) == "text"
    return tag("li", None, _spans(" ".join(line.strip() for line in lines)) if only_text else join(blocks))


def _spans(text: str) -> Markup:
    """Return a text with its code, strong, emphasised and linked parts."""
    parts: list[str] = []
    at = 0
    for found in _SPAN.finditer(text):
        parts += [text[at : found.start()], _span(found)]
        at = found.end()
    return join([*parts, text[at:]])


def _span(found: re.Match[str]) -> Markup:
    if code := found["code"]:
        return tag("code", None, code)
    if page := found["page"]:
        return link("./" if page == "README" else page, _spans(found["label"]))
    return tag("strong", None, _spans(found["strong"])) if found["strong"] else tag("em", None, _spans(found["em"]))
