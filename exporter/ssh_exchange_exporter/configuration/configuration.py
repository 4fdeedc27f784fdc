"""The whole configuration file: its keys and defaults, read with every error at once."""

import itertools
import os
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field, Strict, ValidationError, ValidationInfo, field_validator

from check_ssh_exchange.diagnosis.budget import PENALTY_FREE

from . import files
from .allowed import Allowed
from .duration import Duration, between
from .fault import ConfigurationFault
from .labels import Labels
from .module import Module
from .strict import Strict as Part
from .strict import errors_of
from .target import TargetText
from .yaml_file import MAX_BYTES, Locator, Place, read_text, scan
from .yaml_text import yaml_of

DEFAULT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MAX_BUCKETS = 64
MAX_INTERVAL = 365 * 86400.0


def _entry(text: str) -> str:
    Allowed([text])
    return text


def _module_name(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text) <= 128:
        raise ValueError("should be a name of 1 to 128 printable characters")
    return text


def _pattern(path: str, info: ValidationInfo) -> str:
    return files.pattern(path, "" if info.context is None else info.context["directory"])


Entry = Annotated[str, Strict(), AfterValidator(_entry)]
ModuleName = Annotated[str, Strict(), AfterValidator(_module_name)]
Pattern = Annotated[str, Strict(), AfterValidator(_pattern)]
Bound = Annotated[float, Strict(), Field(gt=0)]


class Group(Part):
    """Targets that the exporter probes by itself, every `interval` seconds."""

    targets: tuple[TargetText, ...] = ()
    target_files: tuple[Pattern, ...] = ()
    module: Annotated[str, Strict()] = "default"
    interval: Annotated[Duration, between(1.0, MAX_INTERVAL)] = 60.0
    labels: Labels = Field(default_factory=dict)

    @field_validator("module")
    @classmethod
    def _known(cls, given: str, info: ValidationInfo) -> str:
        if info.context is not None and given not in info.context["modules"]:
            raise ValueError(f"there is no module {given}")
        return given


class Budget(Part):
    """How many handshakes a server gets at once and, after these, a second (a source's own budget)."""

    handshakes: Annotated[int, Strict(), Field(ge=1, le=10_000)] = PENALTY_FREE
    per_second: Annotated[float, Strict(), Field(gt=0, le=10_000)] = 1.0


class Configuration(Part):
    """Everything that the configuration file can say; `modules` always has a `default`."""

    modules: dict[ModuleName, Module] = Field(default_factory=dict, validate_default=True)
    background: tuple[Group, ...] = ()
    allowed_targets: tuple[Entry, ...] = ()
    histogram_buckets: Annotated[tuple[Bound, ...], Field(min_length=1, max_length=MAX_BUCKETS)] = DEFAULT_BUCKETS
    budget: Budget = Field(default_factory=Budget)
    max_in_flight: Annotated[int, Strict(), Field(ge=1, le=10_000)] = 256

    @field_validator("modules")
    @classmethod
    def _with_default(cls, given: dict[str, Module]) -> dict[str, Module]:
        return given if "default" in given else {"default": Module(), **given}

    @field_validator("histogram_buckets")
    @classmethod
    def _rising(cls, given: tuple[float, ...]) -> tuple[float, ...]:
        for before, bound in itertools.pairwise(given):
            if bound <= before:
                raise ValueError(f"should rise, and {bound:g} comes after {before:g}")
        return given

    def to_yaml(self) -> str:
        """Return the configuration with every default; `load` makes an equal one of it."""
        return yaml_of(self.model_dump(mode="json", exclude_none=True))


def load(path: str | None) -> Configuration:
    """Return the configuration of a file (None: the defaults); raises ConfigurationFault with every error in it."""
    if path is None:
        return Configuration()
    given, locator, errors = scan(path, read_text(path, MAX_BYTES))
    context = {"directory": os.path.dirname(os.path.abspath(path)), "modules": {"default", *_modules_in(given)}}
    errors += _repeated(given, locator)
    try:
        configuration = Configuration.model_validate(given, context=context)
    except ValidationError as error:
        errors += errors_of(error, Configuration, locator)
    if errors:
        raise ConfigurationFault(text for _, text in sorted(errors, key=lambda error: error[0]))
    return configuration


def _modules_in(given: object) -> list[str]:
    modules = given.get("modules") if isinstance(given, dict) else None
    return list(modules) if isinstance(modules, dict) else []


def _repeated(given: object, locator: Locator) -> Iterator[tuple[int, str]]:
    """Yield an error for each target that is given twice with the same labels: they would be one series."""
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
                words = f"{target} is given twice with the same labels, first in line {locator.line(earlier)}"
                yield locator.line(place) or 0, locator.at(place, words)
