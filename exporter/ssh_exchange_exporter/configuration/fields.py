"""Field types that several parts of the configuration use: files, patterns, source addresses, labels."""

import glob
import ipaddress
import os
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Strict, ValidationInfo

from check_ssh_exchange.report import Family

from .file import SURROGATE, unreadable

SUFFIXES = (".json", ".yml", ".yaml")
SUFFIX_SENTENCE = "must end in .json, .yml or .yaml"

# Set by the exporter, or used by histograms, summaries and the exposition format.
RESERVED = frozenset({"target", "ending", "phase", "cause", "quantile", "le", "software", "protocol", "comments"})
MAX_VALUE = 1024

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}", re.ASCII)


def _directory(info: ValidationInfo) -> str | None:
    """Return the directory of the configuration file; None without a file."""
    return None if info.context is None else info.context["directory"]


def readable(path: str | None, info: ValidationInfo) -> str | None:
    """Return a path joined to the configuration's directory; raises ValueError unless the file can be read."""
    directory = _directory(info)
    if path is None or directory is None:
        return path
    whole = os.path.join(directory, path)
    try:
        with open(whole, "rb"):
            return whole
    except (OSError, ValueError) as error:
        raise ValueError(unreadable(error)) from None


def _pattern(path: str, info: ValidationInfo) -> str:
    if not path.lower().endswith(SUFFIXES):
        raise ValueError(SUFFIX_SENTENCE)
    return os.path.join(glob.escape(_directory(info) or ""), path)


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address") from None
    return text


def _label_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("must be a label name: at most 128 letters, digits and _, not beginning with a digit")
    if text.startswith("__"):
        raise ValueError("must not begin with __, which Prometheus reserves")
    if text in RESERVED:
        raise ValueError("is reserved: the exporter sets this label itself")
    return text


def _label_value(text: str) -> str:
    if len(text) > MAX_VALUE:
        raise ValueError(f"must have at most {MAX_VALUE} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(SURROGATE) from None
    return text


Pattern = Annotated[str, Strict(), AfterValidator(_pattern)]
SourceAddress = Annotated[str, Strict(), AfterValidator(_address)]
LabelName = Annotated[str, Strict(), AfterValidator(_label_name)]
LabelValue = Annotated[str, Strict(), AfterValidator(_label_value)]
Labels = dict[LabelName, LabelValue]


def families_of(sources: Iterable[str]) -> frozenset[Family]:
    """Return the families of source addresses."""
    return frozenset(Family.IPV6 if ":" in source else Family.IPV4 for source in sources)
