"""The addresses that a host has itself, in the network of one of its processes. Pure."""

from .ip_address import is_address, plain
from .snapshot import Snapshot


def own_addresses(seen: Snapshot, process: "int | str" = "self") -> set[str]:
    """Return the addresses of the network that a process is in, those of loopback too, as far as they were read."""
    found = set()
    before = ""
    for line in map(str.strip, seen.lines(f"/proc/{process}/net/fib_trie")):
        if line.startswith("|-- "):
            before = line[4:]
        elif line == "/32 host LOCAL":
            found.add(before)
    for line in seen.lines(f"/proc/{process}/net/if_inet6"):
        digits = line.split(" ", 1)[0]
        found.add(plain(":".join(digits[at : at + 4] for at in range(0, len(digits), 4))))
    return {one for one in found if is_address(one)}
