"""The lists of iptables' module recent in /proc/net/xt_recent: who connected, and when (in the kernel's jiffies)."""

import re

from ...values import NamedTuple
from ..ip_address import plain

WRAP = 1 << 32
BEFORE_BOOT = 300  # seconds: jiffies begin so far below 2^32 (include/linux/jiffies.h, INITIAL_JIFFIES)
RATES = (100, 250, 300, 1000)  # CONFIG_HZ
_ENTRY = re.compile(r"src=(\S+) .*?oldest_pkt: \d+ ([\d, ]+)")


class Clock(NamedTuple):
    """The kernel's clock when the lists were read: jiffies, and how many a second has."""

    now: int
    rate: int


def clock(timers: str, uptime: str) -> Clock | None:
    """Return the clock by /proc/schedstat or /proc/timer_list, and /proc/uptime; None where they are silent.

    Of the rates that a kernel can be built with, the one that explains how many have gone by since it began.
    """
    found = re.search(r"^(?:timestamp|jiffies:) (\d{1,19})$", timers, re.MULTILINE)
    seconds = re.match(r"(\d{1,12})(?:\.\d+)?\b", uptime)
    if not found or not seconds:
        return None
    now, up = int(found[1]), int(seconds[1])

    def error(rate: int) -> float:
        return abs((now - (WRAP - BEFORE_BOOT * rate)) / rate - up)

    rate = min(RATES, key=error)
    return Clock(now, rate) if error(rate) < 60 + up / 100 else None


class Lists:
    """Every list: by name and address the seconds since each connection, None where no clock tells them."""

    def __init__(self, texts: dict[str, str], at: Clock | None) -> None:
        self.ages: dict[str, dict[str, list[float | None]]] = {}
        for name, text in texts.items():
            entries = self.ages.setdefault(name, {})
            for line in text.splitlines():
                if found := _ENTRY.match(line):
                    stamps = [int(one) for one in re.findall(r"\d{1,20}", found[2])]
                    entries[plain(found[1])] = [_age(stamp, at) for stamp in stamps]

    def hits(self, name: str, address: str, seconds: float | None) -> int | None:
        """Return how often an address connected within so many seconds (None: ever); None where that is not known."""
        if name not in self.ages:
            return None
        ages = self.ages[name].get(address, [])
        if seconds is None or not ages:
            return len(ages)
        if any(age is None for age in ages):
            return None
        return sum(1 for age in ages if age is not None and age <= seconds)


def _age(stamp: int, at: Clock | None) -> float | None:
    return None if at is None else max(0.0, (at.now - stamp) / at.rate)
