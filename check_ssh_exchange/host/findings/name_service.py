"""The item name_service: how long sshd waits for the monitor's name before it talks to it."""

from ...plugin.perfdata import Figure
from ...text import printable
from ..about import About
from ..finding import Finding, skipped
from ..host import restart
from ..lookups import key_of, reason
from ..snapshot import Snapshot
from ..sshd import daemons

ITEM = "name_service"


def find(seen: Snapshot, about: About) -> Finding:
    """Return the slowest lookup of a monitor. One that finds no name is as good: sshd goes on with the address."""
    found = [daemon for daemon in daemons(seen, about.ports) if not daemon.is_foreign]
    why = {daemon.root: one for daemon in found if (one := reason(seen, daemon))}
    if not why:
        return skipped(ITEM, "sshd does not look up names")
    monitors = about.monitors or seen.monitors
    told = []
    for daemon in found:
        for monitor in monitors if daemon.root in why else ():
            record = seen.document["commands"].get(key_of(daemon, monitor), {"error": "ENOENT"})
            if record.get("error") in (None, "ETIMEDOUT") and record.get("code") != 127:
                told.append((float(record.get("took", 0.0)), printable(monitor, 60), record, why[daemon.root]))
    if not told:
        return skipped(ITEM, "no monitor's address was looked up" if monitors else "no --monitor to look up")
    took, monitor, record, because = max(told, key=lambda one: one[0])
    longer = " or more" if record.get("error") else ""
    sentence = f"the name of the monitor {monitor} takes {took:.1f} s{longer} to be looked up ({because.words})"
    change = "set UseDNS no in sshd_config, then " if because.is_setting else ""
    return Finding(
        ITEM,
        summary=f"the name of the monitor {monitor} takes {took:.3f} s to be looked up",
        evidence=tuple(dict.fromkeys(f"sshd looks names up: {one.words}" for *_, one in told)),
        remedies=(
            *((f"{change}{restart(seen).replace('restart', 'reload')}   # no lookup, no wait",) if change else ()),
            "cat /etc/resolv.conf   # the first server there does not answer",
            f"echo '{monitor} monitor' >> /etc/hosts   # is asked before DNS",
        ),
        figures=(Figure("reverse_lookup", took),),
        sentences=(("reverse_lookup", sentence),),
    )
