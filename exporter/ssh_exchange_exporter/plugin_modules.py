"""The plugin's modules, loaded at the start.

The plugin imports many only when it needs them, so that a run starts quickly. An exporter that has run out of
descriptors could load none, and after an upgrade of the package it would load those of another version.
"""

from importlib import import_module
from pkgutil import iter_modules

ROOMS = ("diagnosis", "plugin", "probe", "remote", "runbook", "wire")
# Loaded on demand: they need libraries that may be missing, and cost as much memory as all others together.
ON_DEMAND = frozenset({"check_ssh_exchange.probe.login", "check_ssh_exchange.remote.explanation"})


def load() -> None:
    """Load every module that measures, judges or words a result."""
    for room in ROOMS:
        package = import_module(f"check_ssh_exchange.{room}")
        for found in iter_modules(package.__path__, f"{package.__name__}."):
            if found.name not in ON_DEMAND:
                import_module(found.name)
