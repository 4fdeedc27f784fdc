"""No alarm on healthy servers: a few runs of each here, a thousand by `python -m faults.soak`."""

import pytest

from faults import local_soak, soak
from tests.lab.front_door import NEVER_SLOW

pytestmark = pytest.mark.real


@pytest.mark.usefixtures("complete_zoo")
def test_runs_against_healthy_servers_raise_no_alarm() -> None:
    for name, answer in soak.answers(3 * len(soak.SERVERS), *NEVER_SLOW):
        assert answer.is_served, f"{name}: {answer.line}"
        assert (answer.cause, answer.document["state"]) == ("healthy", "ok"), f"{name}: {answer.line}"


@pytest.mark.usefixtures("complete_zoo")
def test_healthy_servers_with_scanners_at_work_raise_no_alarm_on_their_own_side() -> None:
    for name, answer in local_soak.answers(2 * len(local_soak.SERVERS)):
        assert answer.document["state"] == "ok", f"{name}: {answer.line}"
