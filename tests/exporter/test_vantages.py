"""Three exporters with a vantage each probe one real OpenSSH 10.6 with the default MaxStartups, and none is dropped.

A few rounds here, two hundred by `python -m faults.vantages`.
"""

import pytest

from faults import vantages
from tests.lab import zoo

# The interval is a thirtieth of a fleet's: on a machine that does something else sshd may free its slots too late.
pytestmark = [pytest.mark.real, pytest.mark.timing, pytest.mark.timeout(600)]

ROUNDS = 20


@pytest.fixture(autouse=True, scope="module")
def _zoo() -> None:
    if reason := zoo.missing():
        pytest.skip(reason)


def test_vantage_points_with_names_of_their_own_never_throttle_the_server() -> None:
    found = vantages.watch(ROUNDS)
    assert found.rounds >= ROUNDS
    assert found.sources == {vantages.source(number) for number in range(3)}
    assert found.handshakes >= 3 * 5 * ROUNDS
    assert (found.lost, found.drops_logged) == (0, 0), found


def test_at_the_same_moment_they_do() -> None:
    # By sshd's formula half of the rounds lose a handshake: not one of twenty would be a chance of one in a million.
    found = vantages.watch(ROUNDS, vantages.TOGETHER, stop_at_a_loss=True)
    assert found.lost > 0
    assert found.endings["turned_away"] > 0
    assert found.drops_logged > 0, found
