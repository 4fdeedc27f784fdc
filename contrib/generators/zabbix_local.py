"""The template "SSH daemon by Zabbix agent": the agent reads the file that check_sshd_local writes on the host."""

from check_ssh_exchange.diagnosis.cause import Cause

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
)

TEMPLATE = Named("SSH daemon by Zabbix agent", "SSH daemon")
MASTER = 'vfs.file.contents["{$SSHD_LOCAL.FILE}"]'
AGE, CAUSES, NEXT = "sshd_local.age", "sshd_local.causes", "sshd_local.next_connection"
STARTUPS, BEGIN, FULL = "sshd_local.startups", "sshd_local.startups.begin", "sshd_local.startups.full"
STATE_MAP = "SSH daemon state"
PORT = "22"  # in what to run on the server; check_sshd_local looks at every sshd there
# Counters by the reason that sshd drops a connection for; penalties against strangers are its healthy work.
REASONS = (Cause.MAXSTARTUPS, Cause.PER_SOURCE_LIMIT, Cause.PENALTY)

MACROS = (
    macro(
        "SSHD_LOCAL.FILE", "/var/lib/prometheus/node-exporter/sshd_local.prom",
        "What check_sshd_local_textfile.service writes, and the agent may read.",
    ),
    macro("SSHD_LOCAL.INTERVAL", "1m", "How often the file is read: as often as check_sshd_local writes it."),
    macro("SSHD_LOCAL.AGE.MAX", "300", "Seconds after which a run of check_sshd_local is overdue."),
    macro("SSHD_LOCAL.NODATA", "10m", "Without a file that can be read for this time, it is a problem."),
    macro(
        "SSHD_LOCAL.TIME", "3m",
        "How long an item must be in its state before it is a problem; with a context for one item alone.",
    ),
    macro("SSHD_LOCAL.TIME:bans", "15m", "As {$SSHD_LOCAL.TIME}, for the item bans: a jail needs time to count."),
    macro("SSHD_LOCAL.TIME:startups", "10m", "As {$SSHD_LOCAL.TIME}, for startups, which come and go."),
    macro("SSHD_LOCAL.STARTUPS.MAX", "50", "Percent of MaxStartups' begin that may be in use."),
    macro("SSHD_LOCAL.DROPS.MAX", "0", "Connections a second that sshd may drop; the reason may be the context."),
    macro(
        "SSH_EXCHANGE.URL", "http://127.0.0.1:10922",
        "An exporter, for the links of the triggers: write a name that your browser can open.",
    ),
)  # fmt: skip


def drops_key(reason: Cause) -> str:
    """Return the key of the item that counts the drops for a reason."""
    return f"sshd_local.drops.rate[{reason}]"


def master() -> Element:
    """Return the item that reads the file."""
    return TEMPLATE.item(MASTER, "Get metrics", "The last result of check_sshd_local, as text.", "TEXT") | {
        "delay": "{$SSHD_LOCAL.INTERVAL}",
        "history": "0",
        "tags": tags("component", "raw"),
    }


def items() -> list[Element]:
    """Return the items that are read from the file, without those of discovery."""
    find = TEMPLATE.dependent
    names = "return JSON.parse(value).map(function (row) {\n    return row.labels.cause;\n}).join(', ');"
    age = "return Math.round(Date.now() / 1000 - Number(value));"
    return [
        find(
            MASTER, AGE, "Age of the last run", "By the clocks of the host and of the Zabbix server or proxy.",
            pattern("sshd_local_last_run_timestamp_seconds"), step("JAVASCRIPT", age), units="s",
        ),
        find(
            MASTER, CAUSES, "Causes", "What check_sshd_local found; each cause has a page in the runbook.",
            step("PROMETHEUS_TO_JSON", "sshd_local_cause == 1"), step("JAVASCRIPT", names), kind="CHAR",
        ),
        find(
            MASTER, NEXT, "What the next connection or restart needs",
            "The worst state of the binaries, the configuration and the host keys.",
            optional(
                step(
                    "PROMETHEUS_PATTERN", 'sshd_local_item_state{item=~"binaries|configuration|host_keys"}',
                    "function", "max",
                )
            ),
            kind="UNSIGNED", valuemap={"name": STATE_MAP},
        ),
        *startups(),
        find(
            MASTER, "sshd_local.banned", "Banned addresses", "Of fail2ban and its like.",
            optional(pattern("sshd_local_banned")), kind="UNSIGNED",
        ),
        *drops(),
    ]  # fmt: skip


