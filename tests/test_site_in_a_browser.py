"""The site from the disk in a real browser: nothing is loaded, search works, a phone shows it, commands are copied."""

import contextlib
import http.server
import importlib.util
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.exporter.browser import chromium
from tests.test_site_build import build

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

DESKTOP, PHONE = 1300, 390
PATIENCE = 60_000  # milliseconds; a page is there in a tenth of a second


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("material") is None:
        pytest.skip("the site needs mkdocs-material: pip install '.[docs]'")
    place = tmp_path_factory.mktemp("site").resolve()
    done = build(place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as started:
        yield started


def of_the_network(seen: list[str]) -> list[str]:
    """What was not asked of the disk, and errors."""
    return [url for url in seen if not url.startswith(("file:///", "data:", "blob:", "about:"))]


@contextlib.contextmanager
def opened(
    browser: "Browser", scheme: Literal["light", "dark"] = "light", width: int = DESKTOP
) -> Iterator[tuple["BrowserContext", list[str]]]:
    """A window, and what its pages asked for or complained of."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    seen: list[str] = []
    context.on("request", lambda request: seen.append(request.url))
    context.on("weberror", lambda error: seen.append(f"error: {error.error}"))
    try:
        yield context, seen
    finally:
        context.close()


@pytest.mark.parametrize(("width", "names"), [(PHONE, "**/*.html"), (DESKTOP, "*.html")], ids=["phone", "desktop"])
def test_a_page_fits_its_window_and_asks_for_nothing(site: Path, browser: "Browser", width: int, names: str) -> None:
    wide = []
    with opened(browser, width=width) as (context, seen):
        page = context.new_page()
        for path in sorted(site.glob(names)):
            if path.name == "404.html":
                continue  # its addresses are from the root of a server
            page.goto(path.as_uri())
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append(path.relative_to(site).as_posix())
    assert wide == []
    assert of_the_network(seen) == []


@pytest.mark.parametrize(("scheme", "chosen"), [("light", "default"), ("dark", "slate")])
def test_the_theme_is_that_of_the_system(
    site: Path, browser: "Browser", scheme: Literal["light", "dark"], chosen: str
) -> None:
    with opened(browser, scheme) as (context, _):
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        assert page.evaluate("document.body.getAttribute('data-md-color-scheme')") == chosen


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("maxstartups", "runbook/maxstartups.html"),
        ("PerSourcePenaltyExemptList", "costs.html"),
        ("Connection closed by remote host", "index.html"),  # no page has these words in its title
    ],
)
def test_search_works_from_the_disk(site: Path, browser: "Browser", words: str, found: str) -> None:
    with opened(browser) as (context, seen):
        page = context.new_page()
        page.goto((site / "security.html").as_uri())
        page.locator("input.md-search__input").click()
        page.keyboard.type(words)
        page.locator(f".md-search-result__link[href*='{found}']").first.wait_for()
        page.locator(".md-search-result__link").first.click()
        page.wait_for_url(f"**/{found}*")
        assert of_the_network(seen) == []


@contextlib.contextmanager
def serving(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_copying_a_console_takes_the_commands_alone(site: Path, browser: "Browser") -> None:
    # By HTTP: a browser gives the clipboard to pages of a secure origin only, and a file has none.
    with serving(site) as address, opened(browser) as (context, _):
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.goto(f"{address}/index.html")
        page.locator(".language-console .md-clipboard, .language-console button").first.click()
        page.wait_for_function("navigator.clipboard.readText().then(text => text.includes('ssh'))")
        copied = page.evaluate("navigator.clipboard.readText()")
    assert [line for line in copied.splitlines() if line] == [
        "ssh bastion.example true",
        "check_ssh_exchange -H bastion.example",
    ]


def test_the_theme_can_be_changed_by_hand(site: Path, browser: "Browser") -> None:
    with opened(browser) as (context, _):
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        page.locator("label[title=Dark]").click()
        page.wait_for_function("document.body.getAttribute('data-md-color-scheme') === 'slate'")
        page.reload()
        page.wait_for_function("document.body.getAttribute('data-md-color-scheme') === 'slate'")
