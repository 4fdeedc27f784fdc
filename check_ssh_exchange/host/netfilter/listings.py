"""Which listings a snapshot holds of the packet filters, and the tables in them. Pure."""

from ...text import printable
from ..snapshot import Output, Snapshot
from . import iptables, nft
from .model import Table, Tests
from .recent import Lists, clock

NFT = ("nft", "-j", "list", "ruleset")
IPSET = ("ipset", "save")
SAVE = {"ip": "iptables-save", "ip6": "ip6tables-save"}
SAVE_NFT = {"ip": "iptables-nft-save", "ip6": "ip6tables-nft-save"}
LEGACY = {"ip": "iptables-legacy-save", "ip6": "ip6tables-legacy-save"}
# Which tables the legacy tools have made; root alone may read it, and no module is loaded by that.
LEGACY_NAMES = {"ip": "/proc/net/ip_tables_names", "ip6": "/proc/net/ip6_tables_names"}
RECENT = "/proc/net/xt_recent"
# The first tells them to everybody where the kernel has statistics of its scheduler, as distributions' have; the
# second to root.
JIFFIES = ("/proc/schedstat", "/proc/timer_list")
MODULES = "/proc/modules"
BUILTIN = "/lib/modules/{}/modules.builtin"
NET_ADMIN = 12  # capabilities(7)
NOT_PERMITTED = ("Operation not permitted", "Permission denied", "you must be root")


def is_permitted(seen: Snapshot) -> bool:
    """Return whether we have CAP_NET_ADMIN, without which nothing of the rules is shown."""
    for line in seen.lines("/proc/self/status"):
        if line.startswith("CapEff:"):
            digits = line.split()[-1]
            return all(digit in "0123456789abcdef" for digit in digits) and bool(int(digits, 16) >> NET_ADMIN & 1)
    return seen.is_root


def needs_save(seen: Snapshot) -> list[str]:
    """Return the families whose rules only iptables-save shows: there is no nft, or it has `xt` in their place."""
    listing = seen.command(*NFT)
    if listing.is_absent and seen.document["commands"].get(" ".join(NFT)):
        return list(SAVE)
    found = {family for family, _ in nft.with_xt(listing.out)} if '"xt"' in listing.out else set()
    return [family for family in SAVE if family in found]


def needs_ipset(seen: Snapshot) -> bool:
    """Return whether a rule asks for a set of ipset."""
    return any("--match-set" in output.out for _, output in _saved(seen))


def _saved(seen: Snapshot) -> list[tuple[str, Output]]:
    found = []
    for tools in (SAVE_NFT, SAVE, LEGACY):
        found += [(family, seen.command(tool)) for family, tool in tools.items()]
    return [(family, output) for family, output in found if output.out]


def tables(seen: Snapshot) -> list[Table]:
    """Return every table; one that nft cannot show whole as iptables shows it."""
    found = {(one.family, one.name, "nft"): one for one in nft.tables(seen.command(*NFT).out)}
    unshown = nft.with_xt(seen.command(*NFT).out)
    sets = _sets(seen)
    for family, output in _saved(seen):
        is_nft = iptables.is_nft(output.out)
        for one in iptables.tables(output.out, family, sets):
            if not is_nft:
                found[family, one.name, "legacy"] = one
            elif (family, one.name) in unshown or (family, one.name, "nft") not in found:
                found[family, one.name, "nft"] = one
    return list(found.values())


def _sets(seen: Snapshot) -> dict[str, Tests]:
    output = seen.command(*IPSET)
    return iptables.ipsets(output.out) if output.is_good else {}


def lists(seen: Snapshot) -> Lists:
    """Return the lists of module recent."""
    texts = {name: text for name in seen.names(RECENT) if (text := seen.text(f"{RECENT}/{name}")) is not None}
    return Lists(texts, clock("\n".join(seen.text(path) or "" for path in JIFFIES), seen.text("/proc/uptime") or ""))


def trouble(seen: Snapshot) -> str:
    """Return why the rules are not known although we ought to see them, "" for no reason."""
    output = seen.command(*NFT)
    if any(words in output.err for words in NOT_PERMITTED):
        return "denied"
    # A kernel without nf_tables has no rules of it; libmnl says so in the words of errno.
    if not output.error and output.code and "not supported" not in output.err:
        return f"not shown by nft: {printable(output.err.strip() or f'exit code {output.code}', 200)}"
    return {"EFBIG": "longer than can be read", "ETIMEDOUT": "not shown in time"}.get(output.error, "")


def is_installed(seen: Snapshot) -> bool:
    """Return whether any of the tools is there, as far as they were asked."""
    tools = (" ".join(NFT), *SAVE.values(), *SAVE_NFT.values(), *LEGACY.values())
    return any(name in seen.document["commands"] and not seen.command(name).is_absent for name in tools)


def interface(seen: Snapshot) -> str | None:
    """Return the only interface besides lo that has received packets, None where there are several."""
    names = [name.strip() for name, colon, _ in (row.partition(":") for row in seen.lines("/proc/net/dev")) if colon]
    others = [name for name in names if name != "lo"]
    return others[0] if len(others) == 1 else None
