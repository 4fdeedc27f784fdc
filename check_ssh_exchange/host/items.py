"""The table of items, in their public order: what each looks at, and the figures it has."""

from collections.abc import Callable

from ..diagnosis.cause import Cause
from ..plugin.thresholds import Thresholds
from ..values import NamedTuple
from .about import About
from .finding import Finding
from .findings import (
    addresses,
    backlog,
    bans,
    binaries,
    configuration,
    conntrack,
    daemon,
    denials,
    descriptors,
    disk,
    firewall,
    host_keys,
    log,
    memory,
    name_service,
    processes,
    socket_activation,
    startups,
    tcp_wrappers,
)
from .snapshot import Snapshot


class Item(NamedTuple):
    """An item: its word, how it is judged, the labels of its figures."""

    name: str
    find: Callable[[Snapshot, About], Finding]
    labels: tuple[str, ...] = ()


ITEMS: tuple[Item, ...] = (
    Item("daemon", daemon.find, ("listeners",)),
    Item("binaries", binaries.find, ("deleted_files",)),
    Item("startups", startups.find, ("startups", "startups_drop")),
    Item("backlog", backlog.find, ("backlog",)),
    Item(
        "log",
        log.find,
        ("maxstartups_drops", "per_source_drops", "penalty_drops", "grace_timeouts", "denied", "child_failures"),
    ),
    Item("configuration", configuration.find),
    Item("host_keys", host_keys.find, ("host_keys",)),
    Item("tcp_wrappers", tcp_wrappers.find),
    Item("bans", bans.find, ("banned",)),
    Item("firewall", firewall.find),
    Item("addresses", addresses.find),
    Item("socket_activation", socket_activation.find),
    Item("memory", memory.find, ("memory_available",)),
    Item("disk", disk.find, ("disk_used",)),
    Item("processes", processes.find, ("processes",)),
    Item("descriptors", descriptors.find, ("descriptors",)),
    Item("conntrack", conntrack.find, ("conntrack",)),
    Item("denials", denials.find, ("denials",)),
    Item("name_service", name_service.find, ("reverse_lookup",)),
)
NAMES = tuple(item.name for item in ITEMS)

_PERCENT = ("startups_drop", "backlog", "memory_available", "disk_used", "processes", "descriptors", "conntrack")
UNITS: dict[str, str] = {
    label: "%" if label in _PERCENT else "s" if label == "reverse_lookup" else ""
    for item in ITEMS
    for label in item.labels
}
AGE = "snapshot_age"  # seconds; a label for -w and -c only, so that the same snapshot always gives the same answer
LABELS = (*UNITS, AGE)

DEFAULT_THRESHOLDS = Thresholds(
    {
        "deleted_files": "0",
        "backlog": "50",
        "maxstartups_drops": "0",
        "per_source_drops": "0",
        "memory_available": "10:",
        "disk_used": "90",
        "processes": "90",
        "descriptors": "90",
        "conntrack": "90",
        "denials": "0",
        "reverse_lookup": "2",
    },
    {
        "backlog": "99",
        "child_failures": "0",
        "memory_available": "2:",
        "disk_used": "98",
        "processes": "98",
        "descriptors": "98",
        "conntrack": "98",
        "reverse_lookup": "10",
    },
)
# What a figure outside of its range is evidence of.
CAUSES: dict[str, Cause] = {
    "deleted_files": Cause.SERVER_FAULT,
    "backlog": Cause.STALLED,
    "maxstartups_drops": Cause.MAXSTARTUPS,
    "per_source_drops": Cause.PER_SOURCE_LIMIT,
    "penalty_drops": Cause.PENALTY,
    "denied": Cause.ACCESS_DENIED,
    "child_failures": Cause.SERVER_FAULT,
    "memory_available": Cause.SERVER_FAULT,
    "disk_used": Cause.SERVER_FAULT,
    "processes": Cause.SERVER_FAULT,
    "descriptors": Cause.SERVER_FAULT,
    "conntrack": Cause.SERVER_FAULT,
    "denials": Cause.SERVER_FAULT,
    "reverse_lookup": Cause.SLOW,
}
