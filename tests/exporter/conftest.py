"""Certificates that several test modules share."""

from pathlib import Path

import pytest

from .certificates import authority, certificate


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Authorities `ours` and `theirs`; certificates for the server (twice) and for clients."""
    where = tmp_path_factory.mktemp("signed")
    ours, theirs = authority(where, "ours"), authority(where, "theirs")
    for name in ("server", "renewed"):
        certificate(where, name, ours, "DNS:localhost", "IP:127.0.0.1")
    certificate(where, "prometheus", ours, "DNS:prometheus.example", use="clientAuth")
    certificate(where, "someone", ours, "DNS:someone.example", use="clientAuth")
    certificate(where, "foreign", theirs, "DNS:prometheus.example", use="clientAuth")
    return where
