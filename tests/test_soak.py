"""No alarm on healthy servers: a few runs of each here, a thousand by `python -m faults.soak`."""

import pytest

from faults import soak
from tests.lab.front_door import GOOD_HEALTH

pytestmark = pytest.mark.real


@pytest.mark.usefixtures("complete_zoo")
def test_default_runs_against_healthy_servers_raise_no_alarm() -> None:
    for name, answer in soak.answers(3 * len(soak.SERVERS)):
        assert answer.is_served, f"{name}: {answer.line}"
        assert answer.cause in GOOD_HEALTH, f"{name}: {answer.line}"
        assert answer.document["state"] == "ok" or answer.cause == "slow", f"{name}: {answer.line}"
