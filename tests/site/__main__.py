"""`python -m tests.site [PAGE...]`: run the commands on the site's pages and write what they print into the pages."""

import sys
from pathlib import Path

from tests.lab import network, zoo

from .blocks import ROOT, Block, blocks_of, by_scene, pages, with_output
from .inside import outputs
from .masking import masked
from .place import Place, machines


def bodies(place: Place, blocks: list[Block]) -> dict[Block, str]:
    """Run blocks, and return their bodies with the outputs of now."""
    found: dict[Block, str] = {}
    for scene, those in by_scene(blocks).items():
        told = outputs(place, scene, [[command for command, _ in block.steps] for block in those])
        found |= {block: with_output(block, kept(block, printed)) for block, printed in zip(those, told, strict=True)}
    return found


def kept(block: Block, printed: list[str]) -> list[str]:
    """Return what the commands printed; what a page shows stays where nothing differs but what varies."""
    pairs = zip(block.steps, printed, strict=True)
    return [shown if masked(shown) == masked(now) else now for (_, shown), now in pairs]


def write(page: Path, written: dict[Block, str]) -> bool:
    """Put the bodies into their page; return whether it changed."""
    old = text = page.read_text("utf-8")
    for block in sorted((block for block in written if block.page == page), key=lambda block: -block.start):
        text = text[: block.start] + written[block] + text[block.end :]
    page.write_text(text, "utf-8")
    return text != old


def main(names: list[str]) -> None:
    """Write the pages named, or all."""
    if reason := zoo.missing() or network.missing():
        sys.exit(reason)
    zoo.build()
    chosen = [page for page in pages() if not names or page.relative_to(ROOT).as_posix() in names]
    with machines() as place:
        written = bodies(place, [block for page in chosen for block in blocks_of(page)])
    for page in chosen:
        if write(page, written):
            print("written", page.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
