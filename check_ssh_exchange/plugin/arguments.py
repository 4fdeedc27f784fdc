"""A plugin's command line: an argparse parser that never exits by itself, types with clear errors, common options."""

import argparse
import math
import re
import socket
from collections.abc import Callable, Iterable, Sequence

from ..values import NamedTuple
from .thresholds import Thresholds, parse_states, parse_thresholds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MAX_TIMEOUT = 3600.0
MAX_DURATION = 7 * 86400.0
MAX_HOST = 255
_MAX_DIGITS = 9  # more than any number here has; Python refuses to read thousands


class UsageError(Exception):
    """The command line cannot be used; the message is one sentence."""


class Message(Exception):
    """The command line asks for a text (help, version, a page) instead of a check; `code` is its exit code."""

    def __init__(self, text: str, code: int = 3) -> None:
        super().__init__(text)
        self.code = code


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError and Message; argparse would exit with 2 (CRITICAL) and 0 (OK)."""

    def __init__(self, prog: str, usage: str, description: str) -> None:
        super().__init__(
            prog=prog, usage=usage, description=description, formatter_class=_Help, add_help=False, allow_abbrev=False
        )

    def error(self, message: str) -> "NoReturn":
        """Raise the message as a UsageError; of an argument too long to read, it keeps the beginning."""
        raise UsageError(re.sub(r"\S{200,}", lambda found: f"{found[0][:60]}...", message))

    def exit(self, status: int = 0, message: str | None = None) -> "NoReturn":
        """Raise the message as a Message."""
        raise Message(message or "")


class _Help(argparse.HelpFormatter):
    # argparse makes one for every option that is added, to check it. Without a width each asks shutil for the
    # terminal's, and the import of shutil costs a tenth of a default run.
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=98)

    def _set_color(self, *_: object, **__: object) -> None:
        # Since Python 3.14 argparse imports its colours here, and with them dataclasses. Monitoring shows none.
        self._theme = _Plain()
        self._decolor = str


class _Plain:
    """A theme of argparse without colours."""

    def __getattr__(self, name: str) -> str:
        return ""


class Show(argparse.Action):
    """An option that shows a text at once."""

    def __init__(self, option_strings: Sequence[str], dest: str, show: Callable[[], str], help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, help=help)
        self._show = show

    def __call__(self, *_: object) -> "NoReturn":
        """Raise the text as a Message."""
        raise Message(self._show())


class Judgement(NamedTuple):
    """What -w, -c and --state say: thresholds (defaults under what was given), states by word, the labels given."""

    thresholds: Thresholds
    states: dict[str, str]
    explicit: frozenset[str]


def add_judgement(parser: Parser, labels: Iterable[str], words: Iterable[str], what: str, defaults: Thresholds) -> None:
    """Add -w, -c and --state. `labels` are the perfdata labels; `words` have states, and `what` says what they are."""

    def shown(ranges: Iterable[tuple[str, str]]) -> str:
        return ",".join(f"{label}={spec}" for label, spec in ranges)

    def thresholds(text: str) -> dict[str, str]:
        return parse_thresholds(text, labels)

    def states(text: str) -> dict[str, str]:
        return parse_states(text, words, what)

    add = parser.add_argument
    add("-w", "--warning", type=typed(thresholds), action="append", default=[], metavar="LABEL=RANGE",
        help="warn when the figure is outside the Nagios range; repeatable, comma lists "
        f"({shown(defaults.warning.items())})")  # fmt: skip
    add("-c", "--critical", type=typed(thresholds), action="append", default=[], metavar="LABEL=RANGE",
        help=f"critical when outside ({shown(defaults.critical.items())})")  # fmt: skip
    add("--state", type=typed(states), action="append", default=[], metavar="WORD=STATE",
        help=f"the state (ok, warning, critical, unknown) that {what} leads to; repeatable")  # fmt: skip


def judgement(given: argparse.Namespace, defaults: Thresholds) -> Judgement:
    """Return what the options that `add_judgement` adds say."""
    warning, critical = _merged(given.warning), _merged(given.critical)
    thresholds = Thresholds({**defaults.warning, **warning}, {**defaults.critical, **critical})
    return Judgement(thresholds, _merged(given.state), frozenset(warning) | frozenset(critical))


def add_output(parser: Parser, version: str, verbose: str, formats: Sequence[str] = ("text", "json")) -> None:
    """Add --output-format, --extra-opts, -v, -h and -V; `verbose` is the help of -v."""
    add = parser.add_argument
    add("--output-format", choices=list(formats), default="text", help="what to print (text)")
    add("--explain", action="store_true",
        help="print a page for a person instead of the status line (extra 'explain'); same exit code")  # fmt: skip
    add("--extra-opts", metavar="[SECTION][@FILE]", help="read options from an ini file")
    add("-v", "--verbose", action="count", default=0, help=verbose)
    add("-h", "--help", action=Show, show=parser.format_help, help="show this text")
    add("-V", "--version", action=Show, show=lambda: f"{parser.prog} {version}\n", help="show the version")


def parse(parser: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line, those from --extra-opts first. Raises UsageError or Message."""
    if not {"-h", "--help"}.isdisjoint(arguments):  # whatever else is wrong with the others
        raise Message(parser.format_help())
    return parser.parse_args(_expanded(arguments, parser.prog))


