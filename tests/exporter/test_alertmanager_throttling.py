"""Real faults that let servers drop connections: what is sent from outside and from the host, and what is silenced."""

from collections.abc import Iterator

import pytest

from .faults_lab import needs
from .faults_of_throttling import FAULTS
from .faults_story import Fault, Story, alerts_of, assert_lives, assert_silence, told

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    if reason := needs():
        pytest.skip(reason)
    with told(tmp_path_factory.mktemp("lab"), list(FAULTS)) as whole:
        yield whole


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_fault_leads_to_is_seen_and_ends_with_it(story: Story, fault: Fault) -> None:
    assert story.lacks(fault) == []


@pytest.mark.parametrize("alert", alerts_of(FAULTS))
def test_an_alert_is_pending_then_firing_then_resolved(story: Story, alert: str) -> None:
    assert_lives(story, alert)


def test_what_is_silenced_is_not_sent(story: Story) -> None:
    assert_silence(story)
