"""The metrics of check_sshd_local, for node_exporter's textfile collector."""

from collections.abc import Iterator

from ..diagnosis.cause import Cause
from ..plugin.perfdata import fixed
from .judge import Outcome
from .memory import Memory

# Name, type and help; names end as OpenMetrics wants it.
FAMILIES = {
    "sshd_local_item_state": ("gauge", "State of an item: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."),
    "sshd_local_cause": ("gauge", "1 for a cause that was found, 0 for the others."),
    "sshd_local_startups": ("gauge", "Connections that have not logged in, the most within a second."),
    "sshd_local_startups_begin": ("gauge", "Connections from which on sshd drops some."),
    "sshd_local_startups_full": ("gauge", "Connections from which on sshd drops all."),
    "sshd_local_drops": ("counter", "Connections that sshd has dropped, by reason."),
    "sshd_local_banned": ("gauge", "Addresses that are banned."),
    "sshd_local_host_key": ("info", "Host keys that sshd can load."),
    "sshd_local_last_run_timestamp_seconds": ("gauge", "When this was measured, in seconds since the epoch."),
}
_DROPS = {
    "maxstartups_drops": "maxstartups",
    "per_source_drops": "per_source_limit",
    "penalty_drops": "penalty",
}


def text(outcome: Outcome, memory: Memory) -> str:
    """Return every family in the text format 0.0.4, named as OpenMetrics 1.0 has them: counters end in _total."""
    lines: list[str] = []
    for name, (kind, words) in FAMILIES.items():
        samples = list(_samples(name, outcome, memory))
        if samples:
            full = f"{name}_total" if kind == "counter" else f"{name}_info" if kind == "info" else name
            # The textfile collector reads the text format 0.0.4, where the whole name stands in TYPE.
            lines += [f"# HELP {full} {words}", f"# TYPE {full} {'gauge' if kind == 'info' else kind}"]
            lines += [f"{full}{labels} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _samples(name: str, outcome: Outcome, memory: Memory) -> Iterator[tuple[str, str]]:
    match name:
        case "sshd_local_item_state":
            looked = [one for one in outcome.judged if one.word != "skipped"]
            yield from ((f'{{item="{one.finding.item}"}}', str(int(one.state))) for one in looked)
        case "sshd_local_cause":
            found = {one.cause for one in outcome.causes} or {Cause.HEALTHY}
            yield from ((f'{{cause="{cause}"}}', str(int(cause in found))) for cause in Cause)
        case "sshd_local_drops":
            log = outcome.of("log")
            for label, reason in _DROPS.items() if log and not log.finding.is_skipped else ():
                yield f'{{reason="{reason}"}}', fixed(memory.counters.get(label, 0))
        case "sshd_local_host_key":
            keys = outcome.of("host_keys")
            shown = keys.finding.keys if keys else ()
            yield from ((f'{{type="{kind}",fingerprint="{fingerprint}"}}', "1") for kind, fingerprint in shown)
        case "sshd_local_last_run_timestamp_seconds":
            yield "", f"{outcome.seen.at:.3f}"
        case _:
            value = _single(name.removeprefix("sshd_local_"), outcome)
            yield from [("", fixed(value))] if value is not None else []


def _single(name: str, outcome: Outcome) -> float | None:
    busiest = max((one.startups for one in outcome.daemons if one.startups), default=None)
    if name in ("startups_begin", "startups_full"):
        return busiest and float(busiest.begin if name == "startups_begin" else busiest.full)
    return dict(outcome.figures).get(name)
