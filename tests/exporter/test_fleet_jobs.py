"""Five hundred jobs of Mod-Gearman, while a real gearmand or the exporter is killed and started again."""

import signal
from pathlib import Path

import pytest

from faults import jobs
from tests.lab import gearmand

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(gearmand.missing() is not None, reason=gearmand.missing() or ""),
]
JOBS = 500


def test_a_gearmand_killed_under_load_loses_only_what_it_forgets_itself(tmp_path: Path) -> None:
    found = jobs.gearmand_killed(tmp_path, JOBS)
    assert found.once == JOBS, found
    assert found.lost == 0
    assert 0 < found.again < JOBS  # those that waited in gearmand; the core submits them anew


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_an_exporter_restarted_under_load_answers_every_job_once(tmp_path: Path, by: signal.Signals) -> None:
    found = jobs.exporter_restarted(tmp_path, JOBS, by)
    assert set(found.answers) == set(map(str, range(JOBS)))
    assert found.lost == 0
    # One that is killed between a result and the word that its job is over answers this job again.
    assert JOBS - found.once <= (0 if by is signal.SIGTERM else 3)
