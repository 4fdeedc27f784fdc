"""The pictures of docs/screens: they can be made again, and the pages on them look as they should."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .browser import chromium
from .program import ROOT
from .screens import SCREENS, TARGETS, THROTTLED, WIDTH, Pages, pages, shown, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHIPPED = ROOT / "docs" / "screens"
LARGEST = 200_000  # bytes
SMALLEST = 20_000  # a page without anything on it has 5,000

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def made(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with pages(tmp_path_factory.mktemp("exporter")) as served:
        yield served


def size(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", head[16:])
    return width, height


def assert_small(directory: Path) -> None:
    assert {one.name for one in directory.iterdir()} == {f"{name}.png" for name in SCREENS}
    for picture in directory.iterdir():
        width, height = size(picture)
        assert (width, 400 < height < 1200) == (WIDTH, True), picture
        assert SMALLEST < picture.stat().st_size < LARGEST, picture


def test_the_pictures_are_made_again(browser: "Browser", made: Pages, tmp_path: Path) -> None:
    write(browser, made, tmp_path)
    assert_small(tmp_path)


def test_the_pictures_that_are_shipped_are_these() -> None:
    assert_small(SHIPPED)


@pytest.mark.parametrize("name", SCREENS)
def test_a_page_is_not_wider_than_its_picture(browser: "Browser", made: Pages, name: str) -> None:
    with shown(browser, made.url(name)) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
        assert page.locator("main section").count() >= 2
        assert page.get_by_role("heading", level=1).inner_text().strip()


def test_the_overview_has_every_target_with_its_state(browser: "Browser", made: Pages) -> None:
    with shown(browser, made.url("overview")) as page:
        rows = page.locator("table.fleet tbody tr")
        texts = rows.all_inner_texts()
        found = {text.split()[0]: re.findall(r"\b(ok|warning|critical)\b", text)[0] for text in texts}
        assert set(found) == set(TARGETS)
        assert found["git.example:2222"] == found["build.example:22"] == "ok"
        assert found["db.example:2022"] == found["old.example:222"] == "critical"
        assert "banned by a firewall" in page.inner_text("table.fleet")


def test_the_probe_page_has_a_bar_for_each_handshake(browser: "Browser", made: Pages) -> None:
    with shown(browser, made.url("handshakes")) as page:
        assert page.get_by_role("heading", level=1).inner_text() == "MaxStartups throttling"
        assert THROTTLED in page.inner_text(".verdict")
        bars = page.locator("svg.drawing .whole")
        assert bars.count() == page.locator("table.handshakes tbody tr").count() >= 5
        widths = bars.evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")
        assert min(widths) > 0
        endings = set(page.locator("table.handshakes td:nth-of-type(2)").all_inner_texts())
        assert {"completed", "turned_away"} <= {ending.strip() for ending in endings}


def test_the_runbook_page_is_that_of_the_cause(browser: "Browser", made: Pages) -> None:
    with shown(browser, made.url("runbook")) as page:
        assert page.get_by_role("heading", level=1).inner_text() == "maxstartups: MaxStartups throttling"
        assert "MaxStartups" in page.inner_text("main section:nth-of-type(1)")
