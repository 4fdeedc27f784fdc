"""The site is built strictly and without a network; no link inside is dead, and nothing is loaded from elsewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.host.items import ITEMS
from contrib.generators.site_markdown import section
from tests.site.blocks import DOCS, ROOT

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}


class Page(HTMLParser):
    """A page: its links, its anchors, what it loads, and its text outside of code."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.loads: list[str] = []
        self.text = ""
        self._skipped = 0
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        self.links += [found["href"]] if tag == "a" and "href" in found else []
        self.loads += [found[LOADING[tag]]] if LOADING.get(tag) in found else []
        self._skipped += tag in ("code", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in ("code", "script", "style")

    def handle_data(self, data: str) -> None:
        self.text += "" if self._skipped else data


class Site(NamedTuple):
    """The built site."""

    place: Path
    pages: dict[Path, Page]

    def page(self, name: str) -> Page:
        return self.pages[(self.place / name).resolve()]


def build(place: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """Build the site in a namespace without a network, where this user may make one."""
    offline = ["unshare", "--net"] if os.geteuid() == 0 else []
    command = [
        *offline,
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--config-file",
        str(config),
        "--site-dir",
        str(place),
    ]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    if importlib.util.find_spec("material") is None:
        pytest.skip("the site needs mkdocs-material: pip install '.[docs]'")
    place = tmp_path_factory.mktemp("site").resolve()
    done = build(place)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return Site(place, {path: Page(path) for path in sorted(place.rglob("*.html"))})


def test_every_page_is_there(site: Site) -> None:
    names = {path.relative_to(site.place).as_posix() for path in site.pages}
    own = {
        path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md") if "man" not in path.parts
    }
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "contrib").rglob("*/README.md")}
    assert own <= names
    assert {f"{folder}.html" for folder in folders} <= names
    assert {f"runbook/{cause}.html" for cause in Cause} <= names
    assert {f"items/{item.name}.html" for item in ITEMS} <= names
    assert {"exporter.html", "contributing.html", "changes.html", "figures.html", "runbook/index.html"} <= names


def test_no_link_inside_is_dead(site: Site) -> None:
    dead = []
    for page in site.pages.values():
        if page.path.name == "404.html":
            continue  # its links are from the root of a server
        for link in page.links:
            path, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = (page.path.parent / path).resolve() if path else page.path
            is_there = target.exists() and (
                not anchor or target not in site.pages or anchor in site.pages[target].anchors
            )
            dead += [] if is_there else [f"{page.path.relative_to(site.place)}: {link}"]
        loads = [unquote(load).partition("?")[0] for load in page.loads if not re.match(r"[a-z]+:", load)]
        dead += [f"{page.path.name}: {load}" for load in loads if not (page.path.parent / load).exists()]
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(site: Site) -> None:
    outside = [
        (page.path.name, load) for page in site.pages.values() for load in page.loads if re.match(r"[a-z]+:|//", load)
    ]
    assert outside == []
    for sheet in site.place.rglob("*.css"):
        assert re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*|@import[^;]*", sheet.read_text("utf-8")) == [], sheet.name


def test_links_elsewhere_are_listed(site: Site) -> None:
    listed = {line.split()[1] for line in (site.place / "links_elsewhere.txt").read_text("utf-8").splitlines()}
    found = {link for page in site.pages.values() for link in page.links if re.match(r"https?:", link)}
    assert listed == found


def test_no_markup_is_left_in_the_text(site: Site) -> None:
    marks = (r"```", r"\]\(", r"<!--", r"\*\*\w", r"^\s*\|.*\|\s*$", r"^ *[*-] \w", r"^ *\d\. \w")
    left = {
        (page.path.relative_to(site.place).as_posix(), found[0].strip()[:80])
        for page in site.pages.values()
        for mark in marks
        for found in re.finditer(mark, page.text, re.MULTILINE)
    }
    assert left == set()


def test_an_item_has_its_figures_and_its_runbook(site: Site) -> None:
    page = site.page("items/startups.html")
    assert "How near sshd is to dropping clients" in page.text
    assert "../runbook/maxstartups.html" in page.links


def test_included_sections_and_files_are_in_the_pages(site: Site) -> None:
    table = section((ROOT / "CONTRIBUTING.md").read_text("utf-8"), "Where to add what")
    rows = re.findall(r"^\| (an? [^`|]+?) \|", table, re.MULTILINE)
    assert len(rows) >= 5
    assert [row for row in rows if row not in site.page("layout.html").text] == []
    assert "NoNewPrivileges=yes" in site.page("security.html").path.read_text("utf-8")
    assert '<svg class="layout"' in site.page("layout.html").path.read_text("utf-8")


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("[x](nowhere.md)", "nowhere.md"),
        ("[x](../contrib/nowhere.cfg)", "nowhere.cfg"),
        ("[x](costs.md#nowhere)", "#nowhere"),
        ("<!-- include: CONTRIBUTING.md#Nowhere -->", "has no section Nowhere"),
        ("<!-- code: contrib/nowhere.cfg -->", "nowhere.cfg"),
    ],
)
def test_a_page_that_is_wrong_fails_the_build(tmp_path: Path, site: Site, written: str, complaint: str) -> None:
    pages = tmp_path / "docs"
    pages.mkdir()
    (pages / "index.md").write_text(f"# x\n\n{written}\n")
    (pages / "costs.md").write_text("# y\n")
    config = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[0]
    config = config.replace("docs_dir: docs", f"docs_dir: {pages}").replace("hooks: [", f"hooks: [{ROOT}/")
    config = config.replace("omitted_files: warn", "omitted_files: ignore")
    (tmp_path / "mkdocs.yml").write_text(config)
    done = build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr
