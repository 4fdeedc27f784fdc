"""Labels that a user adds to the metrics of background targets."""

import re
from typing import Annotated

from pydantic import AfterValidator, Strict

# Ours, and those that a histogram, a summary or the exposition itself uses.
RESERVED = frozenset({"target", "ending", "phase", "cause", "quantile", "le", "software", "protocol", "comments"})
MAX_VALUE = 1024

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}", re.ASCII)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("is no label name: letters, digits and _ only, at most 128, and no digit in front")
    if text.startswith("__"):
        raise ValueError("begins with __, which Prometheus keeps for itself")
    if text in RESERVED:
        raise ValueError("is the name of a label that the exporter sets itself")
    return text


def _value(text: str) -> str:
    if len(text) > MAX_VALUE:
        raise ValueError(f"should have at most {MAX_VALUE} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("has half a surrogate pair, of which no metric can be made") from None
    return text


LabelName = Annotated[str, Strict(), AfterValidator(_name)]
LabelValue = Annotated[str, Strict(), AfterValidator(_value)]
Labels = dict[LabelName, LabelValue]