def startups() -> list[Element]:
    """Return the items of connections that have not logged in, and their limits."""
    return [
        TEMPLATE.dependent(
            MASTER, key, name, description, optional(pattern(metric)), kind="UNSIGNED",
            tags=tags("component", "startups"),
        )
        for key, name, description, metric in (
            (STARTUPS, "Startups", "Connections that have not logged in, the most within a second.",
             "sshd_local_startups"),
            (BEGIN, "Startups from which on some are dropped", "By MaxStartups.", "sshd_local_startups_begin"),
            (FULL, "Startups from which on all are dropped", "By MaxStartups.", "sshd_local_startups_full"),
        )
    ]  # fmt: skip


def drops() -> list[Element]:
    """Return an item for each reason that sshd drops connections for."""
    return [
        TEMPLATE.dependent(
            MASTER, drops_key(reason), f"Connections dropped per second, reason {reason}", "By sshd's log.",
            optional(pattern(f'sshd_local_drops_total{{reason="{reason}"}}')), step("CHANGE_PER_SECOND"),
            tags=tags("component", "drops"),
        )
        for reason in REASONS
    ]  # fmt: skip


def triggers() -> dict[str, Element]:
    """Return the triggers by a word; those that others depend on come first."""
    of, at = TEMPLATE.trigger, TEMPLATE.at
    found = {}
    late = found["late"] = of(
        "check_sshd_local has not run", f"last({at(AGE)})>{{$SSHD_LOCAL.AGE.MAX}}", "WARNING", "notice",
        "The file is there and old. Its timer or cron job may have stopped, or fails: run its command by hand. What "
        "the other items say is as old.",
        event_name=TEMPLATE.called("check_sshd_local has not run (for more than {$SSHD_LOCAL.AGE.MAX}s)"),
        opdata="Last run: {ITEM.LASTVALUE1} ago",
    )  # fmt: skip
    found["nodata"] = of(
        "No result of check_sshd_local", f"nodata({at(AGE)},{{$SSHD_LOCAL.NODATA}})=1", "WARNING", "notice",
        "The agent does not answer, or cannot read {$SSHD_LOCAL.FILE}: the item \"Get metrics\" has the error. The "
        "user zabbix needs to read the file and to search its directories.",
        event_name=TEMPLATE.called("No result of check_sshd_local (for {$SSHD_LOCAL.NODATA})"),
        opdata="Age of the last: {ITEM.LASTVALUE1}",
    )  # fmt: skip
    found["next"] = of(
        "sshd will turn everyone away at its next connection or restart",
        f"min({at(NEXT)},{{$SSHD_LOCAL.TIME}})>=2 and length(last({at(CAUSES)}))>0", "HIGH", "availability",
        "Repair it before sshd restarts, and keep a session open. On the server: check_sshd_local --only "
        "binaries,configuration,host_keys -v\n\n" + meaning(Cause.SERVER_FAULT, PORT), Cause.SERVER_FAULT,
        event_name=TEMPLATE.called(
            "sshd will turn everyone away at its next connection or restart (for {$SSHD_LOCAL.TIME})"
        ),
        opdata="State: {ITEM.LASTVALUE1}, causes: {ITEM.LASTVALUE2}", **depends(late),
    )  # fmt: skip
    time = "{$SSHD_LOCAL.TIME:startups}"
    found["startups"] = of(
        "sshd is near MaxStartups",
        f"min({at(STARTUPS)},{time})>last({at(BEGIN)})*{{$SSHD_LOCAL.STARTUPS.MAX}}/100", "WARNING", "capacity",
        meaning(Cause.MAXSTARTUPS, PORT), Cause.MAXSTARTUPS, **depends(late),
        event_name=TEMPLATE.called(f"sshd is near MaxStartups (over {{$SSHD_LOCAL.STARTUPS.MAX}}% for {time})"),
        opdata="Startups: {ITEM.LASTVALUE1} of {ITEM.LASTVALUE2}",
    )  # fmt: skip
    for reason in (Cause.MAXSTARTUPS, Cause.PER_SOURCE_LIMIT):
        most = f"{{$SSHD_LOCAL.DROPS.MAX:{reason}}}"
        found[reason] = of(
            f"sshd drops connections, reason {reason}", f"avg({at(drops_key(reason))},{{$SSHD_LOCAL.TIME}})>{most}",
            "AVERAGE" if reason is Cause.MAXSTARTUPS else "WARNING", "capacity", meaning(reason, PORT), reason,
            event_name=TEMPLATE.called(f"sshd drops connections, reason {reason} (over {most}/s)"),
            opdata="Dropped: {ITEM.LASTVALUE1} a second", **depends(late),
        )  # fmt: skip
    return found


