"""The dashboard of all servers: what is wrong where, since when, and whether the exporter keeps up."""

from contrib.generators.grafana_panels import (
    CAUSE_MAPPING,
    CAUSES,
    CODE_MAPPING,
    CRITICAL,
    ENDINGS,
    MILD,
    OK,
    STATE_MAPPING,
    STATES,
    WARNING,
    Json,
    bars,
    colored,
    frame,
    heading,
    laid,
    link,
    mapping,
    override,
    panel,
    query,
    series,
    stat,
    steps,
    table,
    timeline,
)
from contrib.generators.grafana_queries import (
    BURNS_FAST,
    BURNS_SLOWLY,
    DATASOURCE_VARIABLE,
    EVERY_INSTANCE,
    EVERY_JOB,
    EXPORTER,
    HALF,
    KEY,
    LATE_SECONDS,
    OF_EXPORTER,
    STALE_SECONDS,
    TARGETS,
    WINDOW,
    age,
    cause_code,
    early_closes,
    handshakes,
    of,
    phase,
    served,
    variable,
    with_all,
)

UID, TITLE = "ssh-exchange-fleet", "SSH exchange: fleet"
SERVER_UID = "ssh-exchange-server"
# Where a row or a series leads: the dashboard of its server.
TO_SERVER = (
    f"/d/{SERVER_UID}?var-datasource=${{datasource}}&var-job=${{__data.fields.job}}"
    "&var-instance=${__data.fields.chosen:raw}&${__url_time_range}"
)
TO_SERVER_OF_SERIES = TO_SERVER.replace("__data.fields.", "__field.labels.")
LOADED = "config_last_reload_successful"
RATIO_STEPS = steps(OK, (BURNS_SLOWLY, MILD), (BURNS_FAST, WARNING), (HALF, CRITICAL))
BY_RATIO = f"""Yellow from {BURNS_SLOWLY:.0%} and orange from {BURNS_FAST:.1%}, at which the alerts
SshExchangeEarlyCloseBurnsSlow and SshExchangeEarlyCloseBurnsFast begin; red from {HALF:.0%}, where a probe is
CRITICAL."""
IS_BAD = f"and on ({KEY}) ({of('ssh_exchange_state')} > 0)"
_HEALTHY = of("ssh_exchange_cause", 'cause="healthy"')
WAS_BAD = f"and on ({KEY}) (min_over_time({_HEALTHY}[$__range] @ end()) == 0)"


def counts() -> list[Json]:
    """Return the row of numbers at the top."""
    states = of("ssh_exchange_state")
    words = "Servers whose last probe was {}, by the thresholds of their module."
    numbers = [
        stat(
            word, words.format(word), query(f"sum({states} == bool {number})", at_end=True), "short",
            steps(color) if not number else steps("text", (1, color)),
        )
        for number, (word, color) in enumerate(STATES)
    ]  # fmt: skip
    deferred = f"ssh_exchange_exporter_probes_deferred_total{{{OF_EXPORTER}}}"
    return [
        stat("Servers", "Servers that are measured, in both ways.", query(f"count({states})", at_end=True), "short",
             steps("text")),
        *numbers,
        stat("Closed early", f"Early closes by accepted connections, over all servers. {BY_RATIO}",
             query(early_closes(""), at_end=True), "percentunit", RATIO_STEPS),
        stat("Probes deferred", """Probes that the budget of a server has put off in the time range. They spare servers
             whose penalties the probes would bring about; many of them mean that probes are asked for too often.""",
             query(f"sum(increase({deferred}[$__range]))", at_end=True), "short", steps("text")),
        stat("Probes late by", f"""What nine of ten background probes start late by at most. Red from {LATE_SECONDS} s,
             at which SshExchangeExporterLate begins.""",
             query(lateness(0.9), at_end=True), "s", steps(OK, (1, MILD), (LATE_SECONDS, CRITICAL))),
    ]  # fmt: skip


def lateness(quantile: float) -> str:
    """Return a quantile of the delay of background probes."""
    buckets = f"ssh_exchange_exporter_background_lateness_seconds_bucket{{{OF_EXPORTER}}}"
    return f"histogram_quantile({quantile:g}, sum by (le) (rate({buckets}{WINDOW})))"


