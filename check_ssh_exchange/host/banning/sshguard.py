"""What sshguard has blocked (2.4): its nft set, its chain or set of iptables, its blacklist. Pure."""

from collections.abc import Iterator

from ..netfilter.listings import tables
from ..netfilter.model import Chain, Span, Test
from ..snapshot import Snapshot
from .ban import Ban

# sshguard.conf(5), BLACKLIST_FILE; the places in its examples and in Debian's.
BLACKLISTS = ("/var/lib/sshguard/blacklist.db", "/var/db/sshguard/blacklist.db", "/var/lib/sshguard/enemies")
SETS = ("sshguard4", "sshguard6")


def bans(seen: Snapshot) -> list[Ban]:
    """Return what it blocks now, and what its blacklist has it block at each start."""
    found = []
    for table in tables(seen):
        for chain in table.chains.values():
            if table.name == "sshguard" or chain.name == "sshguard":
                found += list(_blocked(chain, f"{table.title}"))
            else:
                found += [ban for ban in _blocked(chain, table.title) if ban.place in SETS]
    for path in BLACKLISTS:
        for line in seen.lines(path):
            fields = line.split("|")
            if len(fields) == 4:
                found.append(Ban("sshguard", fields[3].strip(), path, is_certain=False))
    return list(dict.fromkeys(found))


def _blocked(chain: Chain, title: str) -> Iterator[Ban]:
    for rule in chain.rules:
        if rule.verdict is None or rule.verdict.kind not in ("drop", "reject"):
            continue
        for step in rule.steps:
            if isinstance(step, Test) and step.patterns and step.fields[0].startswith("saddr") and not step.is_negated:
                for patterns in step.patterns:
                    yield Ban("sshguard", _text(patterns[0]), step.set_name or title)


def _text(pattern: object) -> str:
    if not isinstance(pattern, Span):
        return str(pattern)
    import ipaddress

    try:
        first, last = ipaddress.ip_address(str(pattern.first)), ipaddress.ip_address(str(pattern.last))
        networks = list(ipaddress.summarize_address_range(first, last))
    except (ValueError, TypeError):
        return ""
    return str(networks[0])
