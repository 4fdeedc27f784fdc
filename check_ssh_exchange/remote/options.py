"""Command line to options: every option of check_ssh under its own letter, and ours."""

import argparse
import math
import socket
from collections.abc import Callable, Sequence

from .. import __version__
from ..ending import Depth
from ..plan import DEFAULT_CONCURRENCY, DEFAULT_HANDSHAKES, DEFAULT_TIMEOUT, Login, Plan, Target
from ..plugin.thresholds import DEFAULT_CRITICAL, DEFAULT_WARNING, parse_states, parse_thresholds
from ..values import NamedTuple
from ..verdict import Expectations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..diagnosis.maxstartups import MaxStartups

MAX_HANDSHAKES = 10_000
MAX_TIMEOUT = 3600.0
MAX_HOST = 255
DEFAULT_WINDOW = 3600.0
MAX_WINDOW = 7 * 86400.0


class UsageError(Exception):
    """The command line cannot be used; the message is one sentence."""


class Message(Exception):
    """The command line asks for a text (help, version) instead of a check."""


class Options(NamedTuple):
    """A whole command line, checked."""

    target: Target
    plan: Plan
    expected: Expectations
    verbosity: int
    is_json: bool
    max_startups: "MaxStartups | None" = None
    state_file: str | None = None
    window: float = DEFAULT_WINDOW


class _Parser(argparse.ArgumentParser):
    # argparse prints and exits by itself, with 2 (CRITICAL) for usage errors and 0 (OK) for --help.
    def error(self, message: str) -> "NoReturn":
        raise UsageError(message)

    def exit(self, status: int = 0, message: str | None = None) -> "NoReturn":
        raise Message(message or "")


class _Help(argparse.HelpFormatter):
    # argparse makes one for every option it is told of, to check it. Without a width each asks shutil for the
    # terminal's, and the import of shutil costs a tenth of a default run.
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=98)


class _Show(argparse.Action):
    """An option that shows a text at once."""

    def __init__(self, option_strings: Sequence[str], dest: str, show: Callable[[], str], help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, help=help)
        self._show = show

    def __call__(self, *_: object) -> "NoReturn":
        """Raise the text as a Message."""
        raise Message(self._show())


def _whole(low: int, high: int, what: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what} from {low} to {high}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    try:
        value = float(text) if set(text) <= set("0123456789.") else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value <= MAX_TIMEOUT:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0 and up to {MAX_TIMEOUT:.0f}")
    return value


def _duration(text: str) -> float:
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:], 0)
    digits = text[:-1] if unit else text
    is_whole = digits.isascii() and digits.isdecimal() and len(digits) < 10
    if not is_whole or not 0 < int(digits) * (unit or 1) <= MAX_WINDOW:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration from 1s to 7d, as in 90s, 15m, 1h or 1d")
    return float(int(digits) * (unit or 1))


def _host(text: str) -> str:
    if not text or len(text) > MAX_HOST or any(c.isspace() or not c.isprintable() for c in text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no host name or address")
    return text


def _source(text: str) -> str:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text.partition("%")[0])
        except (OSError, UnicodeError):
            continue
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no IPv4 or IPv6 address")