def causes() -> Json:
    """Return the bands of the servers that were not healthy."""
    return timeline(
        "Causes",
        """Servers that were not healthy at some time of the range, and why. Without such a server it is empty. A band
        leads to the server's dashboard.""",
        [query(served(f"{cause_code()} {WAS_BAD}"), "{{server}}")],
        CODE_MAPPING,
        defaults={"links": [link("Server dashboard", TO_SERVER_OF_SERIES)], "noValue": "no server had a fault"},
    )


def heatmap() -> Json:
    """Return the waits for the banner, from the histograms."""
    buckets = of("ssh_exchange_phase_duration_seconds_bucket", 'phase="banner"')
    return panel(
        "heatmap",
        "Wait for the banner",
        """How many handshakes of the last minutes waited how long for the server's identification. From the histograms
        of background targets; /probe has none.""",
        [query(f"sum by (le) (increase({buckets}{WINDOW}))", "{{le}}", form="heatmap")],
        "short",
        custom={"scaleDistribution": {"type": "linear"}},
        options={
            "calculate": False,
            "cellGap": 1,
            "cellValues": {"unit": "short"},
            "color": {"mode": "scheme", "scheme": "Viridis", "exponent": 0.5, "reverse": False, "steps": 64},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "yHistogram": True},
            "yAxis": {"axisPlacement": "left", "axisWidth": 70, "reverse": False, "unit": "s"},
        },
    )


def early_close_lines() -> Json:
    """Return the early-close ratio of the worst servers and of all."""
    return series(
        "Closed early, by server",
        f"Early closes by accepted connections: all servers, and the ten worst. {BY_RATIO}",
        [query(early_closes(""), "all servers"), query(f"topk(10, {served(early_closes(KEY))} > 0)", "{{server}}")],
        "percentunit",
        custom={"thresholdsStyle": {"mode": "dashed+area"}},
        defaults={"max": 1, "thresholds": RATIO_STEPS, "links": [link("Server dashboard", TO_SERVER_OF_SERIES)]},
        overrides=[override("byName", "all servers", custom__lineWidth=4, links=[])],
    )


def columns() -> dict[str, Json]:
    """Return the properties of the table's columns, by label or query."""
    links = [
        link("Server dashboard", TO_SERVER),
        link("The exporter's overview", "http://${exporter}/"),
        link("Probe it now", "http://${exporter}/probe?target=${__data.fields.server}&debug=true"),
    ]
    runbook = link("Runbook: ${__data.fields.cause}", "http://${exporter}/runbook/${__data.fields.cause}")
    background = {"type": "color-background", "mode": "basic"}
    return {
        "server": {"displayName": "Server", "links": links},
        "Value #A": {"displayName": "State", "mappings": STATE_MAPPING, "custom__cellOptions": background},
        "cause": {
            "displayName": "Cause", "mappings": CAUSE_MAPPING, "links": [runbook],
            "custom__cellOptions": {"type": "color-text"},
        },
        "Value #B": {"custom__hidden": True},
        "Value #C": {
            "displayName": "Closed early", "unit": "percentunit", "thresholds": RATIO_STEPS,
            "color": {"mode": "thresholds"}, "custom__cellOptions": background,
        },
        "Value #D": {"displayName": "Banner, 90 %", "unit": "s"},
        "Value #E": {
            "displayName": "Last result", "unit": "s", "thresholds": steps("text", (STALE_SECONDS, WARNING)),
            "color": {"mode": "thresholds"}, "custom__cellOptions": {"type": "color-text"},
        },
        "job": {"displayName": "Job"},
        "instance": {"displayName": "Scraped at"},
        "target": {"custom__hidden": True},
        "chosen": {"custom__hidden": True},
    }  # fmt: skip


def worst() -> Json:
    """Return the table of the servers that are not OK."""
    of_banner = phase(0.9, KEY, 'phase="banner"')
    asked = [
        served(f"max by ({KEY}) ({of('ssh_exchange_state')} > 0)"),
        f"max by ({KEY}, cause) ({of('ssh_exchange_cause')} == 1) {IS_BAD}",
        f"max by ({KEY}) ({of('ssh_exchange_early_close_ratio')}) {IS_BAD}",
        f"({of_banner}) {IS_BAD}",
        f"({age(KEY)}) {IS_BAD}",
    ]
    return table(
        "Worst servers",
        """Servers that are not OK at the end of the range, the worst first: cause, early closes of the last probe, the
        wait for the banner of nine in ten handshakes, the age of the last result. Server and cause have links.""",
        [query(one, at_end=True, form="table") for one in asked],
        [override("byName", name, **properties) for name, properties in columns().items()],
        order=("server", "Value #A", "cause", "Value #C", "Value #D", "Value #E", "job", "instance"),
        options={"sortBy": [{"displayName": "State", "desc": True}, {"displayName": "Closed early", "desc": True}]},
    )


