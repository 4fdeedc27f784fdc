"""What is read of the host, one module for each kind of source; all of it through the door.

A source is a generator: what it has wanted to be run has been run when it goes on behind a `yield`.
"""

from . import (
    bans,
    binaries,
    cgroups,
    configuration,
    firewall,
    host_keys,
    kernel,
    listeners,
    logs,
    name_service,
    processes,
    releases,
    space,
    system,
    tcp_wrappers,
    units,
)

# In this order: the later ones look at what the earlier ones have found.
SOURCES = (
    system.read,
    processes.read,
    binaries.read,
    configuration.read,
    host_keys.read,
    tcp_wrappers.read,
    units.read,
    releases.read,
    listeners.read,
    logs.read,
    cgroups.read,
    kernel.read,
    space.read,
    name_service.read,
    firewall.read,
    bans.read,
)
