"""The figures of a run under their public labels, in their public order: what perfdata and thresholds name."""

from ..ending import TIMEOUTS, Depth, Ending
from ..plugin.perfdata import Figure
from ..report import Report, Role, quantile

# Counters of one ending each, under its own word.
ENDING_LABELS = (
    Ending.CLOSED,
    Ending.RESET,
    Ending.TURNED_AWAY,
    Ending.CLOSED_AFTER_BANNER,
    Ending.REFUSED,
    Ending.REJECTED,
)
UNITS: dict[str, str] = {
    "handshakes": "",
    "completed": "",
    "early_close": "%",
    "failed": "%",
    **{f"{phase}_{what}": "s" for phase in ("connect", "banner", "kexinit") for what in ("p50", "max")},
    **{str(ending): "" for ending in ENDING_LABELS},
    "timeout": "",
    "baseline_banner": "s",
    # Only with the depths that have these phases.
    **{f"{phase}_{what}": "s" for phase in ("hostkey", "kex", "login") for what in ("p50", "max")},
    "host_certificate_remaining": "s",  # only where a certificate was shown
    # Only where drops allow an estimate, and with a state file.
    "startups_estimate": "",
    "early_close_window": "%",
}
LABELS = tuple(UNITS)

_PHASES = ("connect", "banner", "kexinit")
PHASES_OF: dict[Depth, tuple[str, ...]] = {
    Depth.BANNER: _PHASES,
    Depth.KEXINIT: _PHASES,
    Depth.HOSTKEY: (*_PHASES, "hostkey"),
    Depth.KEX: (*_PHASES, "kex", "login"),
    Depth.LOGIN: (*_PHASES, "kex", "login"),
}

DEFAULT_WARNING = {"early_close": "0", "banner_p50": "1", "early_close_window": "1"}
DEFAULT_CRITICAL = {"early_close": "50", "banner_p50": "5"}


def figures(report: Report, startups: int | None = None, window: tuple[int, int] | None = None) -> list[Figure]:
    """Return what was measured, in order; what was not measured is left out.

    `startups` is the estimate of the unauthenticated connections that others hold, `window` the early closes and the
    accepted connections of the remembered window.
    """
    values: dict[str, float | None] = dict.fromkeys(LABELS)
    counts = report.counts
    ratio = report.early_close_ratio
    values["handshakes"] = len(report.handshakes)
    values["completed"] = report.completed
    values["early_close"] = None if ratio is None else 100 * ratio
    made = len(report.handshakes)
    values["failed"] = 100 * (made - report.completed) / made if made else None
    for ending in ENDING_LABELS:
        values[ending] = counts[ending]
    values["timeout"] = sum(counts[ending] for ending in TIMEOUTS)
    for phase in PHASES_OF[report.depth]:
        ordered = report.durations(phase)
        if ordered:
            values[f"{phase}_p50"] = quantile(ordered, 0.5)
            values[f"{phase}_max"] = ordered[-1]
    served = (handshake for handshake in report.of_role(Role.BASELINE) if handshake.ending is Ending.COMPLETED)
    baseline = [handshake.banner for handshake in served if handshake.banner is not None]
    values["baseline_banner"] = baseline[0] if baseline else None
    ends = [end for key in report.host_keys if key.certificate and (end := key.certificate.valid_before) is not None]
    values["host_certificate_remaining"] = max(0.0, min(ends) - report.at) if ends else None
    values["startups_estimate"] = startups
    if window is not None and window[1]:
        values["early_close_window"] = 100 * window[0] / window[1]
    return [Figure(label, value) for label, value in values.items() if value is not None]