def _expanded(arguments: Sequence[str], section: str) -> Sequence[str]:
    if not any(argument.startswith("--extra-opts") for argument in arguments):
        return arguments
    from .extra_opts import ExtraOptsError, expand

    try:
        return expand(arguments, section)
    except ExtraOptsError as error:
        raise UsageError(str(error)) from None


def _merged(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {key: value for found in pairs for key, value in found.items()}


def typed(parse: "Callable[[str], Value]") -> "Callable[[str], Value]":
    """Return a parser that raises ValueError as a type for argparse, which then shows its sentence."""

    def checked(text: str) -> "Value":
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def whole(low: int, high: int, what: str) -> Callable[[str], int]:
    """Return a type for whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
        if not is_number or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{_short(text)} is not a valid {what}: use {low} to {high}")
        return int(text)

    return parse


def seconds(text: str) -> float:
    """Return a number of seconds above 0 and up to MAX_TIMEOUT, decimals allowed."""
    try:
        value = float(text) if set(text) <= set("0123456789.") else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value <= MAX_TIMEOUT:
        limits = f"use a number above 0 and up to {MAX_TIMEOUT:.0f}"
        raise argparse.ArgumentTypeError(f"{_short(text)} is not a valid number of seconds: {limits}")
    return value


def duration(text: str) -> float:
    """Return the seconds of a duration such as 90s, 15m, 1h or 1d, from one second to seven days."""
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:], 0)
    digits = text[:-1] if unit else text
    is_whole = digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS
    if not is_whole or not 0 < int(digits) * (unit or 1) <= MAX_DURATION:
        limits = "use 1s to 7d, as in 90s, 15m, 1h or 1d"
        raise argparse.ArgumentTypeError(f"{_short(text)} is not a valid duration: {limits}")
    return float(int(digits) * (unit or 1))


def host(text: str) -> str:
    """Return a host name or address that can be looked up."""
    if not text or len(text) > MAX_HOST or any(c.isspace() or not c.isprintable() for c in text):
        raise argparse.ArgumentTypeError(f"{_short(text)} is not a valid host name or address")
    scheme, mark, rest = text.partition("://")
    if mark:
        raise argparse.ArgumentTypeError(f"leave out {scheme}:// and write {rest or 'the host'}")
    user, mark, rest = text.rpartition("@")
    if mark and not text.startswith("-"):
        raise argparse.ArgumentTypeError(f"leave out {user}@ and write {rest or 'the host'}")
    name, mark, port = text.rpartition(":")
    if mark and port.isdecimal() and (":" not in name or name.endswith("]")):
        raise argparse.ArgumentTypeError(f"write the port as an option: -H {name} -p {port}")
    return text


def ip_address(text: str) -> str:
    """Return an IPv4 or IPv6 address, with a scope id or not."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text.partition("%")[0])
        except (OSError, UnicodeError):
            continue
        return text
    raise argparse.ArgumentTypeError(f"{_short(text)} is not a valid IPv4 or IPv6 address")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


if TYPE_CHECKING:
    from typing import TypeVar

    Value = TypeVar("Value")
