"""The item addresses: is everything served that the configuration names, in both families?

What is configured is what `sshd -G` says (sshd_config(5), ListenAddress and AddressFamily), or the socket of systemd
that sshd was given. A listener that could not bind an address at its start goes on with the others (sshd.c,
listen_on_addrs).
"""

import ipaddress
import re

from ...diagnosis.cause import Cause, Confidence
from ...plugin.nagios import Warn
from ...text import join, printable
from ..about import About
from ..configuration_files import USUAL, named
from ..finding import ROOT, Finding, Lack, Problem, skipped
from ..host import restart
from ..ip_address import is_address
from ..own_addresses import own_addresses
from ..settings import Settings, settings_of
from ..snapshot import Snapshot
from ..sshd import Daemon, daemons, place
from ..trusted import from_here
from ..units import Unit, units

ITEM = "addresses"
ANY = ("0.0.0.0", "::")  # noqa: S104 - read, not bound
NAMED = 4  # addresses in a sentence
_PLACE = re.compile(r"^(?:\[([0-9A-Fa-f:.]+)(?:%\S+)?\]|([0-9.]+)):(\d{1,5})\s*(?:rdomain\s.*)?$")
Place = tuple[str, int]


def find(seen: Snapshot, about: About) -> Finding:
    """Return what a snapshot says of it."""
    found = [one for one in daemons(seen, about.ports) if one.listening]
    if not found:
        return skipped(ITEM, "no listener")
    is_alone = len(daemons(seen)) == 1  # else which of them has a socket is not known without its descriptors
    hidden = not is_alone and any(one.process.exe is None for one in found)
    problems, evidence = [], []
    for daemon in found:
        who = "" if len(found) == 1 else f"{printable(daemon.name, 200)}: "
        if daemon.process.exe is not None or is_alone:
            problems += [problem._replace(sentence=who + problem.sentence) for problem in _problems(seen, daemon)]
        evidence += _evidence(seen, daemon)
    unreached = _unreached(seen, about, found)
    return Finding(
        ITEM,
        summary=join(" ".join(one.addresses) for one in found),
        problems=(*problems, *unreached),
        evidence=tuple(evidence),
        remedies=tuple(_remedies(seen, found, is_bound=not problems)),
        lacks=(Lack(ROOT, "which of several sshds listens where"),) if hidden else (),
    )


def wanted(seen: Snapshot, daemon: Daemon) -> tuple[Place, ...]:
    """Return where sshd is configured to listen; none where that is not known."""
    settings = settings_of(seen, daemon)
    return configured(settings) if settings else ()


def configured(settings: Settings) -> tuple[Place, ...]:
    """Return the addresses with ports of a configuration; sshd prints one line for each, the default ones too."""
    found = []
    for value in settings.all("ListenAddress"):
        if match := _PLACE.match(value):
            try:
                found.append((str(ipaddress.ip_address(match[1] or match[2])), int(match[3])))
            except ValueError:
                continue
    return tuple(dict.fromkeys(found))


def given_by(seen: Snapshot, daemon: Daemon) -> Unit | None:
    """Return the socket unit that gave a listener its sockets, None for a listener that made its own."""
    if daemon.is_foreign:
        return None
    return next(
        (one for one in units(seen) if one.is_socket and one.is_active and set(one.ports) & set(daemon.ports)), None
    )


def _places(daemon: Daemon) -> list[Place]:
    return [(socket.address, socket.port) for socket in daemon.listening]


def _problems(seen: Snapshot, daemon: Daemon) -> list[Problem]:
    unit = given_by(seen, daemon)
    asked = unit.listen if unit else wanted(seen, daemon)
    own = own_addresses(seen, daemon.pid)
    missing = [place for place in asked if not _is_served(place, daemon, unit) and _is_possible(place, own)]
    served = {_family(address) for address, _ in _places(daemon)} | _mapped(daemon, unit)
    found = []
    for family in ("IPv4", "IPv6"):
        of_it = [one for one in missing if _family(one[0]) == family]
        if not of_it:
            continue
        names = join(place(*one) for one in of_it[:NAMED])
        if family in served:
            found.append(Problem(Warn, f"{names} is configured and not served", Cause.NOT_LISTENING))
        else:
            sentence = f"{family} is configured and not served: nothing listens on {names}"
            found.append(Problem(Warn, sentence, Cause.ADDRESS_FAMILY))
    return found


