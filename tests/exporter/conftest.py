"""What several test modules share: certificates, and a server that serves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.fake_sshd import HEALTHY, FakeSshd

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


@pytest.fixture(scope="module")
def sshd() -> Iterator[str]:
    """Where a scripted server serves any client."""
    with FakeSshd(HEALTHY) as server:
        yield f"127.0.0.1:{server.port}"
