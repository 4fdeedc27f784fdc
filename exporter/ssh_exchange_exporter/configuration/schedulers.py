"""Other schedulers in the configuration: where their queues are, and where they read results."""

import os
import socket
from importlib.util import find_spec
from typing import Annotated, Self

from pydantic import AfterValidator, Field, Strict, ValidationInfo, field_validator, model_validator

from check_ssh_exchange.text import to_install

from .fields import LabelName, readable
from .target import parse_target
from .validation import KeyErrors, Section

GEARMAN_PORT = 4730
KEY_LENGTH = 32  # characters of the key file that Mod-Gearman uses
MAX_NAME = 128


def _server(text: str) -> str:
    parse_target(text)
    return text


def _name(text: str) -> str:
    # Queues and identifiers stand in lines of text and between NULs.
    if not text.isascii() or not text.isprintable() or " " in text or not 1 <= len(text) <= MAX_NAME:
        raise ValueError(f"must be a name of 1 to {MAX_NAME} printable ASCII characters without blanks")
    return text


def _service(text: str) -> str:
    if not text.isprintable() or ";" in text or not 1 <= len(text) <= MAX_NAME:
        raise ValueError(f"must be a service description of 1 to {MAX_NAME} printable characters without ;")
    return text


ServerText = Annotated[str, Strict(), AfterValidator(_server)]
Name = Annotated[str, Strict(), AfterValidator(_name)]
ServiceText = Annotated[str, Strict(), AfterValidator(_service)]
PathText = Annotated[str, Strict(), Field(min_length=1, max_length=4096)]


class Gearman(Section):
    """A worker of Mod-Gearman. Without `jobs` it takes as many at once as `max_in_flight`."""

    servers: Annotated[tuple[ServerText, ...], Field(min_length=1, max_length=16)]
    queues: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]
    encryption: Annotated[bool, Strict()] = True
    key_file: PathText | None = None
    identifier: Name | None = None
    jobs: Annotated[int, Strict(), Field(ge=1, le=10_000)] | None = None

    @field_validator("key_file")
    @classmethod
    def _readable(cls, given: str | None, info: ValidationInfo) -> str | None:
        return readable(given, info)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.encryption:
            return self
        if self.key_file is None:
            sentence = "is missing: Mod-Gearman encrypts; encryption: false is for a core that does not"
            raise KeyErrors([("key_file", sentence)])
        if find_spec("cryptography") is None:
            sentence = f"needs the Python module cryptography: {to_install('cryptography')}"
            raise KeyErrors([("encryption", sentence)])
        if not self.key():
            raise KeyErrors([("key_file", "holds no key in its first line")])
        return self

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Return host and port of each server; 4730 where none is written."""
        found = [(parse_target(text), text) for text in self.servers]
        return tuple((host, port if _has_port(text) else GEARMAN_PORT) for (host, port), text in found)

    @property
    def name(self) -> str:
        """Return the identifier: the name of this host where none is given."""
        return self.identifier or socket.gethostname()

    def key(self) -> str | None:
        """Return the key: the first line of its file, at most 32 characters (common/utils.c in mod_gearman)."""
        if not self.encryption or self.key_file is None:
            return None
        try:
            with open(self.key_file, encoding="utf-8", errors="surrogateescape") as file:
                return file.readline(4096).rstrip()[:KEY_LENGTH]
        except OSError:
            return ""


def _has_port(text: str) -> bool:
    return "]:" in text if text.startswith("[") else text.count(":") == 1


class NagiosSpool(Section):
    """The directory that a Nagios or Naemon reads results from (its `check_result_path`)."""

    check_result_directory: PathText
    service: ServiceText
    host_label: LabelName = "host"

    @field_validator("check_result_directory")
    @classmethod
    def _joined(cls, given: str, info: ValidationInfo) -> str:
        directory = "" if info.context is None else info.context["directory"]
        path = os.path.join(directory, given)
        if info.context is not None and not os.path.isdir(path):
            raise ValueError("is not a directory")
        if info.context is not None and not os.access(path, os.W_OK | os.X_OK):
            raise ValueError("must be a directory that this user may write into")
        return path


class Feed(Section):
    """Where results of background targets go besides /metrics."""

    nagios: NagiosSpool
