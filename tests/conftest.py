"""What several test modules share."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.lab import daemons, monitored, zoo

# Hypothesis fails a test whose examples take long to draw or to run, which on a busy machine any may.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests marked `timing` to the end, when nothing that other tests started is busy any more."""
    items.sort(key=lambda item: item.get_closest_marker("timing") is not None)


@pytest.fixture(scope="session")
def complete_zoo() -> None:
    """Build every server once; a module that uses it is skipped where that is impossible."""
    if reason := zoo.missing():
        pytest.skip(reason)
    zoo.build()


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, int]]:
    """Run one server of each kind that a daemon monitors; return their ports."""
    with monitored.servers() as ports:
        yield ports


@pytest.fixture(scope="module")
def plugin() -> Iterator[daemons.Installation]:
    """Install the plugin for the monitoring daemons, or skip the test."""
    with monitored.installation() as installed:
        yield installed
