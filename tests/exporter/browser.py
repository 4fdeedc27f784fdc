"""Chromium without a window, and a server for pages as the exporter serves them."""

import contextlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ssh_exchange_exporter.pages.html import CONTENT_SECURITY_POLICY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

PROGRAM = "chromium-headless-shell"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


class Site:
    """Pages by path, and what was asked for."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pages: dict[str, str] = {}
        self.asked: list[str] = []


@contextlib.contextmanager
def serving() -> Iterator[Site]:
    """Serve the pages of a Site with the policy that they come with; any other path is a plain "here"."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            page = site.pages.get(self.path.partition("?")[0])
            body = (page or "here").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8" if page else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site = Site(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def chromium() -> Iterator["Browser"]:
    """Start the browser; skips the test where it or playwright is missing.

    While it is open no event loop can be run in this thread, so it must not outlive a module's tests.
    """
    api = pytest.importorskip("playwright.sync_api", reason="the pages' tests need the package playwright")
    program = shutil.which(PROGRAM)
    if program is None:
        pytest.skip(f"the pages' tests need {PROGRAM}")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def watched(browser: "Browser", url: str, width: int = 800, **context: object) -> Iterator[tuple["Page", list[str]]]:
    """Open a page in a profile of its own; yields it and what the browser has complained about."""
    complaints: list[str] = []

    def dismiss(dialog: "Dialog") -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    profile = browser.new_context(viewport={"width": width, "height": 800}, **context)  # type: ignore[arg-type]
    try:
        page = profile.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", dismiss)
        page.goto(url)
        yield page, complaints
    finally:
        profile.close()


@contextlib.contextmanager
def opened(browser: "Browser", url: str, width: int = 800, **context: object) -> Iterator["Page"]:
    """Open a page that the browser may have nothing to complain about."""
    with watched(browser, url, width, **context) as (page, complaints):
        yield page
    assert complaints == [], f"the browser complained: {complaints}"
