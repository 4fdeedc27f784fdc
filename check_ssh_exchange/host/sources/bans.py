"""What the programs that ban addresses say: fail2ban, CrowdSec, sshguard's and DenyHosts' files."""

from collections.abc import Iterator

from ..banning import crowdsec, denyhosts, fail2ban, sshguard
from ..banning.installed import CLIENTS, CSCLI, ENABLED, SOCKETS, may_write
from ..door import Door
from ..snapshot import Snapshot

FILE = 1 << 19  # bytes of a list of banned addresses
OUTPUT = 4 << 20  # bytes of an answer
SECONDS = 5.0  # a busy fail2ban answers late
MOST_MONITORS = 8  # each is a question of its own to CrowdSec


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record what they say; what asks for root is not asked without it."""
    for path in (*CLIENTS, CSCLI, *SOCKETS, *crowdsec.BOUNCERS, *denyhosts.MARKS):
        door.stat(path)
    for path in sshguard.BLACKLISTS:
        door.read(path, FILE, from_end=True)
    if any(seen.stat(path) is not None for path in denyhosts.MARKS):
        door.read(denyhosts.DENY, FILE)
    if any(seen.stat(path) is not None for path in CLIENTS):
        _fail2ban(door, seen)
    if seen.stat(CSCLI) is not None and seen.is_root:
        _crowdsec(door, seen)
    yield
    if fail2ban.is_silent(seen) and not seen.command(*fail2ban.CLIENT).error:
        yield from _one_by_one(door, seen)
    if more := fail2ban.others(seen):
        asked = fail2ban.given(fail2ban.questions(more, fail2ban.OF_ANOTHER))
        door.want(*fail2ban.CLIENT, given=asked, key=fail2ban.MORE, seconds=SECONDS, limit=OUTPUT)
    yield


def _fail2ban(door: Door, seen: Snapshot) -> None:
    for path in ENABLED:
        door.list(path)
    if may_write(seen, SOCKETS):
        door.want(*fail2ban.CLIENT, given=fail2ban.given(fail2ban.first()), seconds=SECONDS, limit=OUTPUT)


def _one_by_one(door: Door, seen: Snapshot) -> Iterator[None]:
    """Ask fail2ban's most important questions, a client for each."""
    for words in (fail2ban.STATUS, fail2ban.BANNED):
        door.want(*words, seconds=SECONDS, limit=OUTPUT)
    yield
    for asked in fail2ban.singles(seen):
        door.want(*asked, seconds=SECONDS, limit=OUTPUT)
    yield


def _crowdsec(door: Door, seen: Snapshot) -> None:
    door.want(*crowdsec.LIST, seconds=SECONDS, limit=OUTPUT)
    for monitor in seen.monitors[:MOST_MONITORS]:
        door.want(*crowdsec.OF_AN_ADDRESS, monitor, seconds=SECONDS)
