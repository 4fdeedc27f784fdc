"""The fenced blocks of the site's own pages, and what the comment before each says of where it comes from.

`<!-- run: SCENE -->`: commands behind `$ ` and what they print in that scene; `python -m tests.site` writes it.
`<!-- from: FILE -->`: lines that stand so in a file of the repository, one below the other.
`<!-- checked: TEST -->`: a test reads the block from the page and tries it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# These have tests of their own: tests/test_other_systems.py, tests/test_fleet_simulation.py.
TESTED_ELSEWHERE = ("other_systems.md", "scaling.md")
README = ROOT / "README.md"  # the repository's front door; its other blocks are not for the site
PROMPT = "$ "

_BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<kind>run|from|checked): (?P<name>[^\n]*?) -->\n *)?```(?P<language>[^\n]*)\n"
    r"(?P<body>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block: its page and place there, where it says that it comes from, and its text without indentation."""

    page: Path
    start: int  # of the body, in the page's text
    end: int
    indent: str
    kind: str  # "run", "from", "checked", or "" for a block that says nothing
    name: str
    language: str
    body: str

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The commands of a block that is run, each with the output that the page shows."""
        found: list[tuple[str, str]] = []
        for line in self.body.splitlines(keepends=True):
            if line.startswith(PROMPT):
                found.append((line.removeprefix(PROMPT), ""))
            elif found and found[-1][0].endswith("\\\n") and not found[-1][1]:
                found[-1] = (found[-1][0] + line.removeprefix("> "), "")
            else:
                command, output = found.pop()
                found.append((command, output + line))
        return [(command.rstrip("\n"), output) for command, output in found]


def pages() -> list[Path]:
    """Return the site's own pages whose blocks are tested here."""
    own = [path for path in sorted(DOCS.rglob("*.md")) if path.relative_to(DOCS).as_posix() not in TESTED_ELSEWHERE]
    return [README, *own]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page."""
    for found in _BLOCK.finditer(page.read_text("utf-8")):
        indent = found["indent"]
        body = "".join(line.removeprefix(indent) for line in found["body"].splitlines(keepends=True))
        places = found.start("body"), found.end("body")
        yield Block(page, *places, indent, found["kind"] or "", found["name"] or "", found["language"].strip(), body)


def every_block() -> list[Block]:
    """Return the blocks of every page; of README those that say where they come from."""
    return [block for page in pages() for block in blocks_of(page) if block.kind or page != README]


def by_scene(blocks: list[Block]) -> dict[str, list[Block]]:
    """Return the blocks that are run, by the name of their scene."""
    scenes: dict[str, list[Block]] = {}
    for block in blocks:
        if block.kind == "run":
            scenes.setdefault(block.name, []).append(block)
    return scenes


def with_output(block: Block, outputs: list[str]) -> str:
    """Return the body of a block with other outputs of its commands, as the page has to hold it."""
    lines: list[str] = []
    for (command, _), output in zip(block.steps, outputs, strict=True):
        first, *more = command.split("\n")
        lines += [PROMPT + first, *(f"> {line}" for line in more), *output.rstrip().splitlines()]
    return "".join(f"{block.indent}{line}".rstrip() + "\n" for line in lines)
