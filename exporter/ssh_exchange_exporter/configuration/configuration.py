"""The whole configuration file: its keys and defaults. Reading it reports all errors at once."""

import itertools
import os
import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Strict, ValidationInfo, field_validator

from check_ssh_exchange.diagnosis.budget import PENALTY_FREE
from check_ssh_exchange.report import PHASES

from ..background.share import Shard
from .allowed import Allowed
from .duration import Duration, between
from .fields import Labels, Pattern
from .file import read_text
from .module import Module
from .schedulers import Feed, Gearman
from .target import TargetText
from .validation import Section, unknown, validate
from .yaml_document import MAX_BYTES, Document, Place, dump, parse

# At depth kexinit each bound is three series of each target, a twentieth of its share of /metrics. One and five seconds
# are the ends of the default ranges on banner_p50.
DEFAULT_BUCKETS = (0.0005, 0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 5.0)
MAX_BUCKETS = 64
MAX_INTERVAL = 365 * 86400.0


def _entry(text: str) -> str:
    Allowed([text])
    return text


def _module_name(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text) <= 128:
        raise ValueError("must be a name of 1 to 128 printable characters")
    return text


def _shard(text: str) -> str:
    shard_of(text)
    return text


def shard_of(text: str) -> Shard:
    """Return the shard of `I/N`. Raises ValueError with a sentence."""
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text, re.ASCII)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError("must be I/N, from 1/N to N/N, as in 2/3 for the second of three")
    return Shard(int(found[1]), int(found[2]))


def _vantage(text: str) -> str:
    if not text.isprintable() or len(text) > 128:
        raise ValueError("must be a name of at most 128 printable characters")
    return text


def _phase(text: str) -> str:
    if text not in PHASES:
        raise ValueError(unknown("phase", text, PHASES))
    return text


Phase = Annotated[str, Strict(), AfterValidator(_phase)]
Entry = Annotated[str, Strict(), AfterValidator(_entry)]
ModuleName = Annotated[str, Strict(), AfterValidator(_module_name)]
Bound = Annotated[float, Strict(), Field(gt=0)]


class Group(Section):
    """Targets that the exporter probes in the background, every `interval` seconds."""

    targets: tuple[TargetText, ...] = ()
    target_files: tuple[Pattern, ...] = ()
    module: Annotated[str, Strict()] = "default"
    interval: Annotated[Duration, between(1.0, MAX_INTERVAL)] = 60.0
    labels: Labels = Field(default_factory=dict)

    @field_validator("module")
    @classmethod
    def _known(cls, given: str, info: ValidationInfo) -> str:
        if info.context is not None and given not in info.context["modules"]:
            raise ValueError(unknown("module", given, info.context["modules"]))
        return given


class Budget(Section):
    """What one source address may do to one server: `handshakes` at once, and then `per_second`."""

    handshakes: Annotated[int, Strict(), Field(ge=1, le=10_000)] = PENALTY_FREE
    per_second: Annotated[float, Strict(), Field(gt=0, le=10_000)] = 1.0


class Series(Section):
    """Which series background targets have: `current` leaves out the causes that are 0; `phases` are in histograms."""

    causes: Literal["all", "current"] = "all"
    phases: tuple[Phase, ...] = PHASES


class Configuration(Section):
    """All keys of the configuration file; `modules` always has a `default`."""

    modules: dict[ModuleName, Module] = Field(default_factory=dict, validate_default=True)
    background: tuple[Group, ...] = ()
    allowed_targets: tuple[Entry, ...] = ()
    histogram_buckets: Annotated[tuple[Bound, ...], Field(min_length=1, max_length=MAX_BUCKETS)] = DEFAULT_BUCKETS
    budget: Budget = Field(default_factory=Budget)
    max_in_flight: Annotated[int, Strict(), Field(ge=1, le=10_000)] = 256
    shard: Annotated[str, Strict(), AfterValidator(_shard)] = "1/1"
    vantage: Annotated[str, Strict(), AfterValidator(_vantage)] = ""
    series: Series = Field(default_factory=Series)
    gearman: Gearman | None = None
    feeds: Annotated[tuple[Feed, ...], Field(max_length=16)] = ()

    @field_validator("modules")
    @classmethod
    def _with_default(cls, given: dict[str, Module]) -> dict[str, Module]:
        return given if "default" in given else {"default": Module(), **given}

    @field_validator("histogram_buckets")
    @classmethod
    def _rising(cls, given: tuple[float, ...]) -> tuple[float, ...]:
        for before, bound in itertools.pairwise(given):
            if bound <= before:
                raise ValueError(f"must be in ascending order; {bound:g} comes after {before:g}")
        return given

    def to_yaml(self) -> str:
        """Return the configuration with every default; `load` reads an equal one from it."""
        return dump(self.model_dump(mode="json", exclude_none=True))


def load(path: str | None) -> Configuration:
    """Return the configuration of a file (None: the defaults); raises ConfigurationError with every error in it."""
    if path is None:
        return Configuration()
    document = parse(path, read_text(path, MAX_BYTES))
    modules = list(dict.fromkeys(["default", *_modules_in(document.value)]))
    for place, sentence in _duplicates(document):
        document.add(place, sentence)
    return validate(document, Configuration, {"directory": os.path.dirname(os.path.abspath(path)), "modules": modules})


def _modules_in(given: object) -> list[str]:
    modules = given.get("modules") if isinstance(given, dict) else None
    return list(modules) if isinstance(modules, dict) else []


def _duplicates(document: Document) -> Iterator[tuple[Place, str]]:
    """Yield an error for each target that is given twice with the same labels: both would be one series."""
    given = document.value
    first: dict[tuple[str, frozenset[tuple[str, str]]], Place] = {}
    background = given.get("background") if isinstance(given, dict) else None
    for group_at, group in enumerate(background if isinstance(background, list) else []):
        if not isinstance(group, dict) or not isinstance(group.get("targets"), list):
            continue
        labels = group.get("labels")
        pairs = frozenset((name, str(value)) for name, value in labels.items()) if isinstance(labels, dict) else ()
        for target_at, target in enumerate(group["targets"]):
            place = ("background", group_at, "targets", target_at)
            earlier = first.setdefault((str(target), frozenset(pairs)), place)
            if earlier != place and isinstance(target, str):
                line = document.line(earlier)
                yield place, f"duplicate target {target} with the same labels; first given in line {line}"
