"""The pages as a browser shows them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from check_ssh_exchange import runbook
from check_ssh_exchange.measure import Plan, Target, measure
from ssh_exchange_exporter.pages.landing import landing
from ssh_exchange_exporter.pages.probe_page import probe_page
from ssh_exchange_exporter.pages.runbook import runbook_index, runbook_page
from ssh_exchange_exporter.result import FleetRow
from tests.lab.fake_sshd import FIN, FakeSshd, send

from .browser import Site, chromium, opened, serving, watched
from .probed import BANNED, EVERY_ENDING, HEALTHY, NAMELESS, NOW, STALLED, THROTTLED, probed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script><svg/onload=alert(3)>"
REPORTS = (HEALTHY, THROTTLED, BANNED, STALLED, EVERY_ENDING, NAMELESS)
PROBES = ["/", *(f"/history/{number}" for number in range(1, len(REPORTS) + 2))]
RUNBOOK = ["/runbook/", *(f"/runbook/{cause}" for cause in runbook.NAMES)]
# The index has the widest table, server_fault the longest lines of code.
PATHS = [*PROBES, "/runbook/", "/runbook/server_fault"]

# The contrast of every visible text with the nearest opaque background behind it, worst first.
CONTRASTS = """() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const lum = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || e.closest('svg, option')) continue;
    const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(behind(e))].sort((x, y) => y - x);
    found.push([(a + .05) / (b + .05), walker.currentNode.data.slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0]);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with FakeSshd([send(HOSTILE.encode() + b"\r\n"), FIN]) as server:
        hostile = measure(Target(server.address, server.port), Plan())
    results = [
        probed(report, f"a-rather-long-name-{n}.internal.example:22", n) for n, report in enumerate(REPORTS, start=1)
    ]
    results.append(probed(hostile, HOSTILE, len(results) + 1, module=HOSTILE))
    rows = [FleetRow(one.target, "default", {"site": "fra", HOSTILE: HOSTILE}, one) for one in results]
    rows.append(FleetRow("new.example:22", "deep", {}, None))
    with serving() as served:
        served.pages["/"] = landing("0.1.0", rows, results, ["default", "deep", HOSTILE], NOW)
        served.pages |= {f"/history/{one.number}": probe_page(one, NOW) for one in results}
        served.pages["/runbook/"] = runbook_index()
        served.pages |= {f"/runbook/{cause}": runbook_page(cause) for cause in runbook.NAMES}
        yield served


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_loads_without_complaint_and_fits_a_telephone(
    browser: "Browser", site: Site, path: str, scheme: str
) -> None:
    with opened(browser, site.address + path, 360, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("document.styleSheets[0].cssRules.length") > 50  # the policy let the stylesheet in
        assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") != "none"


@pytest.mark.timeout(300)
def test_every_page_of_the_runbook_fits_a_telephone(browser: "Browser", site: Site) -> None:
    with opened(browser, f"{site.address}/runbook/", 360) as page:
        for path in RUNBOOK:
            page.goto(site.address + path, wait_until="domcontentloaded")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


@pytest.mark.parametrize("path", PATHS)
def test_what_is_wider_than_a_telephone_scrolls_by_itself(browser: "Browser", site: Site, path: str) -> None:
    script = """() => [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg')
        && e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 80))"""
    with opened(browser, site.address + path, 360) as page:
        assert page.evaluate(script) == []


@pytest.mark.parametrize("path", PROBES)
def test_nothing_of_a_drawing_lies_outside_of_its_card(browser: "Browser", site: Site, path: str) -> None:
    script = """() => [...document.querySelectorAll('figure > svg *')].filter(e => {
        const card = e.closest('section').getBoundingClientRect(), box = e.getBoundingClientRect();
        return box.width && (box.right > card.right + 1 || box.left < card.left - 1);
      }).map(e => e.outerHTML.slice(0, 80))"""
    for width in (360, 1280):
        with opened(browser, site.address + path, width) as page:
            assert page.evaluate(script) == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(browser: "Browser", site: Site, path: str, scheme: str) -> None:
    with opened(browser, site.address + path, color_scheme=scheme) as page:
        found = page.evaluate(CONTRASTS)
        assert len(found) > 10
        assert found[0][0] >= 4.5, found[0]


def test_the_dark_scheme_is_dark(browser: "Browser", site: Site) -> None:
    script = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    for scheme, is_dark in (("light", False), ("dark", True)):
        with opened(browser, site.address + "/", color_scheme=scheme) as page:
            assert (max(page.evaluate(script)) < 60) is is_dark


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_form_asks_for_the_probe(browser: "Browser", site: Site, script: bool) -> None:
    with opened(browser, site.address + "/", java_script_enabled=script) as page:
        page.get_by_role("textbox", name="Target").fill("[2001:db8::1]:22")
        page.get_by_role("combobox", name="Module").select_option("deep")
        page.get_by_role("checkbox", name="debug").check()
        page.get_by_role("button", name="Probe").click()
        page.wait_for_url("**/probe?**")
        assert page.url == f"{site.address}/probe?target=%5B2001%3Adb8%3A%3A1%5D%3A22&module=deep&debug=true"


def test_an_empty_form_asks_for_nothing(browser: "Browser", site: Site) -> None:
    with opened(browser, site.address + "/") as page:
        page.get_by_role("button", name="Probe").click()
        assert page.url == f"{site.address}/"


def test_links_lead_to_the_probe_and_back_below_any_prefix(browser: "Browser", site: Site) -> None:
    prefixed = {f"/a/b{path}": page for path, page in site.pages.items()}
    site.pages |= prefixed
    with opened(browser, f"{site.address}/a/b/") as page:
        page.locator("table.fleet").get_by_role("link", name="a-rather-long-name-2").click()
        page.wait_for_url("**/a/b/history/2?target=a-rather-long-name-2*")
        assert page.get_by_role("heading", level=1).inner_text() == "MaxStartups throttling"
        page.get_by_role("link", name="SSH exchange exporter").click()
        page.wait_for_url("**/a/b/")
        page.get_by_role("navigation").get_by_role("link", name="Metrics").click()
        page.wait_for_url("**/a/b/metrics")


def test_a_hostile_server_is_shown_in_its_own_words_and_runs_nothing(browser: "Browser", site: Site) -> None:
    path = f"/history/{len(REPORTS) + 1}"
    with opened(browser, site.address + path) as page:
        assert page.locator("script, img, [onload], [onerror]").count() == 0
        assert "<script>alert(2)</script>" in page.inner_text("main")
        page.wait_for_load_state("networkidle")
    assert "/history/x" not in site.asked  # the image of the hostile banner


def test_the_policy_would_stop_what_escaping_let_through(browser: "Browser", site: Site) -> None:
    holes = "<script>document.title='run'</script><h1 style='color:red'>"
    site.pages["/pierced"] = site.pages["/"].replace("<h1>", holes)
    with watched(browser, site.address + "/pierced") as (page, complaints):
        assert page.title() != "run"
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(255, 0, 0)"
        assert len([one for one in complaints if "Content Security Policy" in one]) == 2


def test_a_keyboard_reaches_what_there_is_and_shows_where_it_is(browser: "Browser", site: Site) -> None:
    with opened(browser, site.address + "/") as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        for _ in range(6):
            page.keyboard.press("Tab")
            assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2


def test_a_screen_reader_finds_the_regions_and_the_picture(browser: "Browser", site: Site) -> None:
    with opened(browser, site.address + "/history/2") as page:
        assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
        picture = page.get_by_role("img", name="6 handshakes in 513 ms: 4 completed, 2 turned_away.")
        assert picture.count() == 1
        assert page.get_by_role("table", name="All handshakes").get_by_role("row").count() == 7
    with opened(browser, site.address + "/", 360) as page:
        rows = page.get_by_role("table", name="The last probe").get_by_role("row")
        assert rows.count() >= len(REPORTS) + 2  # still a table where it is shown as cards
