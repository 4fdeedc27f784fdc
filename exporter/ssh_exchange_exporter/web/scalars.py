"""The types of the web configuration's scalars, read from text as exporter-toolkit reads them."""

import re
from typing import Annotated

from pydantic import BeforeValidator

from ..configuration.yaml_document import Unquoted

# The words that Go's YAML library takes for flags; YAML 1.2 would take only true and false.
TRUE = {spelled for word in ("y", "yes", "on", "true") for spelled in (word, word.title(), word.upper())}
FALSE = {spelled for word in ("n", "no", "off", "false") for spelled in (word, word.title(), word.upper())}
NUMBER = re.compile(r"[0-9]{1,9}")


def as_text(value: object) -> object:
    """Return a scalar as its text, an empty one as "", and anything else as it is."""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else value


def as_flag(value: object) -> bool:
    """Return the value of an unquoted flag; raises ValueError."""
    if isinstance(value, Unquoted) and value in TRUE | FALSE:
        return value in TRUE
    raise ValueError("must be true or false")


def as_count(value: object) -> int:
    """Return the value of an unquoted whole number; raises ValueError."""
    if isinstance(value, Unquoted) and NUMBER.fullmatch(value):
        return int(value)
    raise ValueError("must be a whole number")


Text = Annotated[str, BeforeValidator(as_text)]
Flag = Annotated[bool, BeforeValidator(as_flag)]
Count = Annotated[int, BeforeValidator(as_count)]
