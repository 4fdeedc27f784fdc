"""A module: how to probe a server, and what to expect of it."""

import os
from functools import lru_cache
from importlib.util import find_spec
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, Strict, ValidationInfo, field_validator, model_validator

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.diagnosis.figures import DEFAULT_CRITICAL, DEFAULT_WARNING, LABELS
from check_ssh_exchange.diagnosis.host_keys import fingerprint
from check_ssh_exchange.diagnosis.known_hosts import KnownHosts, parse
from check_ssh_exchange.diagnosis.verdict import Expectations
from check_ssh_exchange.ending import Depth, Ending
from check_ssh_exchange.plan import DEFAULT_HANDSHAKES, Login, Plan
from check_ssh_exchange.plugin import states
from check_ssh_exchange.plugin.thresholds import Thresholds as PluginThresholds
from check_ssh_exchange.plugin.thresholds import parse_range
from check_ssh_exchange.report import Family
from check_ssh_exchange.text import to_install

from .duration import Duration, between
from .fields import SourceAddress, families_of, readable
from .validation import Section, unknown

MAX_HANDSHAKES = 1000
MAX_TIMEOUT = 600.0
MAX_KNOWN_HOSTS = 16 << 20  # bytes

_FAMILIES = {"any": Family.ANY, "all": Family.ANY, "ip4": Family.IPV4, "ip6": Family.IPV6}
# The window of remembered runs belongs to the plugin's state file. Prometheus has avg_over_time.
_LABELS = tuple(label for label in LABELS if label != "early_close_window")
_WORDS = tuple(dict.fromkeys([str(word) for word in (*Ending, *Cause)]))


def _label(text: str) -> str:
    if text not in _LABELS:
        raise ValueError(unknown("perfdata label", text, _LABELS))
    return text


def _range(given: object) -> str:
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = f"{given:.15f}".rstrip("0").rstrip(".") if isinstance(given, float) else str(given)
    try:
        return parse_range(given if isinstance(given, str) else "")
    except ValueError:
        raise ValueError("must be a Nagios range, as in 5, 1:5, ~:5, 5: or @1:5") from None


def _word(text: str) -> str:
    if text not in _WORDS:
        raise ValueError(unknown("ending or cause", text, _WORDS))
    return text


def _state(given: object) -> object:
    if not isinstance(given, str) or given.lower() not in states.WORDS:
        raise ValueError(f"must be {', '.join(states.WORDS[:-1])} or {states.WORDS[-1]}")
    return given.lower()


def _listed(given: object) -> object:
    return [given] if isinstance(given, str) else given


def _depth(given: object) -> object:
    if given not in tuple(Depth):
        raise ValueError(f"must be one of: {', '.join(Depth)}")
    if given in (Depth.KEX, Depth.LOGIN) and find_spec("asyncssh") is None:
        raise ValueError(f"{given} needs the Python module asyncssh: {to_install('asyncssh')}")
    return given


Label = Annotated[str, Strict(), AfterValidator(_label)]
Range = Annotated[str, BeforeValidator(_range)]
Ranges = dict[Label, Range]
Word = Annotated[str, Strict(), AfterValidator(_word)]
State = Annotated[str, BeforeValidator(_state)]
Fingerprint = Annotated[str, Strict(), AfterValidator(fingerprint)]
Text = Annotated[str, Strict(), Field(min_length=1, max_length=255)]


class Thresholds(Section):
    """Nagios ranges by perfdata label, on top of the plugin's defaults; `~:` turns a default off."""

    warning: Ranges = Field(default_factory=dict, validate_default=True)
    critical: Ranges = Field(default_factory=dict, validate_default=True)

    @field_validator("warning", "critical")
    @classmethod
    def _with_defaults(cls, given: Ranges, info: ValidationInfo) -> Ranges:
        defaults = DEFAULT_WARNING if info.field_name == "warning" else DEFAULT_CRITICAL
        return {**{label: spec for label, spec in defaults.items() if label in _LABELS}, **given}


class Identity(Section):
    """User, key and accepted host keys of a login. Relative paths start at the configuration file's directory."""

    user: Text | None = None
    identity_file: Text | None = None
    known_hosts_file: Text | None = None

    @field_validator("identity_file", "known_hosts_file")
    @classmethod
    def _readable(cls, given: str | None, info: ValidationInfo) -> str | None:
        return readable(given, info)


