"""What the host's packet filters say they do: nftables, iptables of both kinds, ipset, the lists of module recent."""

from collections.abc import Iterator

from ..door import Door
from ..netfilter.listings import (
    BUILTIN,
    IPSET,
    JIFFIES,
    LEGACY,
    LEGACY_NAMES,
    MODULES,
    NFT,
    RECENT,
    SAVE,
    SAVE_NFT,
    is_permitted,
    needs_ipset,
    needs_save,
)
from ..snapshot import Snapshot

OUTPUT = 4 << 20  # bytes of a listing; a list of 50,000 addresses has some 2 MB in nft's JSON
MOST_LISTS = 64
LIST = 1 << 20  # bytes of one list of recent; 100 entries by default (ip_list_tot)


def read(door: Door, seen: Snapshot) -> Iterator[None]:
    """Record the listings. Those that need root are not asked for without it, which would cost time at each run."""
    _files(door, seen)
    if not is_permitted(seen):
        yield
        return
    legacy = [family for family, path in LEGACY_NAMES.items() if (seen.text(path) or "").strip()]
    if _has_nf_tables(door, seen):
        door.want(*NFT, limit=OUTPUT)
    for family in legacy:
        door.want(LEGACY[family], limit=OUTPUT)
    yield
    unshown = needs_save(seen)
    for family in unshown:
        door.want(SAVE_NFT[family], limit=OUTPUT)
    yield
    # Where its variants have no names of their own, the plain one may be either.
    variants = [SAVE_NFT[family] for family in unshown] + [LEGACY[family] for family in legacy]
    for family, tool in SAVE.items():
        if any(name in variants and seen.command(name).is_absent for name in (SAVE_NFT[family], LEGACY[family])):
            door.want(tool, limit=OUTPUT)
    yield
    if needs_ipset(seen):
        door.want(*IPSET, limit=OUTPUT)
    yield


def _files(door: Door, seen: Snapshot) -> None:
    for name in door.list(RECENT)[:MOST_LISTS]:
        door.read(f"{RECENT}/{name}", LIST)
    if seen.names(RECENT):
        _clock(door, seen)
    for path in LEGACY_NAMES.values():
        door.read(path, 1024)
    for path in ("/proc/net/dev", "/proc/self/net/fib_trie", "/proc/self/net/if_inet6"):
        door.read(path)


def _clock(door: Door, seen: Snapshot) -> None:
    door.read("/proc/uptime", 64)
    if door.read(JIFFIES[0], 4096) is None:
        text = door.read(JIFFIES[1], 1 << 20) or ""
        kept = "".join(f"{line}\n" for line in text.splitlines() if line.startswith("jiffies: "))
        seen.document["files"][JIFFIES[1]] = {"text": kept[:64]}


def _has_nf_tables(door: Door, seen: Snapshot) -> bool:
    """Return whether the kernel has nf_tables loaded, or may have: to ask would load it."""
    modules = door.read(MODULES)
    if modules is None or not modules.strip() or "nf_tables " in modules:
        return True
    builtin = door.read(BUILTIN.format(seen.document.get("host", {}).get("kernel", "")))
    return builtin is None or "/nf_tables.ko" in builtin
