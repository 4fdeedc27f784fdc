"""What several test modules share."""

import pytest

from tests.lab import zoo


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
