"""One check from its options to its answer: collect, remember, judge, print."""

import json
import os
import stat
import sys
import time

from ..plugin.arguments import UsageError
from ..plugin.output import json_line
from .about import DEFAULT_SINCE
from .judge import judge
from .memory import Memory
from .options import Options
from .snapshot import Snapshot, SnapshotError

MAX_SNAPSHOT = 64 << 20  # bytes
BY_ROOT = "/var/lib/check_sshd_local"  # a directory of root's, mode 0700
SECONDS = 30.0  # for a collection by sudo


class CannotCheck(Exception):
    """There is nothing to judge; the message is one sentence."""


def check(options: Options) -> tuple[int, str]:
    """Return the exit code and the output. Raises CannotCheck and UsageError."""
    if options.collects:
        from .collect import collect

        return 0, json.dumps(collect(options.about.since).document) + "\n"
    if options.is_explained:
        from .explanation import demand_rich

        demand_rich()
    memory = Memory.load(_state_file(options))
    seen = _seen(options, memory)
    age = time.time() - seen.at if options.snapshot is not None else None
    outcome = judge(seen, options.about._replace(memory=memory.document), options.wishes, age)
    memory = memory.after(outcome)
    notes = memory.save()
    code = int(outcome.verdict.state)
    if options.is_explained:
        from .explanation import page

        return code, page(outcome, notes)
    if options.output_format == "openmetrics":
        from .openmetrics import text as openmetrics

        return 0, openmetrics(outcome, memory)
    if options.output_format == "json":
        from .json_output import document

        return code, json_line({**document(outcome), **({"notes": notes} if notes else {})})
    from .status_line import text

    return code, text(outcome, options.thresholds, options.verbosity, notes)


def _state_file(options: Options) -> str | None:
    if os.geteuid() != 0 or not os.environ.get("SUDO_UID"):
        return options.state_file
    try:
        os.mkdir(BY_ROOT, 0o700)
    except FileExistsError:
        pass
    except OSError:
        return None
    found = os.lstat(BY_ROOT)
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and not found.st_mode & 0o077
    return f"{BY_ROOT}/state" if is_ours else None


def _seen(options: Options, memory: Memory) -> Snapshot:
    if options.snapshot is not None:
        return _read(options.snapshot)
    if options.by_sudo:
        return _by_sudo(options)
    from .collect import collect

    about = options.about
    seen = collect(about.since, about.monitors, memory.position, about.login_user, about.ports)
    if options.probes:
        from .local_probe import probe

        probe(seen, about.ports)
    if options.tries:
        if not seen.is_root:
            raise CannotCheck("--trial starts an sshd, which only root can: run it as root")
        from .trial import try_out

        try_out(seen, about.ports)
    return seen


def _read(path: str) -> Snapshot:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_SNAPSHOT + 1)
        else:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                data = file.read(MAX_SNAPSHOT + 1)
    except OSError as error:
        raise CannotCheck(f"cannot read the snapshot {path}: {error.strerror or error}") from None
    return _parsed(data)


def _parsed(data: bytes) -> Snapshot:
    if len(data) > MAX_SNAPSHOT:
        raise CannotCheck(f"the snapshot has more than {MAX_SNAPSHOT} bytes")
    try:
        return Snapshot.of_document(json.loads(data))
    except SnapshotError as error:
        raise CannotCheck(str(error)) from None
    except (ValueError, RecursionError):
        raise CannotCheck("the snapshot is not a JSON object") from None


def _by_sudo(options: Options) -> Snapshot:
    import subprocess

    program = _installed()
    # Exactly what the sudoers line allows, unless the user asks for more.
    further = [] if options.about.since == DEFAULT_SINCE else ["--since", f"{options.about.since:.0f}s"]
    command = ["sudo", "-n", program, "--collect", *further]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise CannotCheck("--sudo needs sudo, which is not installed") from None
    except subprocess.TimeoutExpired:
        raise CannotCheck(f"sudo -n {program} --collect did not end within {SECONDS:.0f} s") from None
    if done.returncode:
        from ..text import printable

        said = printable((done.stderr or done.stdout).strip()[:300])
        raise CannotCheck(f"sudo -n {program} --collect failed: {said or f'exit code {done.returncode}'}")
    return _parsed(done.stdout)


def _installed() -> str:
    """Return the path that sudoers knows us by: the installed program, never one that the caller's PATH chooses."""
    program = os.path.realpath(sys.argv[0])
    if not os.path.basename(program).startswith("check_sshd_local"):
        raise UsageError("--sudo runs the installed program; run check_sshd_local itself")
    return program
