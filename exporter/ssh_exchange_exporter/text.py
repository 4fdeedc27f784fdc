"""Moments, durations, ages, ratios and counts as text."""

import time

from check_ssh_exchange.text import milliseconds

NONE = "-"  # the mark for no value
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def moment(at: float) -> str:
    """Return a time (seconds since the epoch) as `2026-05-01 12:00:03 UTC`: a reader may be in any time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def duration(seconds: float | None) -> str:
    """Return a duration in seconds as `0.31 ms`, `150 ms`, `8.5 s`; a dash for None."""
    if seconds is None:
        return NONE
    # 0.9996 s would be "1000 ms".
    return milliseconds(seconds) if seconds < 0.9995 else f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"


def in_milliseconds(seconds: float | None) -> str:
    """Return a duration in seconds as a bare number of milliseconds; a dash for None."""
    return NONE if seconds is None else milliseconds(seconds).removesuffix(" ms")


def age(seconds: float) -> str:
    """Return an age in seconds as `12 s ago`, `3 min ago`; "now" below a second and for a negative age."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "now"


def share(ratio: float | None) -> str:
    """Return a ratio as `40 %`; a dash for None."""
    return NONE if ratio is None else f"{ratio * 100:.0f} %"


def counted(count: int, one: str, many: str = "") -> str:
    """Return `1 handshake`, `5 handshakes`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
