"""The picture of the packages and who imports whom, as tests/test_layers.py reads the imports.

`python -m tests.site.layout` writes docs/assets/layout.svg. An arrow that follows from two others is left out.
"""

from pathlib import Path
from typing import NamedTuple

from tests.test_layers import imports, name_of

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs/assets/layout.svg"
PACKAGE, EXPORTER = "check_ssh_exchange", "ssh_exchange_exporter"


class Package(NamedTuple):
    """What a package holds, in a few words, and in which column it is drawn; its floor follows from the imports."""

    text: str
    column: float


# The columns are chosen so that no arrow passes behind a package.
ROOMS = {
    EXPORTER: Package("the exporter", 1.4),
    "host": Package("check_sshd_local", 0.6),
    "remote": Package("check_ssh_exchange", 1.8),
    "demo": Package("embedded server", 0),
    "measure": Package("one run", 1.1),
    "runbook": Package("pages for causes", 2.3),
    "probe": Package("sockets, clocks", 1),
    "diagnosis": Package("causes, rules (pure)", 2.1),
    "wire": Package("SSH before the keys (pure)", 0.3),
    "plugin": Package("the Nagios kit", 2.1),
    "values": Package("ending, report, plan, text", 1.2),  # small modules, drawn as one
}
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 176, 46, 26, 56, 8
STEP_X, STEP_Y = WIDTH + GAP_X, HEIGHT + GAP_Y


class Box(NamedTuple):
    """Where a package is drawn."""

    x: float
    y: float


def package(module: str) -> str:
    """Return the package of a module as it is drawn; "" for tests and the like."""
    package, _, rest = module.partition(".")
    if package == EXPORTER:
        return EXPORTER
    if package != PACKAGE:
        return ""
    first = rest.partition(".")[0]
    if first == "__main__":
        return "remote"
    return first if first in ROOMS else "values"


def uses() -> dict[str, set[str]]:
    """Return each package and those whose modules it imports."""
    paths = [path for place in (PACKAGE, f"exporter/{EXPORTER}") for path in sorted((ROOT / place).rglob("*.py"))]
    known = {name_of(path) for path in paths}
    found: dict[str, set[str]] = {name: set() for name in ROOMS}
    for path in paths:
        # `from .. import kernel` names a module or a value; `from ..probe import run` the module `probe.run`.
        named = {name for one in imports(path) for name in (one.name, *(f"{one.name}.{part}" for part in one.parts))}
        own = package(name_of(path))
        found[own] |= {package(name) for name in named & known} - {own, ""}
    return found


def below(edges: dict[str, set[str]], name: str) -> set[str]:
    """Return every package that this one reaches."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in edges[waiting.pop()] - found:
            found.add(other)
            waiting.append(other)
    return found


def direct(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the arrows that do not follow from others."""
    return {
        name: {other for other in others if not any(other in below(edges, third) for third in others - {other})}
        for name, others in edges.items()
    }


def floors(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the packages from the top down: each one above all that it imports."""
    height: dict[str, int] = {}

    def above(name: str) -> int:
        if name not in height:
            height[name] = 1 + max((above(other) for other in edges[name]), default=-1)
        return height[name]

    top = max(above(name) for name in edges)
    return [[name for name in ROOMS if height[name] == level] for level in range(top, -1, -1)]


def places(rows: list[list[str]]) -> dict[str, Box]:
    """Return where each package is drawn."""
    return {
        name: Box(MARGIN + ROOMS[name].column * STEP_X, MARGIN + floor * STEP_Y)
        for floor, row in enumerate(rows)
        for name in row
    }


def picture() -> str:
    """Return the drawing."""
    edges = uses()
    rows = floors(edges)
    boxes = places(rows)
    width = max(box.x for box in boxes.values()) + WIDTH + MARGIN
    height = max(box.y for box in boxes.values()) + HEIGHT + MARGIN
    lines = [
        f'<svg class="layout" viewBox="0 0 {width:g} {height:g}" role="img" xmlns="http://www.w3.org/2000/svg">',
        "<title>The packages of the code; an arrow leads to what a package imports</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>',
    ]
    for name, others in direct(edges).items():
        lines += [arrow(boxes[name], boxes[other]) for other in sorted(others, key=list(ROOMS).index)]
    for name, box in boxes.items():
        middle = box.x + WIDTH / 2
        lines.append(
            f'<g><rect x="{box.x:g}" y="{box.y:g}" width="{WIDTH}" height="{HEIGHT}" rx="4"/>'
            f'<text x="{middle:g}" y="{box.y + 20:g}" class="name">{name}</text>'
            f'<text x="{middle:g}" y="{box.y + 36:g}">{ROOMS[name].text}</text></g>'
        )
    return "\n".join([*lines, "</svg>", ""])


def arrow(start: Box, end: Box) -> str:
    """Return an arrow from the lower edge of a box to the upper edge of another."""
    x1, y1, x2, y2 = start.x + WIDTH / 2, start.y + HEIGHT, end.x + WIDTH / 2, end.y
    bend = (y2 - y1) / 2
    return f'<path d="M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