def _max_startups(text: str) -> "MaxStartups":
    from ..diagnosis.maxstartups import parse

    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _pairs(parse: Callable[[str], dict[str, str]]) -> Callable[[str], dict[str, str]]:
    def checked(text: str) -> dict[str, str]:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser; README's table of options is compared with it."""
    made = _Parser(
        formatter_class=_Help,
        prog="check_ssh_exchange",
        usage="%(prog)s -H HOST [options]",
        description="Open a few concurrent SSH handshakes, count those that the server ends before the key exchange, "
        "and say why.",
        add_help=False,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("host", nargs="?", type=_host, metavar="HOST", help="the host, as with -H")
    add("-H", "--hostname", "--host", dest="hostname", type=_host, metavar="HOST", help="host name or address")
    add("-p", "--port", type=_whole(1, 65535, "port"), default=22, help="TCP port (22)")
    add("-4", "--use-ipv4", dest="ipv4", action="store_true", help="IPv4 only")
    add("-6", "--use-ipv6", dest="ipv6", action="store_true", help="IPv6 only")
    add("-t", "--timeout", type=_seconds, default=DEFAULT_TIMEOUT, metavar="S",
        help=f"seconds for the whole run, decimals allowed ({DEFAULT_TIMEOUT:.0f})")  # fmt: skip
    add("-n", "--handshakes", type=_whole(1, MAX_HANDSHAKES, "number of handshakes"), default=DEFAULT_HANDSHAKES,
        metavar="N", help=f"handshakes in all ({DEFAULT_HANDSHAKES})")  # fmt: skip
    add("--concurrency", type=_whole(1, MAX_HANDSHAKES, "number of handshakes"), metavar="K",
        help=f"most at once after the baseline (the smaller of N-1 and {DEFAULT_CONCURRENCY})")  # fmt: skip
    add("--depth", choices=[str(depth) for depth in Depth], default=str(Depth.KEXINIT),
        help="how far a handshake goes (kexinit)")  # fmt: skip
    add("-w", "--warning", type=_pairs(parse_thresholds), action="append", default=[], metavar="LABEL=RANGE",
        help="warn when the figure is outside the Nagios range; repeatable, comma lists "
        "(early_close=0,banner_p50=1,early_close_window=1)")  # fmt: skip
    add("-c", "--critical", type=_pairs(parse_thresholds), action="append", default=[], metavar="LABEL=RANGE",
        help="critical when outside (early_close=50,banner_p50=5)")  # fmt: skip
    add("--state", type=_pairs(parse_states), action="append", default=[], metavar="WORD=STATE",
        help="the state (ok, warning, critical, unknown) that an ending or a cause leads to; repeatable")  # fmt: skip
    add("-r", "--remote-version", action="append", default=[], metavar="TEXT",
        help="accepted server software, with or without its comments; repeatable")  # fmt: skip
    add("-P", "--remote-protocol", metavar="TEXT", help="accepted protocol (2.0)")
    add("-S", "--source", type=_source, action="append", default=[], metavar="ADDRESS",
        help="local address to probe from; a second one is a second witness for limits per source")  # fmt: skip
    add("--all-addresses", action="store_true", help="probe every address the name resolves to, say which fail")
    add("--control-port", type=_whole(1, 65535, "port"), metavar="PORT",
        help="when no SYN is answered, see whether the host answers on this TCP port (none)")  # fmt: skip
    add("--max-startups", type=_max_startups, metavar="START:RATE:FULL",
        help="the server's MaxStartups, for the estimate of its connections (10:30:100)")  # fmt: skip
    add("--state-file", metavar="FILE",
        help="remember runs in this file, or in a file of the target's in this directory (none)")  # fmt: skip
    add("--window", type=_duration, default=DEFAULT_WINDOW, metavar="DURATION",
        help="how far back remembered early closes count for early_close_window: 90s, 15m, 1h, 1d (1h)")  # fmt: skip
    add("--exempt", action="store_true", help="the server exempts this source: no budget of handshakes")
    add("--user", metavar="NAME", help="user to log in as (depth login)")
    add("--identity", metavar="FILE", help="private key without a passphrase (depth login)")
    add("--known-hosts", metavar="FILE", help="host keys to accept (depths kex and login; any without it)")
    add("--output-format", choices=["text", "json"], default="text", help="what to print (text)")
    add("--extra-opts", metavar="[SECTION][@FILE]", help="read options from an ini file")
    add("-v", "--verbose", action="count", default=0,
        help="-v evidence and remedies, -vv a line a handshake, -vvv the wire")  # fmt: skip
    add("-h", "--help", action=_Show, show=made.format_help, help="show this text")
    add("-V", "--version", action=_Show, show=lambda: f"check_ssh_exchange {__version__}\n", help="show the version")
    return made


def parse(arguments: Sequence[str]) -> Options:
    """Return the checked command line. Raises UsageError or Message."""
    if not {"-h", "--help"}.isdisjoint(arguments):  # whatever else is wrong with the others
        raise Message(parser().format_help())
    given = parser().parse_args(_expanded(arguments))
    if given.hostname and given.host and given.hostname != given.host:
        raise UsageError(f"two hosts are given, {given.hostname} and {given.host}")
    if given.state_file == "":
        raise UsageError("--state-file names no file")
    host = given.hostname or given.host
    if not host:
        raise UsageError("no host is given: check_ssh_exchange -H HOST")
    warning, critical = _merged(given.warning), _merged(given.critical)
    return Options(
        target=Target(host, given.port),
        plan=_plan(given),
        expected=Expectations(
            warning={**DEFAULT_WARNING, **warning},
            critical={**DEFAULT_CRITICAL, **critical},
            states=_merged(given.state),
            versions=tuple(given.remote_version),
            protocol=given.remote_protocol,
            explicit=frozenset(warning) | frozenset(critical),
        ),
        verbosity=given.verbose,
        is_json=given.output_format == "json",
        max_startups=given.max_startups,
        state_file=given.state_file,
        window=given.window,
    )


def _expanded(arguments: Sequence[str]) -> Sequence[str]:
    """Return the arguments with the options that files say before those of the command line."""
    if not any(argument.startswith("--extra-opts") for argument in arguments):
        return arguments
    from ..plugin.extra_opts import ExtraOptsError, expand

    try:
        return expand(arguments)
    except ExtraOptsError as error:
        raise UsageError(str(error)) from None


def _merged(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {key: value for found in pairs for key, value in found.items()}


def _plan(given: argparse.Namespace) -> Plan:
    depth = Depth(given.depth)
    if given.ipv4 and given.ipv6:
        raise UsageError("-4 and -6 exclude each other; without either both are used")
    if len(given.source) > 2:
        raise UsageError("more than two source addresses are given")
    if len(set(given.source)) < len(given.source):
        raise UsageError(f"the source address {given.source[0]} is given twice")
    if depth is Depth.LOGIN and not (given.user and given.identity):
        raise UsageError("depth login needs --user and --identity")
    if depth is not Depth.LOGIN and (given.user or given.identity):
        raise UsageError("--user and --identity are for depth login")
    if depth not in (Depth.KEX, Depth.LOGIN) and given.known_hosts:
        raise UsageError("--known-hosts is for the depths kex and login")
    return Plan(
        handshakes=given.handshakes,
        concurrency=given.concurrency,
        depth=depth,
        timeout=given.timeout,
        family=_family(given),
        sources=tuple(given.source),
        all_addresses=given.all_addresses,
        exempt=given.exempt,
        login=Login(given.user, given.identity, given.known_hosts),
        trace=given.verbose >= 3,
        control_port=given.control_port,
    )


def _family(given: argparse.Namespace) -> str:
    """Return the family to use: the one asked for, or the one that the source addresses have."""
    families = {"ipv6" if ":" in source else "ipv4" for source in given.source}
    if given.ipv4 or given.ipv6:
        families.add("ipv4" if given.ipv4 else "ipv6")
    if len(families) > 1:
        raise UsageError("the source addresses and the address family do not fit together")
    return families.pop() if families else "any"
