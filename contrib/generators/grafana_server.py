"""The dashboard of one server: from outside, as the exporter sees it, and on its host, as check_sshd_local does."""

from check_ssh_exchange.diagnosis.cause import Cause
from contrib.generators.grafana_fleet import BY_RATIO, RATIO_STEPS, SERVER_UID
from contrib.generators.grafana_fleet import UID as FLEET_UID
from contrib.generators.grafana_panels import (
    CAUSES,
    CODE_MAPPING,
    CRITICAL,
    ENDINGS,
    OK,
    PHASES,
    STATE_MAPPING,
    UNKNOWN,
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
    query,
    series,
    stat,
    steps,
    table,
    timeline,
)
from contrib.generators.grafana_queries import (
    DATASOURCE_VARIABLE,
    EVERY_JOB,
    EXPORTER,
    HOST_LATE_SECONDS,
    HOSTS,
    INSTANCES,
    ON_HOST,
    STALE_SECONDS,
    TARGETS,
    WEEK,
    WINDOW,
    age,
    cause_code,
    coded,
    early_closes,
    handshakes,
    of,
    phase,
    variable,
    with_all,
)

TITLE = "SSH exchange: one server"
TO_RUNBOOK = link("Runbook", "http://${exporter}/runbook/${__value.text}")
REASONS = {cause: CAUSES[cause] for cause in (Cause.MAXSTARTUPS, Cause.PER_SOURCE_LIMIT, Cause.PENALTY)}


def on_host(metric: str) -> str:
    """Return the selector of a metric of check_sshd_local on the host that is chosen."""
    return f"{metric}{{{ON_HOST}}}"


def summary() -> list[Json]:
    """Return the row at the top."""
    software = query(f"max by (software) ({of('ssh_exchange_server_info')})", at_end=True, form="table")
    last_run = f"time() - max({on_host('sshd_local_last_run_timestamp_seconds')})"
    # 3 is UNKNOWN, which most hosts have for something that they lack.
    worst = f"max({on_host('sshd_local_item_state')} < 3)"
    return [
        stat("State", "State of the last probe, by the thresholds of its module.",
             query(f"max({of('ssh_exchange_state')})", at_end=True), "none", steps("text"),
             defaults={"mappings": STATE_MAPPING}),
        stat("Cause", "What the last probe was diagnosed with; leads to its runbook page.",
             query(f"max({cause_code()})", at_end=True), "none", steps("text"),
             defaults={"mappings": CODE_MAPPING, "links": [TO_RUNBOOK]}),
        stat("Software", "What the server calls itself.", software, "string", steps("text"), fields="/^software$/"),
        stat("Closed early", f"Early closes by accepted connections. {BY_RATIO}", query(early_closes(""), at_end=True),
             "percentunit", RATIO_STEPS),
        stat("Last result", f"""Age of the last result. Orange from {STALE_SECONDS // 60} minutes, at which
             SshExchangeStale begins.""", query(f"max({age('job, instance, target')})", at_end=True), "s",
             steps(OK, (STALE_SECONDS, WARNING))),
        stat("On the host", "The worst state of an item of check_sshd_local, of those that it could look at.",
             query(worst, at_end=True), "none", steps("text"), defaults={"mappings": STATE_MAPPING}),
        stat("Last look on the host", f"""Age of the metrics of check_sshd_local. Orange from
             {HOST_LATE_SECONDS // 60} minutes, at which SshdLocalLate begins.""",
             query(last_run, at_end=True), "s", steps(OK, (HOST_LATE_SECONDS, WARNING))),
    ]  # fmt: skip


