"""Configuration files for tests."""

from pathlib import Path

import pytest

from ssh_exchange_exporter.configuration.configuration import Configuration, load
from ssh_exchange_exporter.configuration.file import ConfigurationError

EXAMPLE = Path(__file__).parents[2] / "exporter" / "example.yml"


def write(directory: Path, text: str | bytes, name: str = "config.yml") -> str:
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def configured(directory: Path, text: str) -> Configuration:
    return load(write(directory, text))


def errors(directory: Path, text: str | bytes) -> list[str]:
    """Return the errors of a file, without its directory."""
    path = write(directory, text)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return [error.replace(path, "config.yml") for error in caught.value.errors]
