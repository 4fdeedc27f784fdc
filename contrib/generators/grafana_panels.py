"""The parts that Grafana's dashboards are made of: panels, value mappings, colours, layout. Classic JSON, schema 36.

Colours are those of the exporter's pages. A cause has the colour of the ending by which it shows most often, because
twenty causes have no colours of their own that everyone can tell apart; so its name is always written out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import Ending
from ssh_exchange_exporter.pages.stylesheet import DARK, LIGHT

Json = dict[str, Any]

SCHEMA_VERSION = 36  # of Grafana 8.5 and 9.0; newer ones read it and migrate what they hold otherwise
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24  # columns of the grid
# Four that stay apart under protanopia, deuteranopia and tritanopia: they differ in lightness too.
OK, WARNING, CRITICAL, UNKNOWN = DARK["completed"], DARK["turned_away"], LIGHT["critical"], LIGHT["banner_timeout"]
MILD = DARK["warning"]  # below WARNING
STATES = (("OK", OK), ("WARNING", WARNING), ("CRITICAL", CRITICAL), ("UNKNOWN", UNKNOWN))
ENDINGS = {ending: DARK[ending] for ending in Ending}
SHOWS_AS = {
    Cause.HEALTHY: Ending.COMPLETED,
    Cause.MAXSTARTUPS: Ending.TURNED_AWAY,
    Cause.PER_SOURCE_LIMIT: Ending.CLOSED,
    Cause.PENALTY: Ending.CLOSED_AFTER_BANNER,
    Cause.RATE_LIMIT: Ending.CONNECT_TIMEOUT,
    Cause.BANNED: Ending.REJECTED,
    Cause.FILTERED: Ending.CONNECT_TIMEOUT,
    Cause.NOT_LISTENING: Ending.REFUSED,
    Cause.ACCESS_DENIED: Ending.CLOSED,
    Cause.SERVER_FAULT: Ending.RESET,
    Cause.STALLED: Ending.BANNER_TIMEOUT,
    Cause.SLOW: Ending.KEXINIT_TIMEOUT,
    Cause.PROXY: Ending.NOT_SSH,
    Cause.TARPIT: Ending.BANNER_TIMEOUT,
    Cause.NOT_SSH: Ending.NOT_SSH,
    Cause.ADDRESS_FAMILY: Ending.REFUSED,
    Cause.UNREACHABLE: Ending.UNREACHABLE,
    Cause.NAME_RESOLUTION: Ending.UNREACHABLE,
    Cause.INCOMPATIBLE: Ending.PROTOCOL_ERROR,
    Cause.HOST_KEY: Ending.PROTOCOL_ERROR,
    Cause.UNEXPLAINED: Ending.CLOSED,
}
CAUSES = {cause: ENDINGS[SHOWS_AS[cause]] for cause in Cause}
# Okabe and Ito's colours, which colour-blind people can tell apart.
PHASES = {
    "connect": "#56b4e9",
    "banner": "#e69f00",
    "kexinit": "#009e73",
    "hostkey": "#cc79a7",
    "kex": "#0072b2",
    "login": "#d55e00",
}


def mapping(named: Iterable[tuple[str, str, str]]) -> list[Json]:
    """Return a value mapping of value, text and colour."""
    options = {value: {"text": text, "color": color, "index": at} for at, (value, text, color) in enumerate(named)}
    return [{"type": "value", "options": options}]


STATE_MAPPING = mapping((str(number), *state) for number, state in enumerate(STATES))
CAUSE_CODES = {cause: number for number, cause in enumerate(Cause)}
CODE_MAPPING = mapping((str(number), cause, CAUSES[cause]) for cause, number in CAUSE_CODES.items())
CAUSE_MAPPING = mapping((cause, cause, color) for cause, color in CAUSES.items())


def steps(base: str, *further: tuple[float, str]) -> Json:
    """Return thresholds: the colour below the first, then value and colour of each."""
    first: list[Json] = [{"color": base, "value": None}]
    return {"mode": "absolute", "steps": first + [{"color": color, "value": value} for value, color in further]}


def override(matcher: str, options: str, **properties: Any) -> Json:
    """Return properties of the fields that match; `__` in a name stands for a dot."""
    written = [{"id": name.replace("__", "."), "value": value} for name, value in properties.items()]
    return {"matcher": {"id": matcher, "options": options}, "properties": written}


def colored(colors: Mapping[Any, str], matcher: str = "byName", pattern: str = "{}") -> list[Json]:
    """Return overrides that give each name its colour."""
    fixed = {name: {"mode": "fixed", "fixedColor": color} for name, color in colors.items()}
    return [override(matcher, pattern.format(name), color=color) for name, color in fixed.items()]


def query(expression: str, legend: str = "", *, at_end: bool = False, form: str = "time_series") -> Json:
    """Return a query over the time range, or of its end only."""
    how: Json = {"instant": True, "range": False} if at_end else {"instant": False, "range": True}
    return {
        "datasource": DATASOURCE,
        "expr": expression,
        "legendFormat": legend,
        "format": form,
        # The scrape interval of the shipped configuration; else $__rate_interval is the data source's, often 15 s, and
        # too short to hold two scrapes.
        "interval": "1m",
        **how,
    }


def panel(kind: str, title: str, description: str, queries: Sequence[Json], unit: str, **more: Any) -> Json:
    """Return a panel. `more`: defaults, custom, overrides, options, and keys of the panel itself."""
    defaults = {"unit": unit, "custom": more.pop("custom", {}), **more.pop("defaults", {})}
    return {
        "type": kind,
        "title": title,
        "description": " ".join(description.split()),
        "datasource": DATASOURCE,
        "targets": [{"refId": chr(ord("A") + at), **one} for at, one in enumerate(queries)],
        "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
        "options": more.pop("options", {}),
        **more,
    }


def stat(title: str, description: str, asked: Json, unit: str, thresholds: Json, **more: Any) -> Json:
    """Return a panel with one number, or the text it is mapped to, coloured by thresholds."""
    fields = more.pop("fields", "")
    options = {
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "center",
        "orientation": "auto",
        "textMode": "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": fields, "values": False},
    }
    defaults = {"color": {"mode": "thresholds"}, "thresholds": thresholds, **more.pop("defaults", {})}
    return panel("stat", title, description, [asked], unit, options=options, defaults=defaults, **more)


def series(title: str, description: str, queries: Sequence[Json], unit: str, **more: Any) -> Json:
    """Return a panel of lines. The width of its axis is fixed, so that panels below each other share their times."""
    custom = {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 0, "showPoints": "auto", "axisWidth": 70}
    custom |= {"spanNulls": False, **more.pop("custom", {})}
    options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}}
    options |= {"tooltip": {"mode": "multi", "sort": "desc"}}
    defaults = {"min": 0, "color": {"mode": "palette-classic"}, **more.pop("defaults", {})}
    return panel(
        "timeseries", title, description, queries, unit, custom=custom, options=options, defaults=defaults, **more
    )


def bars(
    title: str, description: str, queries: Sequence[Json], unit: str, *, shares: bool = False, **more: Any
) -> Json:
    """Return a panel of stacked bars; `shares`: each stack is the whole."""
    stacking = {"mode": "percent" if shares else "normal", "group": "A"}
    custom = {"drawStyle": "bars", "lineWidth": 0, "fillOpacity": 90, "stacking": stacking}
    return series(title, description, queries, unit, custom=custom, **more)


def timeline(title: str, description: str, queries: Sequence[Json], mappings: list[Json], **more: Any) -> Json:
    """Return a panel with a band for each series, its values named."""
    options = {
        "alignValue": "left",
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 90, "lineWidth": 0}
    defaults = {"color": {"mode": "thresholds"}, "thresholds": steps("text"), "mappings": mappings}
    defaults |= more.pop("defaults", {})
    return panel(
        "state-timeline", title, description, queries, "none", custom=custom, options=options, defaults=defaults, **more
    )


def table(title: str, description: str, queries: Sequence[Json], overrides: Sequence[Json], **more: Any) -> Json:
    """Return a table whose queries share their labels: one row for each set of these."""
    options = {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "enablePagination": True}}
    order = more.pop("order", ())
    options |= more.pop("options", {})
    organize = {"excludeByName": {"Time": True}, "indexByName": {name: at for at, name in enumerate(order)}}
    transformations = [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]
    custom = {"align": "auto", "filterable": True, "cellOptions": {"type": "auto"}}
    return panel(
        "table", title, description, queries, "short", custom=custom, options=options, overrides=list(overrides),
        transformations=transformations, **more,
    )  # fmt: skip


def link(title: str, url: str) -> Json:
    """Return a link of a field."""
    return {"title": title, "url": url, "targetBlank": url.startswith("http")}


def frame(
    uid: str, title: str, description: str, other: tuple[str, str], variables: Sequence[Json], panels: Iterable[Json]
) -> Json:
    """Return a dashboard; `other` is the title of the link to the other one, and its uid."""
    name, at = other
    to_other = {"type": "link", "title": name, "url": f"/d/{at}?var-datasource=${{datasource}}", "keepTime": True}
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["ssh_exchange"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "links": [
            {**to_other, "targetBlank": False},
            {"type": "link", "title": "Runbook", "url": "http://${exporter}/runbook/", "targetBlank": True},
            {"type": "link", "title": "Exporter", "url": "http://${exporter}/", "targetBlank": True},
        ],
        "annotations": {"list": []},
        "templating": {"list": list(variables)},
        "panels": list(panels),
    }


def heading(title: str) -> Json:
    """Return the head of a section."""
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


def laid(sections: Iterable[tuple[int, Sequence[tuple[int, Json]]]]) -> Iterator[Json]:
    """Yield the panels of bands, each a height and its panels by width, numbered and placed below each other."""
    top = number = 0
    for height, placed in sections:
        left = 0
        for width, one in placed:
            number += 1
            yield {"id": number, "gridPos": {"x": left, "y": top, "w": width, "h": height}, **one}
            left += width
        if left != WIDTH:
            raise ValueError(f"the band at {top} is {left} columns wide")
        top += height