def causes() -> Json:
    """Return the bands of state and cause, from outside and on the host."""
    on_it = coded(f"(max by (cause) ({on_host('sshd_local_cause')}) == 1)")
    return timeline(
        "State and cause",
        """From outside: state and cause of each probe. On the host: a band for each cause that check_sshd_local finds;
        several can be there at once.""",
        [
            query(f"max({of('ssh_exchange_state')})", "state, outside"),
            query(f"max({cause_code()})", "cause, outside"),
            query(on_it, "host: {{cause}}"),
        ],
        CODE_MAPPING,
        overrides=[override("byFrameRefID", "A", mappings=STATE_MAPPING)],
    )


def phases() -> Json:
    """Return how long the parts of a handshake take."""
    quantiles = [query(phase(0.5, "phase"), "{{phase}}, half"), query(phase(0.9, "phase"), "{{phase}}, nine of ten")]
    dashed = {"fill": "dash", "dash": [8, 6]}
    return series(
        "Phases",
        """How long each phase of a handshake takes, by the server's own time: connect, banner, kexinit, and deeper ones
        where the module goes further. Of background targets from the histograms, at /probe of each scrape.""",
        quantiles,
        "s",
        overrides=[
            *colored(PHASES, "byRegexp", "/^{},/"),
            override("byRegexp", "/nine of ten$/", custom__lineStyle=dashed, custom__lineWidth=1),
        ],
    )


def outside() -> list[Json]:
    """Return early closes, endings, what the budget has put off, and the age of results."""
    deferred = f"60 * sum(rate({of('ssh_exchange_probes_deferred_total')}{WINDOW}))"
    return [
        series("Closed early", f"Early closes by accepted connections. {BY_RATIO}",
               [query(early_closes(""), "closed early")], "percentunit",
               custom={"thresholdsStyle": {"mode": "dashed+area"}}, defaults={"max": 1, "thresholds": RATIO_STEPS}),
        bars("Endings, from outside", """How handshakes ended, as the exporter has seen it, as shares. The numbers are
             of the last minutes.""",
             [query(f"{handshakes('ending')} > 0", "{{ending}}")], "short", shares=True, overrides=colored(ENDINGS)),
        bars("Probes deferred a minute", """Background probes that the budget of this server has put off, so that they
             bring about no penalty. At /probe the age of the result tells it.""",
             [query(deferred, "deferred")], "opm", overrides=colored({"deferred": UNKNOWN})),
        series("Age of the result", f"""Grows while the budget allows no probe, or while the exporter is overloaded. The
               line is at {STALE_SECONDS // 60} minutes, at which SshExchangeStale begins.""",
               [query(age("job, instance, target"), "{{job}}")], "s", custom={"thresholdsStyle": {"mode": "dashed"}},
               defaults={"thresholds": steps("transparent", (STALE_SECONDS, WARNING))}),
    ]  # fmt: skip


def inside() -> list[Json]:
    """Return startups, drops, bans and items of the host."""
    used, begin, full = (f"max({on_host(f'sshd_local_startups{end}')})" for end in ("", "_begin", "_full"))
    colors = {"in use": PHASES["connect"], "alert": UNKNOWN, "drops begin": WARNING, "all are dropped": CRITICAL}
    lines = [override("byName", name, custom__lineStyle={"fill": "dash", "dash": [8, 6]}) for name in list(colors)[1:]]
    drops = f"60 * sum by (reason) (rate({on_host('sshd_local_drops_total')}{WINDOW}))"
    items = f"max by (item) ({on_host('sshd_local_item_state')})"
    return [
        series("Startups, on the host", """Connections that have not logged in, the most within a second, and the limits
               of MaxStartups: from where on sshd drops some, and all. SshdLocalStartupsHigh begins at half of the
               first.""",
               [query(used, "in use"), query(f"{begin} / 2", "alert"), query(begin, "drops begin"),
                query(full, "all are dropped")], "short", overrides=[*colored(colors), *lines]),
        bars("Drops a minute by reason, on the host", """Connections that sshd has dropped, by its log: by MaxStartups,
             by PerSourceMaxStartups, and penalties, which strangers deserve.""",
             [query(drops, "{{reason}}")], "cpm", overrides=colored(REASONS)),
        series("Addresses banned, on the host", "By fail2ban, CrowdSec, sshguard or DenyHosts.",
               [query(f"max({on_host('sshd_local_banned')})", "banned")], "short",
               overrides=colored({"banned": CAUSES[Cause.BANNED]})),
        timeline("Items of check_sshd_local, on the host", """State of each thing that check_sshd_local looks at;
                 UNKNOWN where it lacks a right or a program. `check_sshd_local -v` on the host says more.""",
                 [query(items, "{{item}}")], STATE_MAPPING),
    ]  # fmt: skip


def host_keys() -> list[Json]:
    """Return the host keys, and when their certificates run out."""
    # A certificate is shown with a type of its own; its key is the one that lies on the host.
    shown = of("ssh_exchange_host_key_info")
    shown = f'label_replace({shown}, "type", "$1", "type", "(.+)-cert-v01@openssh.com")'
    loaded = on_host("sshd_local_host_key_info")
    absent = {"type": "special", "options": {"match": "null", "result": {"text": "no", "color": WARNING, "index": 1}}}
    columns = {"Value #A": "Shown from outside", "Value #B": "Loaded on the host"}
    cell = {"type": "color-text"}
    overrides = [
        override("byName", name, displayName=title, mappings=[*mapping([("1", "yes", OK)]), absent],
                 custom__cellOptions=cell)
        for name, title in columns.items()
    ]  # fmt: skip
    names = [override("byName", name, displayName=name.title()) for name in ("type", "fingerprint")]
    ends = f"min by (type) ({of('ssh_exchange_host_certificate_expiry_timestamp_seconds')}) - time()"
    return [
        table("Host keys", """The keys that the server shows, at depth hostkey and beyond, beside those that sshd can
              load on the host. A key that is only outside comes from another machine.""",
              [query(f"max by (type, fingerprint) ({one})", at_end=True, form="table") for one in (shown, loaded)],
              [*names, *overrides],
              order=("type", "fingerprint", *columns)),
        stat("Host certificates end in", """Empty where the server shows none, and at the depths before hostkey. Orange
             in the last week, when SshExchangeHostCertificateEnds begins; red when it has run out.""",
             query(ends, "{{type}}", at_end=True), "s", steps(CRITICAL, (0, WARNING), (WEEK, OK)),
             defaults={"noValue": "no certificate"}),
    ]  # fmt: skip


def dashboard() -> Json:
    """Return the whole dashboard."""
    early, endings, deferred, ages = outside()
    startups, drops, banned, items = inside()
    keys, certificate = host_keys()
    widths = (3, 4, 4, 3, 3, 3, 4)
    sections = [
        (4, list(zip(widths, summary(), strict=True))),
        (7, [(24, causes())]),
        (8, [(12, phases()), (12, early)]),
        (1, [(24, heading("Outside and on the host, one above the other"))]),
        (7, [(24, endings)]),
        (7, [(24, startups)]),
        (6, [(24, drops)]),
        (6, [(24, banned)]),
        (12, [(24, items)]),
        (1, [(24, heading("Host keys and budget"))]),
        (8, [(18, keys), (6, certificate)]),
        (7, [(12, deferred), (12, ages)]),
    ]
    hosts = variable(
        "host", "Host (node_exporter)", f"query_result({HOSTS})", regex='/[{,] ?instance="([^"]*)"/', sort=0,
        description="The instance of the node_exporter that has check_sshd_local's metrics of this server.",
    )  # fmt: skip
    variables = [
        DATASOURCE_VARIABLE,
        variable("job", "Job", EVERY_JOB, **with_all()),
        variable("instance", "Instance", INSTANCES),
        variable("target", "Background target", TARGETS),
        hosts,
        EXPORTER,
    ]
    description = "One SSH server, from outside and on its host."
    return frame(SERVER_UID, TITLE, description, ("All servers", FLEET_UID), variables, laid(sections))
