"""The runbook as pages: everything that Markdown says is there, nothing of it is markup, links lead to pages."""

import re
from pathlib import Path

import pytest

from check_ssh_exchange import runbook
from check_ssh_exchange.diagnosis.cause import Cause
from ssh_exchange_exporter.pages.runbook import rendered, runbook_index, runbook_page

from .markup import Page

NAMES = ["README", *runbook.NAMES]
# What the renderer knows: a page that uses more of Markdown would show its marks.
ELEMENTS = {
    "article", "section", "div", "h1", "h2", "p", "ul", "ol", "li", "pre", "code", "strong", "em", "a", "table",
    "thead", "tbody", "tr", "th", "td",
}  # fmt: skip


def markdown(name: str) -> str:
    return runbook.index() if name == "README" else runbook.page(name)


def page(name: str) -> Page:
    return Page(runbook_index() if name == "README" else runbook_page(name))


def fence_and_prose(text: str) -> tuple[list[str], str]:
    pattern = re.compile(r"^( *)```\w*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
    fences = [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in pattern.findall(text)]
    return fences, pattern.sub("", text)


def seen(text: str) -> str:
    """Return what a reader of Markdown sees, in its order, without any white space."""
    parts = re.split(r"^ *```\w*\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL)
    return "".join("".join(part if number % 2 else words_of(part) for number, part in enumerate(parts)).split())


def words_of(prose: str) -> str:
    """Return prose without the marks of its blocks, the rules of tables, and the marks of spans outside code."""
    prose = re.sub(r"^ *(#{1,2}|\*|\d+\.) ", "", prose, flags=re.MULTILINE)
    prose = re.sub(r"^\|[-|]+\|$", "", prose, flags=re.MULTILINE)
    words = []
    for number, part in enumerate(prose.split("`")):
        if number % 2 == 0:  # outside code
            part = re.sub(r"\[([^\]]+)\]\(\w+\.md\)", r"\1", part).replace("**", "")
            part = re.sub(r"(?<!\w)\*(\w[^*\n]*)\*", r"\1", part).replace("|", "")
        words.append(part)
    return "".join(words)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_every_word_of_its_markdown(name: str) -> None:
    shown = page(name).one("article").words.removeprefix("All causes")
    assert "".join(shown.split()) == seen(markdown(name))


@pytest.mark.parametrize("name", NAMES)
def test_fences_are_shown_as_they_are_written(name: str) -> None:
    fences, _ = fence_and_prose(markdown(name))
    assert [one.words + "\n" for one in page(name).all("pre")] == fences


@pytest.mark.parametrize("name", NAMES)
def test_headings_lists_and_tables_are_those_of_the_markdown(name: str) -> None:
    _, prose = fence_and_prose(markdown(name))
    found = page(name)
    for element, pattern in (("h1", "# .*"), ("h2", "## .*"), ("li", r" *(?:\*|\d+\.) .*"), ("tr", r"\| .*")):
        lines = re.findall(f"^{pattern}$", prose, re.MULTILINE)
        assert len(found.all(element)) == len(lines), element
    assert [one.words for one in found.all("h2")] == re.findall(r"^## (.*)$", prose, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_uses_no_more_of_markdown_than_is_rendered(name: str) -> None:
    _, prose = fence_and_prose(markdown(name))
    outside = "\n".join(re.sub(r"`[^`]+`", "", prose).split("\n"))
    assert not re.search(r"^(#{3,}|>|    +\S|[-+] |---|===|\t)", outside, re.MULTILINE)
    assert not re.search(r"!\[|\]\[|<\w|https?:|\\|__", outside)
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", outside, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    article = [one.name for one in page(name).elements if "article" in one.inside]
    assert set(article) <= ELEMENTS


@pytest.mark.parametrize("name", NAMES)
def test_no_mark_is_left_in_the_words(name: str) -> None:
    found = page(name)
    code = {one.words for one in found.all("code")}
    for one in [*found.all("p"), *found.all("li"), *found.all("td")]:
        words = one.words
        for span in sorted(code, key=len, reverse=True):
            words = words.replace(span, "")
        assert not re.search(r"[`|]|\*\*|\]\(", words), words


@pytest.mark.parametrize("name", NAMES)
def test_links_of_a_page_lead_to_pages(name: str) -> None:
    links = {one.attributes["href"] for one in page(name).all("a") if "article" in one.inside}
    assert links <= {"./", *Cause}


def test_the_index_leads_to_every_cause_in_its_order() -> None:
    links = [one.attributes["href"] for one in page("README").all("a") if "article" in one.inside]
    assert list(dict.fromkeys(links)) == list(Cause)


def test_items_keep_what_belongs_to_them() -> None:
    text = "1. first\n   goes on:\n\n   ```sh\n   one\n     two\n   ```\n\n   last\n2. second\n\n* other\n\nend\n"
    assert rendered(text) == (
        '<div class="intro"><ol><li><p>first goes on:</p>'
        '<div class="scroll" role="region" aria-label="Commands" tabindex="0"><pre><code>one\n  two</code></pre></div>'
        "<p>last</p></li><li>second</li></ol><ul><li>other</li></ul><p>end</p></div>"
    )


def test_everything_is_escaped() -> None:
    hostile = "<script>alert(1)</script>\"'&"
    text = f"# {hostile}\n\n{hostile} `{hostile}` **{hostile}** *{hostile}*\n\n* {hostile}\n\n| {hostile} |\n|---|\n"
    text += f"| {hostile} |\n\n## {hostile}\n\n```sh\n{hostile}\n```\n"
    found = Page(f"<body>{rendered(text)}</body>")
    assert {one.name for one in found.elements} <= ELEMENTS | {"body"}
    assert found.words.count(hostile) == 10


def test_an_unclosed_fence_is_shown_to_the_end() -> None:
    assert "last" in rendered("```sh\nfirst\nlast")


@pytest.mark.parametrize("name", ["", "README", "../cause", "healthy.md", "HEALTHY", str(Path("/etc/passwd"))])
def test_only_a_cause_has_a_page(name: str) -> None:
    with pytest.raises(KeyError):
        runbook_page(name)
