"""What is asked of the exporter, and what it answers."""

from typing import NamedTuple

from check_ssh_exchange.plan import Target
from check_ssh_exchange.probe.connection import Address

from .configuration.allowed import Allowed
from .configuration.module import Module
from .result import Result


class Forbidden(Exception):
    """The target is none of those allowed; the text says so in a sentence."""


class ProbeRequest(NamedTuple):
    """What to probe and how; `module` is as the configuration had it when the request was asked.

    `text` is the target as it was written; `allowed` None lets every target pass (those of the configuration).
    """

    target: Target
    text: str
    module_name: str
    module: Module
    is_background: bool = False
    trace: bool = False
    allowed: Allowed | None = None

    @property
    def subject(self) -> tuple[object, ...]:
        """Return what results are remembered by."""
        return (self.target, self.module_name)

    @property
    def key(self) -> tuple[object, ...]:
        """Return what two requests have in common that one probe answers."""
        # Each list by itself: what a reload forbids must not be answered by a probe from before it.
        restriction = None if self.allowed is None or self.allowed.is_everything else id(self.allowed)
        return (self.target, self.module_name, id(self.module), self.trace, restriction)

    @property
    def is_listed(self) -> bool:
        """Return whether the target is allowed as it is written, whatever its addresses are."""
        return self.allowed is None or self.allowed.names(self.target.host)

    def require_listed(self) -> None:
        """Raise Forbidden for a host that cannot be allowed, before anybody is asked for its addresses."""
        if not self.is_listed and not (self.allowed and self.allowed.has_networks):
            raise Forbidden(f"{self.text} is not among the allowed targets")

    def require_allowed(self, addresses: list[Address]) -> None:
        """Raise Forbidden for a host with an address that is not allowed, unless its name is."""
        if self.allowed is None or self.is_listed:
            return
        if not all(self.allowed.holds(address.text) for address in addresses):
            raise Forbidden(f"{self.text} is not among the allowed targets")


class ProbeResponse(NamedTuple):
    """A result and how old it is (seconds since its run ended).

    `result` is None when the budget holds a background probe back; it allows one in `wait` seconds.
    """

    result: Result | None
    age: float = 0.0
    is_deferred: bool = False
    wait: float = 0.0
