"""`python -m tests.exporter.screens DIRECTORY`: pictures of the exporter's own pages, for docs/screens.

A real exporter probes real servers by name in a namespace; its pages are read there, and shown by Chromium.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.lab import network, zoo
from tests.lab.network import Namespace

from .browser import Site, chromium, opened, serving
from .program import Program, running, wait_for
from .prometheus import FETCH

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect, Page

WIDTH = 1180  # where the pages are as wide as they get
MARGIN = 8.0
SECONDS = 90.0  # every target is probed within four; the rest is for a machine under load
THROTTLED = "bastion.example"
CONFIGURATION = """
modules: {default: {thresholds: {warning: {banner_p50: 60}, critical: {banner_p50: 60}}}}
background:
  - {targets: ["bastion.example:22", "git.example:2222"], interval: 2s, labels: {site: fra}}
  - {targets: ["build.example:22", "db.example:2022", "old.example:222"], interval: 3s, labels: {site: ber}}
"""
SEEN = ("MaxStartups throttling", "our address is banned", "nothing listens", '>2 <span class="badge is-ok">')
TARGETS = re.findall(r'"([\w.:]+)"', CONFIGURATION)


class Screen(NamedTuple):
    """A picture: of which page, from its top or from this element on, and to the end of that element."""

    path: str
    start: str
    end: str


# Parts of pages, for a picture in the documents is to be small.
SCREENS = {
    "overview": Screen("/", "", "section[aria-labelledby=fleet]"),
    "throttled": Screen("/history", "", ".columns"),
    "handshakes": Screen("/history", "section[aria-labelledby=timeline]", "section[aria-labelledby=timeline]"),
    "runbook": Screen("/runbook/maxstartups", "", "section:nth-of-type(2) table"),
}


class Pages(NamedTuple):
    """The pages of a real exporter, served again for a browser here; the path of the throttled server's probe."""

    site: Site
    history: str

    def url(self, name: str) -> str:
        return self.site.address + SCREENS[name].path.replace("/history", self.history)


def need() -> None:
    """Skip the test where something is not there."""
    if reason := network.missing() or zoo.missing():
        pytest.skip(reason)


@contextmanager
def exporter(place: Path) -> Iterator[tuple[Namespace, Program]]:
    """Run an exporter with a throttled server, healthy ones, one that bans it, and a port where nothing listens."""
    need()
    with ExitStack() as stack:
        net = stack.enter_context(Namespace())
        first, second = net.server.ipv4

        def sshd(name: str, address: str, port: int, start: str = "100") -> None:
            options = {"MaxStartups": start}
            made = zoo.server(name, address=address, port=port, options=options, prefix=net.server.prefix)
            stack.enter_context(made)

        sshd("openssh-9.2", first, 22, "1:100:1")
        sshd("openssh-10.6", first, 2222)
        sshd("openssh-9.2", second, 22)
        sshd("openssh-9.2", second, 2022)
        reject = ["-s", net.client.ipv4[0], "-p", "tcp", "--dport", "2022", "-j", "REJECT"]
        stack.enter_context(net.server.rule("iptables", "INPUT", *reject))
        hosts = f"127.0.0.1 localhost\n{first} bastion.example git.example old.example\n"
        stack.enter_context(net.client.files(hosts=hosts + f"{second} build.example db.example\n"))
        yield net, stack.enter_context(running(place, CONFIGURATION, prefix=net.client.prefix))


@contextmanager
def pages(place: Path) -> Iterator[Pages]:
    """Serve the pages of an exporter that has probed every target."""
    with exporter(place) as (net, program), serving() as site:

        def get(path: str) -> str:
            url = f"http://127.0.0.1:{program.port}{path}"
            return net.client.run(sys.executable, "-S", "-c", FETCH, url)

        def overview() -> str:
            page = get("/")
            return page if all(words in page for words in SEEN) and history(page) else ""

        site.pages["/"] = wait_for(overview, SECONDS)
        made = Pages(site, history(site.pages["/"]))
        for path in (made.history, SCREENS["runbook"].path):
            site.pages[path] = get(path)
        yield made


def history(overview: str) -> str:
    """Return the path of the throttled server's last probe, or nothing where there is none yet."""
    found = re.search(rf'href="(history/\d+)[^"]*"[^>]*>{re.escape(THROTTLED)}', overview)
    return f"/{found[1]}" if found else ""


@contextmanager
def shown(browser: "Browser", url: str) -> Iterator["Page"]:
    """Open a page as wide as the pictures."""
    with opened(browser, url, WIDTH, color_scheme="light") as page:
        yield page


def write(browser: "Browser", made: Pages, directory: Path) -> None:
    """Write the pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, screen in SCREENS.items():
        with shown(browser, made.url(name)) as page:
            top = box(page, screen.start)["y"] if screen.start else 0.0
            last = box(page, screen.end)
            clip = {"x": 0, "y": max(0.0, top - MARGIN), "width": WIDTH}
            clip["height"] = last["y"] + last["height"] + MARGIN - clip["y"]
            page.screenshot(path=directory / f"{name}.png", full_page=True, clip=clip)  # type: ignore[arg-type]


def box(page: "Page", selector: str) -> "FloatRect":
    """Return where an element is."""
    found = page.locator(selector).first.bounding_box()
    assert found, selector
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home, chromium() as browser, pages(Path(home)) as made:
        write(browser, made, Path(sys.argv[1]))
