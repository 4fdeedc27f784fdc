"""Markdown as the macros of man(7), as far as the manuals use it.

Headings, paragraphs, lists, lists of definitions and examples; anything else is an error, so that nothing gets lost.
Lines stay below 80 bytes and sentences begin on lines of their own, as mandoc's lint asks for.
"""

import re
import textwrap
from collections.abc import Iterator

WIDTH = 78
INDENT = 4
# Characters that roff takes for an escape, or prints as typographic quotes and hyphens, which a shell does not take.
LITERAL = {"\\": r"\(rs", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
PROSE = {"\\": r"\(rs", "~": r"\(ti", "^": r"\(ha"}


def roff(markdown: str) -> str:
    """Return a text in Markdown as macros of man(7); raises ValueError for what has none."""
    from markdown_it import MarkdownIt  # dev extras, which only rendering needs
    from markdown_it.tree import SyntaxTreeNode
    from mdit_py_plugins.deflist import deflist_plugin

    root = SyntaxTreeNode(MarkdownIt("commonmark").use(deflist_plugin).parse(markdown))
    made = "\n".join(_Page().blocks(root.children)) + "\n"
    if not made.isascii():
        raise ValueError(f"not in ASCII: {[word for word in made.split() if not word.isascii()]}")
    return made


def escaped(text: str) -> str:
    """Return text that stands in a manual as it is typed: with hyphens and quotes of ASCII."""
    return "".join(LITERAL.get(character, character) for character in text)


class _Page:
    """Blocks in their order. A paragraph right below a heading or a tag has no macro of its own: roff has begun one."""

    def __init__(self) -> None:
        self._depth = 0  # of lists; a paragraph inside of one is indented by .IP
        self._begun = True

    def blocks(self, nodes: "list[SyntaxTreeNode]") -> Iterator[str]:
        for node in nodes:
            make = getattr(self, f"_{node.type}", None)
            if make is None:
                raise ValueError(f"a manual has no {node.type}: {node.content[:80]}")
            yield from make(node)

    def _heading(self, node: "SyntaxTreeNode") -> Iterator[str]:
        macro = {"h1": "SH", "h2": "SS"}[node.tag]
        yield f".{macro} {_inline(node)}"
        self._begun = True

    def _paragraph(self, node: "SyntaxTreeNode") -> Iterator[str]:
        if not self._begun:
            yield ".IP" if self._depth else ".PP"
        self._begun = False
        yield from _filled(_inline(node))

    def _fence(self, node: "SyntaxTreeNode") -> Iterator[str]:
        if not self._begun:
            yield ".sp"
        self._begun = False
        yield from [".RS"] * self._depth
        yield f".RS {INDENT}"
        yield ".EX"
        yield from (_guarded(escaped(line)) for line in node.content.rstrip("\n").split("\n"))
        yield ".EE"
        yield ".nh"  # groff's .EE switches hyphenation on again
        yield ".RE"
        yield from [".RE"] * self._depth

    def _bullet_list(self, node: "SyntaxTreeNode") -> Iterator[str]:
        for item in node.children:
            yield r".IP \(bu 2"
            yield from self._within(item)

    def _dl(self, node: "SyntaxTreeNode") -> Iterator[str]:
        for one in node.children:
            if one.type == "dt":
                yield ".TP"
                yield _guarded(_inline(one))
            else:
                yield from self._within(one)

    def _within(self, node: "SyntaxTreeNode") -> Iterator[str]:
        """Yield what stands in an item: its own text, and lists inside of it one level deeper."""
        self._depth += 1
        self._begun = True
        for child in node.children:
            is_list = child.type in ("dl", "bullet_list")
            yield from [".RS"] if is_list else []
            yield from self.blocks([child])
            yield from [".RE"] if is_list else []
        self._depth -= 1
        self._begun = False


def _inline(node: "SyntaxTreeNode") -> str:
    """Return the text of a node in one line; code and strong words are bold, emphasized ones italic."""
    if node.type == "strong":
        return rf"\fB{escaped(''.join(_plain(child) for child in node.children))}\fR"
    if node.type == "text":
        text = "".join(PROSE.get(character, character) for character in node.content)
        return text.replace("--", r"\-\-").replace(" - ", r" \- ")
    if node.type == "code_inline":
        return rf"\fB{escaped(node.content)}\fR"
    if node.type == "softbreak":
        return " "
    inside = "".join(_inline(child) for child in node.children)
    if node.type == "em":
        return rf"\fI{inside}\fR"
    if node.type not in ("inline", "heading", "paragraph", "dt"):
        raise ValueError(f"a manual has no {node.type}: {node.content[:80]}")
    return inside


def _plain(node: "SyntaxTreeNode") -> str:
    if node.type != "text":
        raise ValueError(f"a strong word holds text alone, not {node.type}")
    return node.content


def _filled(text: str) -> Iterator[str]:
    for sentence in re.split(r"(?<=[.!?]) (?=[A-Z\\])", text):
        # A long list without blanks may end a line behind a comma.
        sentence = re.sub(r",(?=[a-z\\])", r",\\:", sentence)
        for line in textwrap.wrap(sentence, WIDTH, break_long_words=False, break_on_hyphens=False):
            yield _guarded(line)


def _guarded(line: str) -> str:
    return rf"\&{line}" if line.startswith((".", "'")) else line


TYPE_CHECKING = False
if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode
