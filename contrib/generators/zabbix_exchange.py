"""The template "SSH exchange by HTTP": Zabbix asks the exporter's /probe, and every item is read from its answer."""

from check_ssh_exchange.diagnosis.cause import PHRASES, Cause
from check_ssh_exchange.ending import Ending

from .zabbix_export import (
    STATES,
    Element,
    Named,
    depends,
    export,
    macro,
    meaning,
    optional,
    pattern,
    step,
    tags,
    unchanged,
    uuid,
)

TEMPLATE = Named("SSH exchange by HTTP", "SSH exchange")
MASTER = "ssh_exchange.get"
CAUSE, SUCCESS, STATE = "ssh_exchange.cause", "ssh_exchange.success", "ssh_exchange.state"
EARLY_CLOSE, AGE, SOFTWARE = "ssh_exchange.early_close", "ssh_exchange.result_age", "ssh_exchange.server[software]"
STATE_MAP, CAUSE_MAP = "SSH exchange state", "SSH exchange cause"

# The word at the end, whether Zabbix maps the value to `phrase (word)` there or not: the name of the cause's page.
LAST_CAUSE = r'{{ITEM.LASTVALUE2}.regsub("([a-z_]+)\)?$", "\1")}'

# The causes for which nobody gets in: with these there is no need of the trigger that knows no cause.
DOWN = (Cause.SERVER_FAULT, Cause.STALLED, Cause.NOT_LISTENING, Cause.FILTERED, Cause.UNREACHABLE,
        Cause.NAME_RESOLUTION, Cause.PROXY, Cause.TARPIT, Cause.NOT_SSH, Cause.INCOMPATIBLE)  # fmt: skip
SEVERE = {**dict.fromkeys(DOWN, "HIGH"), Cause.HOST_KEY: "HIGH", Cause.MAXSTARTUPS: "AVERAGE"}
SCOPES = {
    **dict.fromkeys(DOWN, "availability"),
    **dict.fromkeys((Cause.MAXSTARTUPS, Cause.PER_SOURCE_LIMIT, Cause.PENALTY, Cause.RATE_LIMIT), "capacity"),
    Cause.SLOW: "performance",
    Cause.HOST_KEY: "security",
}
QUANTILES = {"p50": ("0.5", "median"), "p90": ("0.9", "90th percentile"), "max": ("1", "longest")}

MACROS = (
    macro(
        "SSH_EXCHANGE.URL", "http://127.0.0.1:10922",
        "The exporter, as the Zabbix server (or the host's proxy) reaches it. The links of triggers lead there too: "
        "write a name that your browser can open.",
    ),
    macro("SSH_EXCHANGE.PORT", "22", "The port of the SSH server."),
    macro("SSH_EXCHANGE.MODULE", "default", "A module of the exporter's configuration: handshakes, depth, thresholds."),
    macro(
        "SSH_EXCHANGE.INTERVAL", "1m",
        "How often the server is probed. Each probe is 5 handshakes without a login, for which OpenSSH 9.8 and later "
        "charges 1 s each and forgives 1 s a second: below 30s only with a module that is exempt.",
    ),
    macro(
        "SSH_EXCHANGE.TIMEOUT", "15",
        "Seconds that Zabbix waits for a result, 60 at most; the exporter answers half a second earlier. More than the "
        "module's timeout.",
    ),
    macro("SSH_EXCHANGE.USER", "", "A user of the exporter's web configuration file, where it asks for one."),
    macro("SSH_EXCHANGE.PASSWORD", "", "That user's password.", type="SECRET_TEXT"),
    macro(
        "SSH_EXCHANGE.TIME", "5m",
        "How long every result must show a cause before it is a problem; with a context for one cause alone.",
    ),
    *(
        macro(f"SSH_EXCHANGE.TIME:{cause}", time, f"As {{$SSH_EXCHANGE.TIME}}, for the cause {cause}.")
        for cause, time in {
            Cause.BANNED: "2m", Cause.ACCESS_DENIED: "2m", Cause.SERVER_FAULT: "2m", Cause.HOST_KEY: "2m",
            Cause.SLOW: "10m",
        }.items()
    ),
    macro("SSH_EXCHANGE.DROP.TIME", "1h", "Over which time early closes without a sure cause are averaged."),
    macro("SSH_EXCHANGE.DROP.MAX", "0", "Percent of connections that may be closed early in that time."),
    macro("SSH_EXCHANGE.PHASE.MAX", "5", "Seconds that the median of a phase may take; the phase may be the context."),
    macro("SSH_EXCHANGE.CERTIFICATE.DAYS", "7", "Days before the end of a host certificate when it is a problem."),
    macro("SSH_EXCHANGE.AGE.MAX", "1800", "Age of a result in seconds from which on it is a problem."),
    macro("SSH_EXCHANGE.NODATA", "10m", "Without any result for this time, the exporter does not answer."),
)  # fmt: skip


def master() -> Element:
    """Return the item that asks the exporter."""
    return TEMPLATE.item(MASTER, "Get metrics", "What the exporter's /probe says of this server, as text.", "TEXT") | {
        "type": "HTTP_AGENT",
        "delay": "{$SSH_EXCHANGE.INTERVAL}",
        "history": "0",
        "authtype": "BASIC",
        "username": "{$SSH_EXCHANGE.USER}",
        "password": "{$SSH_EXCHANGE.PASSWORD}",
        "timeout": "{$SSH_EXCHANGE.TIMEOUT}",
        "url": "{$SSH_EXCHANGE.URL}/probe",
        "query_fields": [
            {"name": "target", "value": "{HOST.CONN}:{$SSH_EXCHANGE.PORT}"},
            {"name": "module", "value": "{$SSH_EXCHANGE.MODULE}"},
        ],
        "headers": [{"name": "X-Prometheus-Scrape-Timeout-Seconds", "value": "{$SSH_EXCHANGE.TIMEOUT}"}],
        "verify_peer": "YES",
        "verify_host": "YES",
        "tags": tags("component", "raw"),
    }


def verdict() -> list[Element]:
    """Return the items of what came out."""
    find = TEMPLATE.dependent
    return [
        find(
            MASTER, STATE, "State", "By the thresholds of the exporter's module.",
            pattern("ssh_exchange_state"), kind="UNSIGNED", valuemap={"name": STATE_MAP},
        ),
        find(
            MASTER, CAUSE, "Cause", "Why handshakes end as they do; each cause has a page in the runbook.",
            pattern("ssh_exchange_cause == 1", "cause"), kind="CHAR", valuemap={"name": CAUSE_MAP},
        ),
        find(
            MASTER, SUCCESS, "Probe success", "1 if at least one handshake completed.",
            pattern("probe_success"), kind="UNSIGNED",
        ),
        find(
            MASTER, EARLY_CLOSE, "Early closes",
            "Percent of the accepted connections that the server closed before the key exchange.",
            optional(pattern("ssh_exchange_early_close_ratio")), step("MULTIPLIER", "100"), units="%",
        ),
    ]  # fmt: skip


def times() -> list[Element]:
    """Return the items of how old a result is, and how long it took."""
    find = TEMPLATE.dependent
    return [
        find(
            MASTER, AGE, "Age of the result",
            "Above 0 where the server's budget allowed no new probe, or the result is shared.",
            pattern("ssh_exchange_result_age_seconds"), units="s",
        ),
        find(
            MASTER, "ssh_exchange.duration", "Duration of the probe", "Until the exporter's answer was ready.",
            pattern("probe_duration_seconds"), units="s",
        ),
        find(
            MASTER, "ssh_exchange.lookup", "Name lookup", "Seconds that the name took to resolve.",
            optional(pattern("probe_dns_lookup_time_seconds")), units="s",
        ),
    ]  # fmt: skip


def server() -> list[Element]:
    """Return the items of what the server is."""
    find = TEMPLATE.dependent
    return [
        find(
            MASTER, SOFTWARE, "Server software", "From the server's identification line.",
            optional(pattern("ssh_exchange_server_info", "software")), unchanged("1d"), kind="CHAR",
            tags=tags("component", "server"),
        ),
        find(
            MASTER, "ssh_exchange.server[protocol]", "Server protocol", "From the server's identification line.",
            optional(pattern("ssh_exchange_server_info", "protocol")), unchanged("1d"), kind="CHAR",
            tags=tags("component", "server"),
        ),
        find(
            MASTER, "ssh_exchange.post_quantum", "Post-quantum key exchange",
            "1 if the server offers a hybrid key exchange.",
            optional(pattern("ssh_exchange_post_quantum")), unchanged("1d"), kind="UNSIGNED",
            tags=tags("component", "server"),
        ),
    ]  # fmt: skip


def ending_key(ending: Ending) -> str:
    """Return the key of the item that counts an ending."""
    return f"ssh_exchange.handshakes[{ending}]"


def endings() -> list[Element]:
    """Return an item for each ending; there are always all of them, so a graph can stack them."""
    return [
        TEMPLATE.dependent(
            MASTER, ending_key(ending), f"Handshakes {ending.phrase}", f"Of the last probe, ending {ending}.",
            pattern(f'ssh_exchange_handshakes{{ending="{ending}"}}'), kind="UNSIGNED",
            tags=tags("component", "handshakes"),
        )
        for ending in Ending
    ]  # fmt: skip


def cause_trigger(cause: Cause, *above: Element) -> Element:
    """Return the trigger for a cause that every result of its time shows."""
    time, of = f"{{$SSH_EXCHANGE.TIME:{cause}}}", TEMPLATE.at(CAUSE)
    name = PHRASES[cause]
    made = TEMPLATE.trigger(
        name, f'count({of},{time},"ne","{cause}")=0 and last({of})="{cause}" and last({TEMPLATE.at(STATE)})>=0',
        SEVERE.get(cause, "WARNING"), SCOPES.get(cause, "notice"), meaning(cause), cause,
        uuid=uuid(TEMPLATE.template, "trigger", cause),  # the same with another phrase
        event_name=TEMPLATE.called(f"{name} (for {time})"),
        opdata="Cause: {ITEM.LASTVALUE1}, state: {ITEM.LASTVALUE3}",
    )  # fmt: skip
    return made | {"tags": [*tags("cause", cause), *made["tags"]], **depends(*above)}


def triggers() -> dict[str, Element]:
    """Return the triggers by a word; those that others depend on come first."""
    of, at = TEMPLATE.trigger, TEMPLATE.at
    found: dict[str, Element] = {cause: cause_trigger(cause) for cause in (*DOWN, Cause.HOST_KEY)}
    down = found["down"] = of(
        "No SSH handshake completes",
        f"max({at(SUCCESS)},{{$SSH_EXCHANGE.TIME}})=0 and length(last({at(CAUSE)}))>0", "HIGH", "availability",
        "No probe has completed a handshake for a while. The operational data and the link name the last cause.",
        LAST_CAUSE,
        event_name=TEMPLATE.called("No SSH handshake completes (for {$SSH_EXCHANGE.TIME})"),
        opdata="Last cause: {ITEM.LASTVALUE2}", **depends(*(found[cause] for cause in DOWN)),
    )  # fmt: skip
    rest = [cause for cause in Cause if cause not in found and cause is not Cause.HEALTHY]
    found |= {cause: cause_trigger(cause, down) for cause in rest}
    return found | less_sure(down) | of_results() | {"software": software()}


def less_sure(down: Element) -> dict[str, Element]:
    """Return the triggers for what no cause explains."""
    of, at = TEMPLATE.trigger, TEMPLATE.at
    found = {}
    found["drop"] = of(
        "Some connections are closed early, and no cause is sure",
        f"avg({at(EARLY_CLOSE)},{{$SSH_EXCHANGE.DROP.TIME}})>{{$SSH_EXCHANGE.DROP.MAX}} and "
        f"avg({at(EARLY_CLOSE)},{{$SSH_EXCHANGE.DROP.TIME}})<100 and "
        f"count({at(CAUSE)},{{$SSH_EXCHANGE.DROP.TIME}})>0 and count({at(CAUSE)},{{$SSH_EXCHANGE.DROP.TIME}})="
        f'count({at(CAUSE)},{{$SSH_EXCHANGE.DROP.TIME}},"regexp","^(healthy|slow|unexplained)$")',
        "WARNING", "capacity",
        "So the random early drop of MaxStartups looks to one who comes rarely: most probes are served. "
        + meaning(Cause.MAXSTARTUPS), Cause.MAXSTARTUPS,
        event_name=TEMPLATE.called("Some connections are closed early (within {$SSH_EXCHANGE.DROP.TIME})"),
        opdata="Closed early in the last probe: {ITEM.LASTVALUE1}", **depends(down),
    )  # fmt: skip
    found["state"] = of(
        "State is not OK, and every handshake is as it should be",
        f'min({at(STATE)},{{$SSH_EXCHANGE.TIME}})>=1 and last({at(CAUSE)})="healthy"', "WARNING", "notice",
        "A threshold or an expectation of the exporter's module is not met, as a software version that was not "
        "expected. The exporter's first page lists the last probes; each has a page with its evidence.",
        opdata="State: {ITEM.LASTVALUE1}", **depends(down),
    )  # fmt: skip
    return found


def of_results() -> dict[str, Element]:
    """Return the triggers for results that are old or do not come."""
    of, at = TEMPLATE.trigger, TEMPLATE.at
    found = {}
    found["age"] = of(
        "The last result is old", f"last({at(AGE)})>{{$SSH_EXCHANGE.AGE.MAX}}", "WARNING", "notice",
        "The exporter answers with an old result: the server's budget of handshakes allows no new probe. Probe less "
        "often, or with fewer handshakes, or exempt the exporter's address on the server and in the module.",
        event_name=TEMPLATE.called("The last result is old (over {$SSH_EXCHANGE.AGE.MAX}s)"),
        opdata="Age: {ITEM.LASTVALUE1}",
    )  # fmt: skip
    found["nodata"] = of(
        "No result from the exporter", f"nodata({at(STATE)},{{$SSH_EXCHANGE.NODATA}})=1", "AVERAGE", "availability",
        "The exporter at {$SSH_EXCHANGE.URL} does not answer, or refuses this target or module; no other trigger can "
        "speak for it. The item \"Get metrics\" has the error: 400 is an unknown module or a malformed target, 401 a "
        "wrong user, 403 a target that allowed_targets does not have.",
        event_name=TEMPLATE.called("No result from the exporter (for {$SSH_EXCHANGE.NODATA})"),
        opdata="Last state: {ITEM.LASTVALUE1}",
    )  # fmt: skip
    return found


def software() -> Element:
    """Return the trigger for another version."""
    at = TEMPLATE.at
    return TEMPLATE.trigger(
        "Server software has changed",
        f"last({at(SOFTWARE)},#1)<>last({at(SOFTWARE)},#2) and length(last({at(SOFTWARE)}))>0", "INFO", "notice",
        "After an upgrade this is as it should be. Acknowledge to close.",
        event_name=TEMPLATE.called("Server software has changed (new: {ITEM.VALUE})"), manual_close="YES",
        opdata="Software: {ITEM.LASTVALUE1}",
    )  # fmt: skip


def phases(down: Element, slow: Element) -> Element:
    """Return the discovery of the phases, which depend on the module's depth."""
    key = "ssh_exchange.phase[{{#PHASE}},{}]".format
    prototypes = [
        TEMPLATE.dependent(
            MASTER, key(word), f"Phase {{#PHASE}}: {name}", "Seconds, over the handshakes that completed.",
            optional(pattern(f'ssh_exchange_phase_seconds{{phase="{{#PHASE}}",quantile="{quantile}"}}')), units="s",
            tags=tags("component", "phases"),
        )
        for word, (quantile, name) in QUANTILES.items()
    ]  # fmt: skip
    time = f"{{$SSH_EXCHANGE.TIME:{Cause.SLOW}}}"
    prototypes[0]["trigger_prototypes"] = [
        TEMPLATE.trigger(
            "Phase {#PHASE} is slow", f'min({TEMPLATE.at(key("p50"))},{time})>{{$SSH_EXCHANGE.PHASE.MAX:"{{#PHASE}}"}}',
            "WARNING", "performance", meaning(Cause.SLOW), Cause.SLOW,
            event_name=TEMPLATE.called(
                f'Phase {{#PHASE}} is slow (over {{$SSH_EXCHANGE.PHASE.MAX:"{{#PHASE}}"}}s for {time})'
            ),
            opdata="Median: {ITEM.LASTVALUE1}", **depends(down, slow),
        )
    ]  # fmt: skip
    query = 'ssh_exchange_phase_seconds{quantile="0.5"}'
    rule = TEMPLATE.discovery(
        MASTER, "ssh_exchange.phases", "Phases", "The phases that handshakes have completed.", query, "phase"
    )
    graph = TEMPLATE.graph("Phase {#PHASE}", [key(word) for word in QUANTILES])
    return rule | {"item_prototypes": prototypes, "graph_prototypes": [graph]}


def certificates() -> Element:
    """Return the discovery of host certificates."""
    key, metric = "ssh_exchange.host_certificate[{#TYPE}]", "ssh_exchange_host_certificate_expiry_timestamp_seconds"
    made = TEMPLATE.dependent(
        MASTER, key, "Host certificate {#TYPE} ends", "The first of its type that runs out.",
        optional(pattern(f'{metric}{{type="{{#TYPE}}"}}')), kind="UNSIGNED", units="unixtime",
        tags=tags("component", "host keys"),
    )  # fmt: skip
    made["trigger_prototypes"] = [
        TEMPLATE.trigger(
            "Host certificate {#TYPE} ends soon",
            f"(last({TEMPLATE.at(key)})-now())/86400<{{$SSH_EXCHANGE.CERTIFICATE.DAYS}}", "AVERAGE", "security",
            "Sign the host key again with your certificate authority (ssh-keygen -s), and have sshd load it.",
            Cause.HOST_KEY, opdata="Ends: {ITEM.LASTVALUE1}",
            event_name=TEMPLATE.called("Host certificate {#TYPE} ends within {$SSH_EXCHANGE.CERTIFICATE.DAYS} days"),
        )
    ]  # fmt: skip
    rule = TEMPLATE.discovery(
        MASTER, "ssh_exchange.host_certificates", "Host certificates", "The types of the host certificates shown.",
        metric, "type",
    )  # fmt: skip
    return rule | {"item_prototypes": [made]}


def template() -> str:
    """Return zabbix/ssh_exchange_by_http.yaml."""
    found = triggers()
    by_ending, closes, of = "Handshakes by ending", "Early closes", TEMPLATE.widget
    host_keys = TEMPLATE.host_keys(
        MASTER, "ssh_exchange", "The types of the host keys that the server has shown.", "HIGH",
        "Ask who changed it before anyone accepts it.", "Shown", meaning(Cause.HOST_KEY),
    )  # fmt: skip
    return export(
        TEMPLATE,
        description="Asks ssh_exchange_exporter for SSH handshakes with the host, and why they end as they do.",
        macros=MACROS,
        items=[master(), *verdict(), *times(), *server(), *endings()],
        triggers=list(found.values()),
        discovery_rules=[phases(found["down"], found[Cause.SLOW]), host_keys, certificates()],
        graphs=[
            TEMPLATE.graph(by_ending, [ending_key(ending) for ending in Ending], type="STACKED"),
            TEMPLATE.graph(closes, [EARLY_CLOSE], ymin_type_1="FIXED", ymax_type_1="FIXED"),
        ],
        dashboards=[
            TEMPLATE.dashboard(
                "SSH exchange",
                [
                    of("ITEM", STATE, 0, 0, 6, 3),
                    of("ITEM", CAUSE, 6, 0, 12, 3),
                    of("ITEM", SOFTWARE, 18, 0, 6, 3),
                    of("GRAPH_CLASSIC", by_ending, 0, 3, 12, 6),
                    of("GRAPH_CLASSIC", closes, 12, 3, 12, 6),
                    of("GRAPH_PROTOTYPE", "Phase {#PHASE}", 0, 9, 24, 6),
                ],
            )
        ],
        valuemaps=[
            TEMPLATE.valuemap(STATE_MAP, STATES),
            TEMPLATE.valuemap(CAUSE_MAP, {str(cause): phrase for cause, phrase in PHRASES.items()}),
        ],
    )
