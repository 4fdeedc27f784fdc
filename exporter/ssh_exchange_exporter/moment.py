"""A point in time as pages and evidence write it."""

import time


def moment(at: float) -> str:
    """Return a time (seconds since the epoch) as `2026-05-01 12:00:03 UTC`: a reader may be in any time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
