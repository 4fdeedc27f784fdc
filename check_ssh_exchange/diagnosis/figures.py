"""The figures of a run under their public labels, in their public order: what perfdata and thresholds name."""

from functools import lru_cache

from ..ending import TIMEOUTS, Depth, Ending
from ..plugin.perfdata import Figure
from ..report import PHASES, Report, Role, quantile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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


def figures(
    report: Report,
    startups: int | None = None,
    window: tuple[int, int] | None = None,
    wanted: tuple[str, ...] = LABELS,
) -> list[Figure]:
    """Return what was measured, in the order of `wanted`; what was not measured is left out.

    `startups` is the estimate of the unauthenticated connections that others hold, `window` the early closes and the
    accepted connections of the remembered window.
    """
    found = []
    for label in wanted:
        value: float | None
        if label == "startups_estimate":
            value = startups
        elif label == "early_close_window":
            value = 100 * window[0] / window[1] if window is not None and window[1] else None
        else:
            value = _VALUES[label](report)
        if value is not None:
            found.append(Figure(label, value))
    return found


@lru_cache(256)  # the same for each server that an exporter probes
def in_order(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return labels in their public order, each once."""
    return tuple(label for label in LABELS if label in labels)


def _phase(phase: str, fraction: float) -> "Callable[[Report], float | None]":
    def value(report: Report) -> float | None:
        ordered = report.durations(phase) if phase in PHASES_OF[report.depth] else []
        return quantile(ordered, fraction) if ordered else None

    return value


def _count(ending: Ending) -> "Callable[[Report], float | None]":
    return lambda report: report.endings.count(ending)


def _early_close(report: Report) -> float | None:
    ratio = report.early_close_ratio
    return None if ratio is None else 100 * ratio


def _failed(report: Report) -> float | None:
    made = len(report.handshakes)
    return 100 * (made - report.completed) / made if made else None


def _baseline_banner(report: Report) -> float | None:
    served = (handshake for handshake in report.of_role(Role.BASELINE) if handshake.ending is Ending.COMPLETED)
    return next((handshake.banner for handshake in served if handshake.banner is not None), None)


def _certificate(report: Report) -> float | None:
    ends = [end for key in report.host_keys if key.certificate and (end := key.certificate.valid_before) is not None]
    return max(0.0, min(ends) - report.at) if ends else None


# Each by itself: thresholds ask for two or three of them, and only perfdata for all.
_VALUES: "dict[str, Callable[[Report], float | None]]" = {
    "handshakes": lambda report: len(report.handshakes),
    "completed": lambda report: report.completed,
    "early_close": _early_close,
    "failed": _failed,
    **{f"{phase}_p50": _phase(phase, 0.5) for phase in PHASES},
    **{f"{phase}_max": _phase(phase, 1.0) for phase in PHASES},
    **{str(ending): _count(ending) for ending in ENDING_LABELS},
    "timeout": lambda report: sum([ending in TIMEOUTS for ending in report.endings]),
    "baseline_banner": _baseline_banner,
    "host_certificate_remaining": _certificate,
}
