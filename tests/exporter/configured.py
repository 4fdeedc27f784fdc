"""Configuration files for tests."""

from pathlib import Path

import pytest

from ssh_exchange_exporter.configuration.configuration import Configuration, load
from ssh_exchange_exporter.configuration.fault import ConfigurationFault

EXAMPLE = Path(__file__).parents[2] / "exporter" / "example.yml"


def write(directory: Path, text: str | bytes, name: str = "config.yml") -> str:
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def configured(directory: Path, text: str) -> Configuration:
    return load(write(directory, text))


def errors(directory: Path, text: str | bytes) -> list[str]:
    """The errors of a file, with its directory left out."""
    path = write(directory, text)
    with pytest.raises(ConfigurationFault) as caught:
        load(path)
    return [error.replace(path, "config.yml") for error in caught.value.errors]
