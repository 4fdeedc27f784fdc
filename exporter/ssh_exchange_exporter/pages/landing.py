"""The landing page: a form for a probe, the background targets, and the recent probes."""

from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlencode

from check_ssh_exchange.report import quantile

from ..result import FleetRow, Result
from ..text import NONE, age, counted, duration, share
from .html import NAME, Attributes, Markup, badge, frame, join, link, table, tag

FLEET_LIMIT = 5000  # rows; a browser needs seconds to draw more
RECENT_LIMIT = 200
WAITING = "not yet"  # the state of a target before its first probe
_ORDER = ("critical", "warning", "unknown", WAITING, "ok")


def landing(
    version: str,
    rows: Sequence[FleetRow],
    recent: Sequence[Result],
    modules: Sequence[str],
    now: float,
) -> str:
    """Return the page at /; `now` is in seconds since the epoch, `recent` begins with the latest."""
    intro = tag(
        "p",
        {"class": "quiet"},
        f"Version {version}. It opens a few SSH handshakes at once, says how each ended and names the cause. "
        "Results for Prometheus are at ",
        link("metrics", "metrics"),
        "; the configuration in force is at ",
        link("config", "config"),
        ".",
    )
    parts = [tag("h1", None, NAME), intro, _form(modules), _fleet(rows, now), _recent(recent, now)]
    return frame("Overview", join(parts), depth=0)


def _section(name: str, heading: str, *children: Markup) -> Markup:
    return tag("section", {"aria-labelledby": name}, tag("h2", {"id": name}, heading), *children)


def _form(modules: Sequence[str]) -> Markup:
    target: Attributes = {
        "id": "target",
        "name": "target",
        "type": "text",
        "required": "",
        "maxlength": 300,
        "autocomplete": "off",
        "autocapitalize": "none",
        "spellcheck": "false",
        "placeholder": "host.example:22",
    }
    options = [tag("option", {"value": name, "selected": "" if name == "default" else None}, name) for name in modules]
    debug = tag("input", {"type": "checkbox", "name": "debug", "value": "true"})
    form = tag(
        "form",
        {"action": "probe", "method": "get"},
        tag(
            "div",
            {"class": "field"},
            tag("label", {"for": "target"}, "Target (host, or host:port)"),
            tag("input", target),
        ),
        tag(
            "div",
            {"class": "field"},
            tag("label", {"for": "module"}, "Module"),
            tag("select", {"id": "module", "name": "module"}, *options),
        ),
        tag("label", {"class": "tick"}, debug, "Show log and report (debug)"),
        tag("button", {"type": "submit"}, "Probe"),
    )
    return _section("probe", "Probe a server", form)


def _state(result: Result | None) -> str:
    return WAITING if result is None else str(result.verdict.state)


def _fleet(rows: Sequence[FleetRow], now: float) -> Markup:
    if not rows:
        words = "No background targets are configured. Scrapes and the form above start probes."
        return _section("fleet", "Background targets", tag("p", {"class": "quiet"}, words))
    counts = Counter(_state(row.result) for row in rows)
    ordered = sorted(rows, key=lambda row: (_ORDER.index(_state(row.result)), row.target, row.module))
    summary = [tag("li", None, f"{counted(len(rows), 'target')}:")]
    summary += [tag("li", None, f"{counts[word]:,} ", badge(word)) for word in _ORDER if counts[word]]
    omitted = None
    if len(ordered) > FLEET_LIMIT:
        left = Counter(_state(row.result) for row in ordered[FLEET_LIMIT:])
        words = ", ".join(f"{left[word]:,} {word}" for word in _ORDER if left[word])
        many = counted(len(ordered) - FLEET_LIMIT, "further target is not shown", "further targets are not shown")
        omitted = tag("p", None, f"{many}: {words}.")
    shown = table(
        "The last probe of each background target, failures first.",
        ("Target", "State", "Cause", "Closed early", "Banner (median)", "Last probe"),
        [_fleet_row(row, now) for row in ordered[:FLEET_LIMIT]],
        "cards fleet",
    )
    return _section("fleet", "Background targets", tag("ul", {"class": "count"}, *summary), shown, omitted or Markup())


def _fleet_row(row: FleetRow, now: float) -> Markup:
    result = row.result
    labels = ", ".join(f"{name}={value}" for name, value in row.labels.items())
    module = f"module {row.module}" if row.module != "default" else ""
    small = ", ".join(part for part in (module, labels) if part)
    below = tag("small", None, small) if small else None
    cells = [tag("td", None, badge(_state(result)))]
    if result is None:
        cells += [tag("td", {"class": "said"}, "waiting for its first probe"), *(_figure(NONE, ""),) * 3]
        return tag("tr", None, tag("th", {"scope": "row"}, row.target, below), *cells)
    banners = result.report.durations("banner")
    cells += [
        tag("td", {"class": "said"}, _cause(result)),
        _figure(share(result.report.early_close_ratio), "early"),
        _figure(duration(quantile(banners, 0.5) if banners else None), "banner"),
        tag("td", {"class": "time"}, age(now - result.at)),
    ]
    # Only the last probe of a background target is kept: the query makes an older link lead to the newest one.
    query = urlencode({"target": row.target, "module": row.module})
    drawn = link(f"history/{result.number}?{query}", row.target)
    return tag("tr", None, tag("th", {"scope": "row"}, drawn, below), *cells)


def _figure(value: str, name: str) -> Markup:
    return tag("td", {"class": "none" if value == NONE else f"number {name}"}, value)


def _cause(result: Result) -> Markup:
    return link(f"runbook/{result.diagnosis.cause}", result.diagnosis.phrase)


def _recent(recent: Sequence[Result], now: float) -> Markup:
    if not recent:
        return _section("recent", "Recent probes", tag("p", {"class": "quiet"}, "None yet."))
    shown = table(
        "Latest first. Each target links to the evidence and the drawing of its probe.",
        ("Target", "State", "Cause", "Module", "When", "Took"),
        [_recent_row(result, now) for result in recent[:RECENT_LIMIT]],
        "cards recent",
    )
    omitted = None
    if len(recent) > RECENT_LIMIT:
        omitted = tag("p", None, f"{counted(len(recent) - RECENT_LIMIT, 'earlier probe')} kept, not shown.")
    return _section("recent", "Recent probes", shown, omitted or Markup())


def _recent_row(result: Result, now: float) -> Markup:
    origin = tag("small", None, result.origin) if result.is_routine else None
    return tag(
        "tr",
        None,
        tag("th", {"scope": "row"}, link(f"history/{result.number}", result.target), origin),
        tag("td", None, badge(_state(result))),
        tag("td", {"class": "said"}, _cause(result), tag("small", None, result.summary)),
        tag("td", {"class": "module"}, result.module),
        tag("td", {"class": "time"}, age(now - result.at)),
        tag("td", {"class": "number"}, duration(result.took)),
    )
