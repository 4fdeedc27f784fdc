"""`python -m tests.lengths`: print the modules that have grown long. A long module is a hint and no error: exit 0."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS_OF_CODE = ("check_ssh_exchange", "exporter", "contrib", "tests", "faults", "bench")
LONG = 400  # lines


def long_modules(root: Path = ROOT) -> list[tuple[str, int]]:
    """Return path and lines of each module with more than LONG lines, the longest first."""
    paths = (path for room in ROOMS_OF_CODE for path in (root / room).rglob("*.py"))
    lines = {path.relative_to(root).as_posix(): len(path.read_text("utf-8").splitlines()) for path in paths}
    return sorted(((path, count) for path, count in lines.items() if count > LONG), key=lambda pair: -pair[1])


if __name__ == "__main__":
    for path, count in long_modules():
        print(f"warning: {path} has {count} lines, more than {LONG}: does it hold two subjects?")
