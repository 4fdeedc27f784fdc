"""Whether a jail of fail2ban sees what sshd logs. Pure."""

import re
from collections.abc import Iterable

from ..log_lines import Line
from ..sshd import Daemon
from .ban import holds
from .fail2ban import Jail

FEWEST = 5  # failures that a jail must have missed: maxretry's default
LATE = 30.0  # seconds that a jail may take to read a line
# What the filter sshd of every release counts in each of its modes.
FAILURE = re.compile(
    r"(?:Failed (?:password|keyboard-interactive/pam) for .{1,200} from (?P<failed>[0-9A-Fa-f.:]{3,45}) port "
    r"|[Ii]nvalid user .{0,200} from (?P<invalid>[0-9A-Fa-f.:]{3,45})(?: port [0-9]{1,5})?$)"
)
SPLIT = (9, 8)  # from here on the lines are those of sshd-session


def missed(jail: Jail, lines: Iterable[Line], at: float, started: float, own: Iterable[str]) -> int:
    """Return how many failures a jail ought to have counted, 0 where it has counted some or may leave them out.

    `started` is when its server was (a later one does not count what was before), `own` are this host's addresses.
    """
    if jail.failed != 0 or jail.banned or jail.has_command or any(not _is_network(one) for one in jail.ignored):
        return 0
    ignored = (*jail.ignored, *own)
    begin = max(at - jail.findtime, started + 1)
    count = 0
    for line in lines:
        if not begin <= line.at <= at - LATE:
            continue
        found = FAILURE.search(line.message)
        address = found and (found["failed"] or found["invalid"])
        if address and not address.startswith("127.") and not any(holds(one, address) for one in ignored):
            count += 1
    return count if count >= FEWEST else 0


def _is_network(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9A-Fa-f.:]+(?:/[0-9.]+)?", text))


def reason(jail: Jail, daemons: Iterable[Daemon]) -> str:
    """Return why it is blind as far as its own words tell, "" for no reason known."""
    if not jail.files and not jail.journal:
        return "it reads no log"
    is_split = any(daemon.release is not None and daemon.release >= SPLIT for daemon in daemons)
    if is_split and "_COMM=sshd" in jail.journal and "sshd-session" not in jail.journal:
        return "its journalmatch has _COMM=sshd alone, and sshd-session logs"
    if is_split and jail.expression and "session" not in jail.expression:
        return "its filter does not know sshd-session"
    return ""
