"""What several test modules share."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

import pytest
from hypothesis import HealthCheck, settings

from tests.lab import daemons, monitored, network, zoo
from tests.lab.network import Namespace

# Hypothesis fails a test whose examples take long to draw or to run, which on a busy machine any may.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def is_timing(item: pytest.Item) -> bool:
    """Return whether this test is marked `timing`."""
    return item.get_closest_marker("timing") is not None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Move the tests marked `timing` to the end; one process of pytest-xdist runs a whole module, or all of those."""
    items.sort(key=is_timing)
    if config.pluginmanager.has_plugin("xdist"):
        for item in items:
            item.add_marker(pytest.mark.xdist_group("timing" if is_timing(item) else item.nodeid.partition("::")[0]))


@pytest.fixture(scope="session")
def turnstile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[IO[str], IO[str]]]:
    """Open two lock files that all processes of pytest-xdist share."""
    own = tmp_path_factory.getbasetemp()
    with ExitStack() as files:
        directory = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
        entry, room = (files.enter_context((directory / name).open("w")) for name in ("entry.lock", "room.lock"))
        yield entry, room


@pytest.fixture(autouse=True)
def _alone(request: pytest.FixtureRequest, turnstile: tuple[IO[str], IO[str]]) -> Iterator[None]:
    """Run a test marked `timing` while no other test runs. While it waits for them to end, no other test begins."""
    entry, room = turnstile
    mode = fcntl.LOCK_EX if is_timing(request.node) else fcntl.LOCK_SH
    fcntl.flock(entry, mode)
    fcntl.flock(room, mode)
    fcntl.flock(entry, fcntl.LOCK_UN)
    yield
    fcntl.flock(room, fcntl.LOCK_UN)


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


@pytest.fixture(scope="module")
def net() -> Iterator[Namespace]:
    """A client and a server in network namespaces."""
    if reason := network.missing():
        pytest.skip(reason)
    with Namespace() as made:
        yield made
