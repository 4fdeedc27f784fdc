"""A request for a probe: target, module and the targets that are allowed."""

from typing import NamedTuple

from check_ssh_exchange.plan import Target
from check_ssh_exchange.probe.connection import Address

from .configuration.allowed import Allowed
from .configuration.module import Module


class TargetNotAllowedError(Exception):
    """The target is not allowed; the text is a sentence for the client."""


class ProbeRequest(NamedTuple):
    """What to probe and how; `module` is that of the configuration in force when the request came.

    `text` is the target as the client wrote it; `allowed` is None for background targets, which are always allowed.
    """

    target: Target
    text: str
    module_name: str
    module: Module
    is_background: bool = False
    trace: bool = False
    allowed: Allowed | None = None

    @property
    def result_key(self) -> tuple[object, ...]:
        """Return the key of the last result and of the history."""
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
