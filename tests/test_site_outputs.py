"""Every command on the site's pages, and README's, is run as it stands there and prints what the page shows."""

from collections.abc import Iterator

import pytest

from tests.lab import network
from tests.site.blocks import by_scene, every_block
from tests.site.comparing import compare, marked
from tests.site.place import Place, machines

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("complete_zoo")]

BLOCKS = {name: blocks for name, blocks in by_scene(every_block()).items() if "exporter" not in name}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    if reason := network.missing():
        pytest.skip(reason)
    with machines() as made:
        yield made


@pytest.mark.parametrize("name", [marked(name) for name in sorted(BLOCKS)])
def test_the_commands_print_what_the_pages_show(name: str, place: Place) -> None:
    compare(place, name, BLOCKS[name])
