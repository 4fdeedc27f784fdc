"""`python -m release.dist [DIRECTORY]`: the sdist and the wheel, the same bytes from the same source anywhere.

An archive usually holds the moment of its making, the builder's user and umask. Here all of that comes from the source:
every file has the time of SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/), which is that
of the last commit unless it is set.
"""

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
EPOCH = "SOURCE_DATE_EPOCH"
# What tools leave in a tree. Git names the files of a checkout; an unpacked sdist has no git.
NOT_SOURCE = (".git", ".venv", ".cache", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "build", "dist")
OLDEST = 315532800  # 1980, the first year that a zip file can hold


def epoch(root: Path) -> int:
    """Return the time that all files get, seconds since 1970. Raises ValueError: SOURCE_DATE_EPOCH is no number."""
    given = os.environ.get(EPOCH)
    if given is None:
        asked = subprocess.run(["git", "-C", str(root), "log", "-1", "--format=%ct"], capture_output=True, text=True)
        given = asked.stdout.strip() if asked.returncode == 0 else str(OLDEST)
    return max(OLDEST, int(given))


def sources(root: Path) -> Iterator[Path]:
    """Yield the files of the source, relative to its root: those that git knows or would add, else all but leavings."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True) if (root / ".git").exists() else None
    if listed is not None and listed.returncode == 0:
        yield from (path for name in sorted(listed.stdout.split(b"\0")) if (path := Path(os.fsdecode(name))).name)
        return
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.is_file() and not any(Path(part).match(pattern) for part in inside.parts for pattern in NOT_SOURCE):
            yield inside


def export(root: Path, place: Path, moment: int) -> None:
    """Copy the source to a place, each file with that time and with the mode 644 or 755."""
    for inside in sources(root):
        here, there = root / inside, place / inside
        if not here.is_file():  # removed and not yet committed
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here, there)
        there.chmod(0o755 if here.stat().st_mode & 0o100 else 0o644)
        os.utime(there, (moment, moment))


def repack(sdist: Path, moment: int) -> None:
    """Write an sdist again, its members sorted, all of one time and of nobody in particular."""
    with tarfile.open(sdist) as archive:
        members = sorted(archive.getmembers(), key=lambda member: member.name)
        contents = [(member, archive.extractfile(member) if member.isfile() else None) for member in members]
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as made:
            for member, content in contents:
                member.mtime, member.uid, member.gid, member.uname, member.gname = moment, 0, 0, "", ""
                member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
                member.pax_headers = {}
                made.addfile(member, content)
    sdist.write_bytes(gzip.compress(packed.getvalue(), mtime=moment))


def make(root: Path, directory: Path) -> list[Path]:
    """Build both archives into a directory and return them. Raises CalledProcessError where the build fails."""
    moment = epoch(root)
    old_mask = os.umask(0o022)
    try:
        with TemporaryDirectory() as place:
            tree, made = Path(place, "source"), Path(place, "made")
            export(root, tree, moment)
            env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
            command = [sys.executable, "-m", "build", "--outdir", str(made), str(tree)]
            subprocess.run(command, cwd=place, env=env | {EPOCH: str(moment)}, check=True, capture_output=True)
            (sdist,) = made.glob("*.tar.gz")
            repack(sdist, moment)
            directory.mkdir(parents=True, exist_ok=True)
            return [Path(shutil.copy(path, directory)) for path in sorted(made.iterdir())]
    finally:
        os.umask(old_mask)


def main(arguments: list[str]) -> int:
    """Build and print what was made."""
    try:
        for path in make(ROOT, Path(arguments[0]) if arguments else ROOT / "dist"):
            print(path)
    except subprocess.CalledProcessError as error:
        print(error.stdout.decode()[-2000:], error.stderr.decode()[-2000:], sep="", file=sys.stderr)
        return 1
    except ValueError:
        print(f"{EPOCH} is {os.environ[EPOCH]!r}; it must be a number of seconds since 1970", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