class Module(Section):
    """How to probe and what to expect. `timeout` is in seconds; `concurrency` None means the plugin's default."""

    handshakes: Annotated[int, Strict(), Field(ge=1, le=MAX_HANDSHAKES)] = DEFAULT_HANDSHAKES
    concurrency: Annotated[int, Strict(), Field(ge=1, le=MAX_HANDSHAKES)] | None = None
    depth: Annotated[Depth, BeforeValidator(_depth)] = Depth.KEXINIT
    timeout: Annotated[Duration, between(0.001, MAX_TIMEOUT)] = 10.0
    ip_protocol: Literal["any", "ip4", "ip6", "all"] = "any"
    source_addresses: Annotated[tuple[SourceAddress, ...], Field(max_length=2)] = ()
    exempt: Annotated[bool, Strict()] = False
    pause: Annotated[Duration, between(0.001, MAX_TIMEOUT)] | None = None
    host_keys: Annotated[tuple[Fingerprint, ...], BeforeValidator(_listed)] = ()
    require: Annotated[tuple[Literal["post_quantum"], ...], BeforeValidator(_listed)] = ()
    expected_version: Annotated[tuple[Text, ...], BeforeValidator(_listed)] = ()
    thresholds: Thresholds = Field(default_factory=Thresholds)
    states: dict[Word, State] = Field(default_factory=dict)
    login: Identity = Field(default_factory=Identity)

    @field_validator("source_addresses")
    @classmethod
    def _different(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(given)) < len(given):
            raise ValueError("must be different addresses")
        if len(families_of(given)) > 1:
            raise ValueError("must be addresses of one family")
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(families_of(self.source_addresses) | ({_FAMILIES[self.ip_protocol]} - {"any"})) > 1:
            raise ValueError("source_addresses and ip_protocol must have an address family in common")
        if self.host_keys and self.depth in (Depth.BANNER, Depth.KEXINIT):
            raise ValueError("host_keys need depth hostkey, kex or login")
        if self.depth is Depth.LOGIN and not (self.login.user and self.login.identity_file):
            raise ValueError("depth login needs login.user and login.identity_file")
        return self

    def plan(self, timeout: float, *, trace: bool = False) -> Plan:
        """Return the plan of one run that takes at most `timeout` seconds, and at most the module's own timeout."""
        deepest = self.depth is Depth.LOGIN
        checks_host = self.depth in (Depth.HOSTKEY, Depth.KEX, Depth.LOGIN)
        return Plan(
            handshakes=self.handshakes,
            concurrency=self.concurrency,
            depth=self.depth,
            timeout=min(timeout, self.timeout),
            family=next(iter(families_of(self.source_addresses)), _FAMILIES[self.ip_protocol]),
            sources=self.source_addresses,
            all_addresses=self.ip_protocol == "all",
            exempt=self.exempt,
            login=Login(
                self.login.user if deepest else None,
                self.login.identity_file if deepest else None,
                self.login.known_hosts_file if checks_host else None,
            ),
            trace=trace,
            pause=self.pause,
            every_host_key=bool(self.host_keys),
        )

    def expectations(self) -> Expectations:
        """Return the expectations that the same options of the plugin would set."""
        warning, critical = self.thresholds.warning, self.thresholds.critical
        # A range that is the default was not asked for: the defaults are softened where our own burst explains a run.
        given = {*(warning.items() - DEFAULT_WARNING.items()), *(critical.items() - DEFAULT_CRITICAL.items())}
        return Expectations(
            thresholds=PluginThresholds(warning, critical),
            states=self.states,
            versions=self.expected_version,
            explicit=frozenset(label for label, _ in given),
            window=None,
            exempt=self.exempt,
            host_keys=self.host_keys,
            known_hosts=self._known_hosts(),
            post_quantum="post_quantum" in self.require,
        )

    def _known_hosts(self) -> KnownHosts | None:
        # At the deeper depths asyncssh reads the file and judges by it.
        path = self.login.known_hosts_file
        if path is None or self.depth is not Depth.HOSTKEY:
            return None
        try:
            state = os.stat(path)
            return _parsed(path, state.st_mtime_ns, state.st_size)
        except OSError:  # it was there when the configuration was read
            return KnownHosts()


@lru_cache(16)
def _parsed(path: str, _modified: int, _size: int) -> KnownHosts:
    with open(path, "rb") as file:
        return parse(file.read(MAX_KNOWN_HOSTS))
