"""A page as a strict reader sees it: every element closed where it must be, and what there is to look at."""

from collections import Counter
from html.parser import HTMLParser
from typing import NamedTuple

VOID = {"meta", "link", "input", "br"}


class Element(NamedTuple):
    name: str
    attributes: dict[str, str]
    text: list[str]
    inside: tuple[str, ...]

    @property
    def words(self) -> str:
        return "".join(self.text)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()


class Page(HTMLParser):
    """Reads a whole page; raises AssertionError for one that is not well-formed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {[one.name for one in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        element = Element(tag, {name: value or "" for name, value in attrs}, [], tuple(one.name for one in self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text.append(data)

    def all(self, name: str, kind: str = "") -> list[Element]:
        """The elements of this name, and of this class where one is given."""
        return [one for one in self.elements if one.name == name and (not kind or kind in one.classes)]

    def one(self, name: str, kind: str = "") -> Element:
        (found,) = self.all(name, kind)
        return found

    @property
    def names(self) -> Counter[str]:
        return Counter(one.name for one in self.elements)

    @property
    def words(self) -> str:
        return self.one("body").words