def _unreached(seen: Snapshot, about: About, found: list[Daemon]) -> list[Problem]:
    """Return that the monitors are elsewhere and every sshd is on loopback; a proxy may stand before it."""
    sockets = [address for daemon in found for address, _ in _places(daemon)]
    up = [unit for unit in units(seen) if unit.is_socket and unit.is_active]
    held = [address for unit in up for address, port in unit.listen if not about.ports or port in about.ports]
    if not all(map(_is_loopback, [*sockets, *held])):
        return []
    own = {address for daemon in found for address in own_addresses(seen, daemon.pid)}
    remote = [one for one in about.monitors if is_address(one) and not _is_loopback(one) and one not in own]
    if not remote:
        return []
    who = f"the monitor {remote[0]}" if len(remote) == 1 else f"the monitors {join(remote[:NAMED])}"
    sentence = f"{who} cannot reach it: sshd listens on loopback only"
    return [Problem(Warn, sentence, Cause.NOT_LISTENING, Confidence.LIKELY)]


def _is_loopback(address: str) -> bool:
    return is_address(address) and ipaddress.ip_address(address).is_loopback


def _is_served(wanted_place: Place, daemon: Daemon, unit: Unit | None) -> bool:
    address, port = wanted_place
    family = _family(address)
    on_port = {one for one, number in _places(daemon) if number == port}
    if "::" in on_port and family in _mapped(daemon, unit):
        return True
    return address in on_port or any(one in ANY and _family(one) == family for one in on_port)


def _mapped(daemon: Daemon, unit: Unit | None) -> set[str]:
    """Return IPv4 where a socket of systemd on [::] serves it too (systemd.socket(5), BindIPv6Only).

    sshd's own sockets for IPv6 never do (sshd.c, listen_on_addrs: IPV6_V6ONLY).
    """
    both = unit is not None and unit.word("BindIPv6Only") != "ipv6-only"
    return {"IPv4"} if both and any(address == "::" for address, _ in _places(daemon)) else set()


def _is_possible(wanted_place: Place, own: set[str]) -> bool:
    """Return whether the host can serve it: it has the address, for a wildcard any of the family but loopback's."""
    address = wanted_place[0]
    if address not in ANY:
        return address in own
    return any(_family(one) == _family(address) and _is_public(one) for one in own)


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address)
    return not found.is_loopback and not found.is_link_local


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def _remedies(seen: Snapshot, found: list[Daemon], *, is_bound: bool) -> "Iterator[str]":
    """Yield what binds what is configured; where all of that is bound, where the addresses come from."""
    again = f"{restart(seen)}   # binds every address that the host has now"
    if not is_bound:
        yield again
        return
    daemon = found[0]
    if unit := given_by(seen, daemon):
        yield f"systemctl edit {unit.name}   # [Socket] ListenStream=: an address that the monitor reaches"
    elif "listenaddress" in daemon.process.title.lower():
        yield f"ps -o args= -p {daemon.pid}   # start it with a ListenAddress that the monitor reaches"
    elif daemon.is_foreign:
        yield f"in the container of pid {daemon.pid}: give sshd a ListenAddress that the monitor reaches"
    else:
        file = named(seen, daemon)
        paths = (file,) if file else (USUAL[0], f"{USUAL[0]}.d")
        files = " ".join(from_here(daemon, path) for path in paths)
        yield f"grep -rin ListenAddress {files}   # name one that the monitor reaches, restart sshd then"


def _evidence(seen: Snapshot, daemon: Daemon) -> list[str]:
    asked = wanted(seen, daemon)
    own = own_addresses(seen, daemon.pid)
    found = [f"pid {daemon.pid} listens on {' '.join(daemon.addresses)}"]
    if asked:
        found.append(f"configured: {' '.join(place(*one) for one in asked[:20])}")
    absent = [place(*one) for one in asked if one[0] not in ANY and own and one[0] not in own]
    if absent:
        found.append(f"the host has no such address now: {' '.join(absent[:NAMED])}")
    return found


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