def states(late: Element) -> Element:
    """Return the discovery of what check_sshd_local has looked at."""
    key, of, time = "sshd_local.item[{#ITEM}]", TEMPLATE.at("sshd_local.item[{#ITEM}]"), '{$SSHD_LOCAL.TIME:"{#ITEM}"}'
    made = TEMPLATE.dependent(
        MASTER, key, "Item {#ITEM}", "Its state by the thresholds of check_sshd_local.",
        optional(pattern('sshd_local_item_state{item="{#ITEM}"}')), kind="UNSIGNED", valuemap={"name": STATE_MAP},
        tags=tags("component", "items"),
    )  # fmt: skip
    says = "On the server: check_sshd_local --only {#ITEM} -v says what it found, and what to do."
    shown = "State: {ITEM.LASTVALUE1}, causes of the host: {ITEM.LASTVALUE2}"
    causes = f"length(last({TEMPLATE.at(CAUSES)}))>0"
    critical = TEMPLATE.trigger(
        "Item {#ITEM} is CRITICAL", f"min({of},{time})=2 and max({of},{time})=2 and {causes}",
        "AVERAGE", "notice", says,
        event_name=TEMPLATE.called(f"Item {{#ITEM}} is CRITICAL (for {time})"), opdata=shown, **depends(late),
    )  # fmt: skip
    warning = TEMPLATE.trigger(
        "Item {#ITEM} is not OK", f"min({of},{time})>=1 and {causes}", "WARNING", "notice", says,
        event_name=TEMPLATE.called(f"Item {{#ITEM}} is not OK (for {time})"), opdata=shown, **depends(late, critical),
    )  # fmt: skip
    rule = TEMPLATE.discovery(
        MASTER, "sshd_local.items", "Items", "What check_sshd_local has looked at.", "sshd_local_item_state", "item"
    )
    return rule | {"item_prototypes": [made], "trigger_prototypes": [critical, warning]}


def template() -> str:
    """Return zabbix/sshd_local_by_agent.yaml."""
    found = triggers()
    waiting, dropped, of = "Startups", "Dropped connections by reason", TEMPLATE.widget
    host_keys = TEMPLATE.host_keys(
        MASTER, "sshd_local", "The types of the host keys that sshd can load.", "AVERAGE",
        "Clients refuse a host key that they do not know.", "Loaded", meaning(Cause.HOST_KEY, PORT),
    )  # fmt: skip
    return export(
        TEMPLATE,
        description="Reads what check_sshd_local --output-format openmetrics writes on the SSH server.",
        macros=MACROS,
        items=[master(), *items()],
        triggers=list(found.values()),
        discovery_rules=[states(found["late"]), host_keys],
        graphs=[
            TEMPLATE.graph(waiting, [STARTUPS, BEGIN, FULL]),
            TEMPLATE.graph(dropped, [drops_key(reason) for reason in REASONS], type="STACKED"),
        ],
        dashboards=[
            TEMPLATE.dashboard(
                "SSH daemon",
                [
                    of("ITEM", NEXT, 0, 0, 6, 3),
                    of("ITEM", CAUSES, 6, 0, 12, 3),
                    of("ITEM", AGE, 18, 0, 6, 3),
                    of("GRAPH_CLASSIC", waiting, 0, 3, 12, 6),
                    of("GRAPH_CLASSIC", dropped, 12, 3, 12, 6),
                ],
            )
        ],
        valuemaps=[TEMPLATE.valuemap(STATE_MAP, STATES)],
    )
