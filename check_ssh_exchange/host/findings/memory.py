"""The item memory: what is left of it on the host and in sshd's control group, and whom the kernel killed for it."""

import re
from collections.abc import Iterator

from ...diagnosis.cause import Cause
from ...plugin.nagios import Warn
from ...plugin.perfdata import Figure
from ..about import About
from ..cgroups import Group, digits, groups, named_number, number
from ..finding import ROOT, Finding, Lack, Problem
from ..share import Share, finding_of, size
from ..snapshot import Snapshot
from ..sshd import daemons

# "Out of memory: Killed process 12 (sshd) total-vm:.." and "Memory cgroup out of memory: Killed process ..", the same
# end from Linux 2.6 to 6.18 (mm/oom_kill.c, __oom_kill_process).
_KILLED = re.compile(
    r"^\[ *(\d{1,12}\.\d{1,9})\][^\n]{0,80}Killed process \d{1,10} \((sshd(?:-session|-auth)?)\)", re.MULTILINE
)
_PRESSURE = re.compile(r"^(some|full) avg10=\S+ avg60=(\d{1,3}\.\d\d) ", re.MULTILINE)


def find(seen: Snapshot, about: About) -> Finding:
    """Return the least that is available, and kills since the last run or in the time that logs are read back."""
    lines = [groups(seen, one.pid, "memory") for one in daemons(seen, about.ports)]
    every = list(dict.fromkeys(group for line in lines for group in line))
    own = list(dict.fromkeys(group for line in lines for group in line[:1]))  # those above count for others too
    shares = [*_host(seen), *(share for group in every for share in _group(seen, group))]
    finding = finding_of("memory", "memory_available", shares, "/proc/meminfo says nothing of available memory")
    kills = {group.directory: _kills(seen, group) for group in own}
    log = seen.command("dmesg")
    refused = "not permitted" in log.err
    return finding._replace(
        summary=f"{_available(finding):g} % of memory is available" if shares else finding.summary,
        figures=tuple(Figure(figure.label, _available(finding)) for figure in finding.figures),
        problems=tuple(_killed(seen, about, own, kills)),
        evidence=(*finding.evidence, *_swap(seen), *_pressure(seen)),
        remedies=("ps -eo rss,comm --sort=-rss   # the first lines: who has it",),
        lacks=(Lack(ROOT, "which processes the kernel has killed for lack of memory"),) if refused else (),
        remember=kills or None,
    )


def _available(finding: Finding) -> float:
    return round(100 - finding.figures[0].value, 2)


def _host(seen: Snapshot) -> Iterator[Share]:
    total, available = (_kilobytes(seen, name) for name in ("MemTotal", "MemAvailable"))
    if total and available is not None:
        yield Share("memory of the host", total - available, total, is_bytes=True)


def _group(seen: Snapshot, group: Group) -> Iterator[Share]:
    """Yield a limited group's memory; files in the cache can be dropped, so they count as available as on the host."""
    names = ("memory.current", "memory.max") if group.is_unified else ("memory.usage_in_bytes", "memory.limit_in_bytes")
    now, most = (number(seen, f"{group.directory}/{name}") for name in names)
    total = _kilobytes(seen, "MemTotal")
    if now is None or not most or (total and most >= total):  # v1 says 2^63 less a page for no limit
        return
    prefix = "" if group.is_unified else "total_"
    kinds = ("inactive_file", "active_file", *(("slab_reclaimable",) if group.is_unified else ()))
    spare = sum(named_number(seen, f"{group.directory}/memory.stat", prefix + kind) for kind in kinds)
    yield Share(f"memory of {group.name}", max(0, now - spare), most, is_bytes=True)


def _kilobytes(seen: Snapshot, name: str) -> int | None:
    for line in seen.lines("/proc/meminfo"):
        key, _, value = line.partition(":")
        if key == name:
            kilobytes = digits(value.strip().removesuffix(" kB"))
            return None if kilobytes is None else kilobytes << 10
    return None


def _kills(seen: Snapshot, group: Group) -> int:
    name = "memory.events" if group.is_unified else "memory.oom_control"
    return named_number(seen, f"{group.directory}/{name}", "oom_kill")


def _killed(seen: Snapshot, about: About, own: "list[Group]", kills: "dict[str, int]") -> Iterator[Problem]:
    """Yield what the kernel's log says of sshd, else what the counters of sshd's group say since the last run."""
    up = (seen.text("/proc/uptime") or "").split() or ["0"]
    now = float(up[0]) if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", up[0], re.ASCII) else 0.0
    recent = [float(at) for at, _ in _KILLED.findall(seen.command("dmesg").out) if now - float(at) <= about.since]
    if recent:
        times = "once" if len(recent) == 1 else f"{len(recent)} times"
        ago = max(0.0, now - recent[-1])
        sentence = f"the kernel killed sshd {times} for lack of memory, last {ago:.0f} s ago"
        yield Problem(Warn, sentence, Cause.SERVER_FAULT)
        return
    before = about.memory.get("memory")
    for group in own:
        last = before.get(group.directory) if isinstance(before, dict) else None
        more = kills[group.directory] - last if isinstance(last, int) else 0
        if more > 0:
            sentence = f"the kernel killed {more} of the processes of {group.name} for lack of memory"
            yield Problem(Warn, sentence, Cause.SERVER_FAULT)


def _swap(seen: Snapshot) -> Iterator[str]:
    total, free = (_kilobytes(seen, name) for name in ("SwapTotal", "SwapFree"))
    if total and free is not None:
        yield f"swap: {size(total - free)} of {size(total)} used"


def _pressure(seen: Snapshot) -> Iterator[str]:
    """Yield what part of the last minute processes have waited, where it is worth a word (1 %)."""
    for name in ("memory", "io", "cpu"):
        waited = dict(_PRESSURE.findall(seen.text(f"/proc/pressure/{name}") or ""))
        if float(waited.get("some", "0")) >= 1:
            whole = f", all of them {waited['full']} %" if float(waited.get("full", "0")) else ""
            yield f"pressure: processes waited for {name} in {waited['some']} % of the last minute{whole}"