def by_number() -> list[Json]:
    """Return how many servers have which cause, and the endings of all handshakes."""
    unhealthy = of("ssh_exchange_cause", 'cause!="healthy"')
    return [
        bars("Servers by cause", "How many servers had which cause; healthy ones are left out.",
             [query(f"sum by (cause) ({unhealthy}) > 0", "{{cause}}")], "short", overrides=colored(CAUSES)),
        bars("Endings", """How handshakes ended, as shares: of background targets by their counters, at /probe by the
             results that were scraped. The numbers are of the last minutes.""",
             [query(f"{handshakes('ending')} > 0", "{{ending}}")], "short", shares=True, overrides=colored(ENDINGS)),
    ]  # fmt: skip


def of_the_exporter() -> list[Json]:
    """Return the panels of the exporter's own work."""
    made, deferred = (f"ssh_exchange_exporter_probes{what}_total{{{OF_EXPORTER}}}" for what in ("", "_deferred"))
    loaded, bad = (f"ssh_exchange_exporter_{name}{{{OF_EXPORTER}}}" for name in (LOADED, "target_files_failed"))
    late = f"time() - {of('ssh_exchange_last_probe_timestamp_seconds')} > bool {STALE_SECONDS}"
    stale = f"sum(({late}) or ({of('ssh_exchange_result_age_seconds')} > bool {STALE_SECONDS}))"
    is_loaded = mapping([("0", "old one in force", CRITICAL), ("1", "loaded", OK)])
    return [
        series("Probes a minute", "Probes that the exporter made, by what asked for them.",
               [query(f"60 * sum by (origin) (rate({made}{WINDOW}))", "{{origin}}")], "opm"),
        bars("Deferred a minute", "Probes that the budget of a server has put off, by what asked for them.",
             [query(f"60 * sum by (origin) (rate({deferred}{WINDOW}))", "{{origin}}")], "opm"),
        series("Lateness of background probes", f"""Between the time that a probe was due and its start. The line is at
               {LATE_SECONDS} s, at which SshExchangeExporterLate begins.""",
               [query(lateness(0.5), "half"), query(lateness(0.9), "nine of ten")], "s",
               custom={"thresholdsStyle": {"mode": "dashed"}},
               defaults={"thresholds": steps("transparent", (LATE_SECONDS, CRITICAL))}),
        stat("Configuration", "Whether every exporter runs with its configuration as it is in the file.",
             query(f"min({loaded})", at_end=True), "none",
             steps(OK), defaults={"mappings": is_loaded}),
        stat("Bad target files", "Target files with errors, whose earlier content is in force.",
             query(f"sum({bad})", at_end=True), "short",
             steps(OK, (1, WARNING))),
        stat("Old results", f"""Servers whose last result is older than {STALE_SECONDS // 60} minutes, at which
             SshExchangeStale begins.""", query(stale, at_end=True), "short", steps(OK, (1, WARNING))),
    ]  # fmt: skip


def dashboard() -> Json:
    """Return the whole dashboard."""
    by_cause, endings = by_number()
    probes, deferred, late, *stats = of_the_exporter()
    sections = [
        (4, [(3, one) for one in counts()]),
        (10, [(24, causes())]),
        (10, [(24, worst())]),
        (9, [(12, by_cause), (12, endings)]),
        (9, [(12, early_close_lines()), (12, heatmap())]),
        (1, [(24, heading("The exporter itself: choose All as instance"))]),
        (8, [(8, probes), (8, deferred), (8, late)]),
        (4, [(8, one) for one in stats]),
    ]
    variables = [
        DATASOURCE_VARIABLE,
        variable("job", "Job", EVERY_JOB, **with_all()),
        variable("instance", "Instance", EVERY_INSTANCE, **with_all()),
        variable("target", "Background target", TARGETS, **with_all(".*")),
        EXPORTER,
    ]
    description = "SSH servers as ssh_exchange_exporter measures them."
    return frame(UID, TITLE, description, ("One server", SERVER_UID), variables, laid(sections))
