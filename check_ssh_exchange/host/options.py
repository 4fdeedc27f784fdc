"""The command line of check_sshd_local."""

from collections.abc import Callable

from .. import __version__
from ..diagnosis.cause import Cause
from ..plugin import arguments as types
from ..plugin.arguments import Parser, UsageError
from ..plugin.thresholds import Thresholds
from ..values import NamedTuple
from .about import DEFAULT_SINCE, About
from .ip_address import plain
from .items import DEFAULT_THRESHOLDS, LABELS, NAMES
from .judge import Wishes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

MAX_SINCE = 86400.0
WORDS = tuple(dict.fromkeys((*NAMES, *Cause)))  # what --state takes
# What names a file, a socket or a program, or makes one: not for somebody who has our rights by sudo.
NOT_BY_SUDO = ("state_file", "snapshot")
NOT_TAKEN = "{} is not taken as root by sudo: it names a file, which might not be yours"


class Options(NamedTuple):
    """A whole command line, checked. `collects` and `snapshot` choose one half of the work."""

    about: About
    wishes: Wishes
    thresholds: Thresholds
    verbosity: int = 0
    output_format: str = "text"
    is_explained: bool = False
    collects: bool = False
    by_sudo: bool = False
    snapshot: str | None = None
    state_file: str | None = None
    probes: bool = False
    tries: bool = False


def _since(text: str) -> float:
    seconds = types.duration(text)
    if seconds > MAX_SINCE:
        raise UsageError("argument --since: logs are read back to 1d at most")
    return seconds


def _items(text: str) -> tuple[str, ...]:
    """Return the items of a comma list; raises ValueError for an unknown one."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in NAMES:
            from difflib import get_close_matches

            guess = "".join(f"; did you mean {near}?" for near in get_close_matches(name[:80], NAMES, 1))
            raise ValueError(f"unknown item {name[:80]!r}{guess} (choose from {', '.join(NAMES)})")
    return names


def parser() -> Parser:
    """Return the command line's parser; the documents' table of options is compared with it."""
    made = Parser(
        prog="check_sshd_local",
        usage="%(prog)s [options]",
        description="On the SSH server itself: look at everything that can make sshd turn connections away, and say "
        "which it is.",
    )
    add = made.add_argument
    add("--monitor", type=types.ip_address, action="append", default=[], metavar="ADDRESS",
        help="an address that monitors this host: is it banned, denied, penalised or exempt; repeatable")  # fmt: skip
    add("-p", "--port", type=types.whole(1, 65535, "port"), action="append", default=[],
        help="only the sshd that listens there; repeatable (every sshd)")  # fmt: skip
    add("--only", type=types.typed(_items), action="append", default=[], metavar="ITEM",
        help="look at these items alone; repeatable, comma lists")  # fmt: skip
    add("--skip", type=types.typed(_items), action="append", default=[], metavar="ITEM",
        help="do not look at these items; repeatable, comma lists")  # fmt: skip
    add("--since", type=_since, default=DEFAULT_SINCE, metavar="DURATION",
        help="how far back logs are read where no state file remembers a position: 90s, 10m, 1h, 1d (10m)")  # fmt: skip
    types.add_judgement(made, LABELS, WORDS, "an item or a cause", DEFAULT_THRESHOLDS)
    add("--state-file", metavar="FILE",
        help="remember positions in logs, counters and host keys in this file, or in a directory (none)")  # fmt: skip
    add("--probe", action="store_true", help="make one handshake with each listener, at its own address")
    add("--trial", action="store_true",
        help="start the same sshd once more for one handshake, and tell where it fails (root)")  # fmt: skip
    add("--login-user", metavar="NAME", help="look at this user's authorized_keys as sshd would")
    add("--collect", action="store_true", help="print what there is to read as one JSON document, and judge nothing")
    add("--snapshot", metavar="FILE", help="judge what --collect printed, here or elsewhere; - reads standard input")
    add("--sudo", action="store_true", help="collect by sudo -n, with the rights of root")
    types.add_output(
        made, __version__, "-v the items that are wrong, -vv every item", formats=("text", "json", "openmetrics")
    )
    return made


def parse(arguments: "Sequence[str]", environment: "Callable[[str], str | None]", uid: int) -> Options:
    """Return the checked command line; raises UsageError or Message.

    `environment` looks a variable up, `uid` is whom we run as: with root's rights by sudo some options are refused.
    """
    is_by_sudo = uid == 0 and bool(environment("SUDO_UID"))
    if is_by_sudo and any(argument.startswith("--extra-opts") for argument in arguments):
        raise UsageError(NOT_TAKEN.format("--extra-opts"))
    given = types.parse(parser(), arguments)
    if is_by_sudo:
        _refuse_by_sudo(given)
    _refuse_together(given, arguments)
    thresholds, states, _ = types.judgement(given, DEFAULT_THRESHOLDS)
    only = tuple(name for names in given.only for name in names)
    skip = {name for names in given.skip for name in names}
    items = tuple(name for name in NAMES if name not in skip and (not only or name in only))
    if not items:
        raise UsageError("--only and --skip leave no item to look at")
    for is_given, option, item in ((given.probe, "--probe", "daemon"), (given.trial, "--trial", "configuration")):
        if is_given and item not in items:
            raise UsageError(f"what {option} finds is said by the item {item}, which --only or --skip leaves out")
    return Options(
        about=About(tuple(dict.fromkeys(map(plain, given.monitor))), tuple(given.port), given.since, given.login_user),
        wishes=Wishes(items, thresholds, states),
        thresholds=thresholds,
        verbosity=given.verbose,
        output_format=given.output_format,
        is_explained=given.explain,
        collects=given.collect,
        by_sudo=given.sudo,
        snapshot=given.snapshot,
        state_file=given.state_file,
        probes=given.probe,
        tries=given.trial,
    )


def _refuse_beside_collect(arguments: "Sequence[str]") -> None:
    """Refuse options that --collect ignores: a user who gives one expects it to work."""
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--since":
            words[:1] = []
        elif word != "--collect" and not word.startswith("--since="):
            raise UsageError(f"--collect takes no other option than --since, not {word[:40]}")


def _refuse_by_sudo(given: "argparse.Namespace") -> None:
    for name in NOT_BY_SUDO:
        if getattr(given, name, None):
            raise UsageError(NOT_TAKEN.format(f"--{name.replace('_', '-')}"))


def _refuse_together(given: "argparse.Namespace", arguments: "Sequence[str]") -> None:
    if given.collect:
        _refuse_beside_collect(arguments)
    if given.state_file == "":
        raise UsageError("--state-file names no file")
    if given.snapshot is not None and (given.collect or given.sudo or given.probe or given.trial):
        raise UsageError(
            "--snapshot judges what was read before; --collect, --sudo, --probe and --trial look at this host"
        )
    if given.sudo and (given.probe or given.trial):
        raise UsageError("--sudo collects only; run --probe and --trial without it")
    if given.explain and given.output_format != "text":
        raise UsageError(f"--explain is a page of text, --output-format {given.output_format} is not")
