"""A request for a probe: target, how to probe it, and the targets that are allowed."""

from collections.abc import Hashable
from enum import StrEnum
from typing import NamedTuple, Protocol

from check_ssh_exchange.diagnosis.verdict import Expectations
from check_ssh_exchange.ending import Depth
from check_ssh_exchange.plan import Plan, Target
from check_ssh_exchange.probe.connection import Address

from .configuration.allowed import Allowed


class TargetNotAllowedError(Exception):
    """The target is not allowed; the text is a sentence for the client."""


class Origin(StrEnum):
    """Who asks for a probe."""

    PROBE = "probe"  # a client of /probe
    BACKGROUND = "background"
    CHECK = "check"  # a scheduler that hands over a command line


class Recipe(Protocol):
    """How to probe and what to expect: a module of the configuration, or a command line of check_ssh_exchange."""

    @property
    def depth(self) -> Depth:
        """Return how far each handshake goes."""

    def plan(self, timeout: float, *, trace: bool = False) -> Plan:
        """Return the plan of one run that takes at most `timeout` seconds."""

    def expectations(self) -> Expectations:
        """Return what the result is judged by."""


class ProbeRequest(NamedTuple):
    """What to probe and how; `module` is that of the configuration in force when the request came.

    `text` is the target as the client wrote it; `allowed` is None for background targets, which are always allowed.
    `memory` is the key of what is remembered between runs as by --state-file: the window of early closes, and how long
    a penalty is waited out. None: the history of the target and the module, without these two.
    """

    target: Target
    text: str
    module_name: str
    module: Recipe
    origin: Origin = Origin.PROBE
    trace: bool = False
    allowed: Allowed | None = None
    memory: Hashable = None

    @property
    def is_background(self) -> bool:
        """Return whether the exporter itself asks."""
        return self.origin is Origin.BACKGROUND

    @property
    def history_key(self) -> tuple[object, ...]:
        """Return the key of what earlier runs saw."""
        return self.result_key if self.memory is None else ("check", self.memory)

    @property
    def result_key(self) -> tuple[object, ...]:
        """Return the key of the last result."""
        return (self.target, self.module_name)

    @property
    def key(self) -> tuple[object, ...]:
        """Return the key of a probe in flight: requests with the same key share one."""
        # The list of allowed targets is part of it: a probe from before a reload must not answer what it forbids.
        restriction = None if self.allowed is None or self.allowed.is_everything else id(self.allowed)
        return (self.target, self.module_name, id(self.module), self.trace, restriction)

    @property
    def is_listed(self) -> bool:
        """Return whether the target is allowed by its name, whatever its addresses are."""
        return self.allowed is None or self.allowed.names(self.target.host)

    def require_listed(self) -> None:
        """Raise TargetNotAllowedError for a host that no entry can allow, before its name is resolved."""
        if not self.is_listed and not (self.allowed and self.allowed.has_networks):
            raise TargetNotAllowedError(f"{self.text} is not among the allowed targets")

    def require_allowed(self, addresses: list[Address]) -> None:
        """Raise TargetNotAllowedError unless the name is allowed or every address is."""
        if self.allowed is None or self.is_listed:
            return
        if not all(self.allowed.holds(address.text) for address in addresses):
            raise TargetNotAllowedError(f"{self.text} is not among the allowed targets")
