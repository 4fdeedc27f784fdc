"""How much of a thing is used up, and the finding about the worst of several. Pure."""

from collections.abc import Iterable

from ..plugin.perfdata import Figure
from ..values import NamedTuple
from .finding import Finding, skipped

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")

FULL = 99.9  # percent


class Share(NamedTuple):
    """`used` of `total`, a positive number; `what` is printable and says of what: `pids of ssh.service`."""

    what: str
    used: int
    total: int
    is_bytes: bool = False

    @property
    def percent(self) -> float:
        """How much is used, 0 to 100."""
        return round(min(100.0, max(0.0, 100 * self.used / self.total)), 2)

    @property
    def sentence(self) -> str:
        """`pids of ssh.service: 98 of 100`."""
        if self.is_bytes:
            full = "full, " if self.percent >= FULL else ""
            return f"{self.what}: {full}{size(self.used)} of {size(self.total)} used"
        return f"{self.what}: {self.used} of {self.total}"


def size(number: int) -> str:
    """Return bytes as df -h has them, with one decimal below ten: 9.8 MiB."""
    value, unit = float(number), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit and value < 10 else f"{value:.0f} {_UNITS[unit]}"


def finding_of(item: str, label: str, shares: Iterable[Share], otherwise: str) -> Finding:
    """Return the finding whose figure is the fullest share, with a sentence that names it; `otherwise` for none."""
    every = sorted(shares, key=lambda share: -share.percent)
    if not every:
        return skipped(item, otherwise)
    return Finding(
        item,
        summary=every[0].sentence,
        figures=(Figure(label, every[0].percent),),
        sentences=((label, every[0].sentence),),
        evidence=tuple(f"{share.sentence} ({share.percent:.0f} %)" for share in every[:8]),
    )
