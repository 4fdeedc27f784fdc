"""A scenario: a real fault, how to set it up, and the causes that the plugin may name for it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from check_ssh_exchange.diagnosis.cause import Cause


class Skip(Exception):
    """A fault that cannot be set up on this machine; the message is the reason."""


class Target(NamedTuple):
    """Where the fault is, and the plugin's runs against it: the options of each, and a command to run it under."""

    host: str
    port: int
    options: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    runs: tuple[tuple[str, ...], ...] = ((),)


Place = Callable[[], AbstractContextManager[Target]]


class Scenario(NamedTuple):
    """A fault with its name. The first of `causes` is the right one; the others look the same on the wire.

    A fault that `strikes_at_random` may spare all handshakes of a run, which is then healthy. `says` must be
    found in the evidence, alternatives or first line of each run. `local` is what check_sshd_local must be certain of
    on the host itself, None where the fault leaves no trace there that it can read. Where `endings_vary`, it depends on
    the moment whether a handshake is refused, reset or closed, and so do the words before the cause in the first line.
    """

    name: str
    causes: tuple[Cause, ...]
    place: Place
    strikes_at_random: bool = False
    says: str = ""
    self_inflicted: bool | None = None
    local: Cause | None = None
    endings_vary: bool = False
