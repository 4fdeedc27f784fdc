"""The whole matrix of real faults, and the cause that the plugin names for each."""

from collections.abc import Iterator

import pytest

from faults.matrix import Matrix, matching
from tests.lab import zoo

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(zoo.missing() is not None, reason=zoo.missing() or ""),
    pytest.mark.usefixtures("complete_zoo"),
]

SCENARIOS = {scenario.name: scenario for scenario in matching()}


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest, complete_zoo: None) -> Iterator[Matrix]:
    """The scenarios that were selected, several at a time: most of them wait for time-outs."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    selected = {item.callspec.params["name"] for item in items if item.module is request.module}
    with Matrix([scenario for name, scenario in SCENARIOS.items() if name in selected]) as running:
        yield running


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_plugin_names_the_cause_of(matrix: Matrix, name: str) -> None:
    rows = matrix.rows(name)
    if reasons := {row.skipped for row in rows} - {""}:
        pytest.skip(reasons.pop())
    assert [row.problem for row in rows if row.problem] == []
