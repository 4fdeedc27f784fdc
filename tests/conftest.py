"""What several test modules share."""

import pytest

from tests.lab import zoo


@pytest.fixture(scope="session")
def complete_zoo() -> None:
    """Build every server once; a module that uses it is skipped where that is impossible."""
    if reason := zoo.missing():
        pytest.skip(reason)
    zoo.build()
