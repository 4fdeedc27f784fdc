"""Moments as a person at this machine reads them."""

import time


def clock(when: float) -> str:
    """Return a time of day, with its date when that is not today's."""
    there, today = time.localtime(when), time.localtime()
    return time.strftime("%H:%M:%S" if there[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", there)
