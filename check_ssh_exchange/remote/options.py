"""The command line of check_ssh_exchange: every option of check_ssh under its own letter, and more."""

import argparse
from collections.abc import Sequence

from .. import __version__
from ..diagnosis.cause import Cause
from ..diagnosis.figures import LABELS
from ..diagnosis.verdict import DEFAULT_THRESHOLDS, DEFAULT_WINDOW, Expectations
from ..ending import Depth, Ending
from ..plan import DEFAULT_CONCURRENCY, DEFAULT_HANDSHAKES, DEFAULT_TIMEOUT, Login, Plan, Target
from ..plugin import arguments as types
from ..plugin.arguments import Message, Parser, UsageError
from ..report import Family
from ..values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..diagnosis.maxstartups import MaxStartups

MAX_HANDSHAKES = 10_000
WORDS = tuple(dict.fromkeys((*Ending, *Cause)))  # what --state takes


class Options(NamedTuple):
    """A whole command line, checked."""

    target: Target
    plan: Plan
    expectations: Expectations
    verbosity: int
    is_json: bool
    is_explained: bool = False
    state_file: str | None = None


class _ShowPage(argparse.Action):
    """`--runbook CAUSE`: print the page of a cause."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: object, values: object, *_: object) -> "NoReturn":
        """Raise the page as a Message with exit code 0, or UsageError for an unknown cause."""
        from ..runbook import NAMES, page

        cause = str(values)
        if cause in NAMES:
            raise Message(page(cause), code=0)
        from difflib import get_close_matches

        guess = "".join(f"; did you mean {near}?" for near in get_close_matches(cause[:80].lower(), NAMES, 1))
        raise UsageError(f"argument --runbook: unknown cause {cause[:80]!r}{guess} (choose from {', '.join(NAMES)})")


def _max_startups(text: str) -> "MaxStartups":
    from ..diagnosis.maxstartups import parse

    return parse(text)


def _fingerprint(text: str) -> str:
    from ..diagnosis.host_keys import fingerprint

    return fingerprint(text)


def _pause(text: str) -> float:
    return 0.0 if text == "0" else types.seconds(text)


def parser() -> Parser:
    """Return the command line's parser; README's table of options is compared with it."""
    made = Parser(
        prog="check_ssh_exchange",
        usage="%(prog)s -H HOST [options]",
        description="Open a few concurrent SSH handshakes, count those that the server ends before the key exchange, "
        "and say why.",
    )
    add = made.add_argument
    add("host", nargs="?", type=types.host, metavar="HOST", help="the host, as with -H")
    add("-H", "--hostname", "--host", dest="hostname", type=types.host, metavar="HOST", help="host name or address")
    add("-p", "--port", type=types.whole(1, 65535, "port"), default=22, help="TCP port (22)")
    add("-4", "--use-ipv4", dest="ipv4", action="store_true", help="IPv4 only")
    add("-6", "--use-ipv6", dest="ipv6", action="store_true", help="IPv6 only")
    add("-t", "--timeout", type=types.seconds, default=DEFAULT_TIMEOUT, metavar="S",
        help=f"seconds for the whole run, decimals allowed ({DEFAULT_TIMEOUT:.0f})")  # fmt: skip
    add("-n", "--handshakes", type=types.whole(1, MAX_HANDSHAKES, "number of handshakes"), default=DEFAULT_HANDSHAKES,
        metavar="N", help=f"handshakes in all ({DEFAULT_HANDSHAKES})")  # fmt: skip
    add("--concurrency", type=types.whole(1, MAX_HANDSHAKES, "number of handshakes"), metavar="K",
        help=f"most at once after the baseline (the smaller of N-1 and {DEFAULT_CONCURRENCY})")  # fmt: skip
    add("--pause", type=types.typed(_pause), metavar="S",
        help="seconds between the handshakes of the burst, for servers that limit them per second (0)")  # fmt: skip
    add("--depth", choices=[str(depth) for depth in Depth], default=str(Depth.KEXINIT),
        help="how far a handshake goes (kexinit)")  # fmt: skip
    types.add_judgement(made, LABELS, WORDS, "an ending or a cause", DEFAULT_THRESHOLDS)
    add("-r", "--remote-version", action="append", default=[], metavar="TEXT",
        help="accepted server software, with or without its comments, * and ? as in a shell; repeatable")  # fmt: skip
    add("-P", "--remote-protocol", metavar="TEXT", help="accepted protocol, as 2.0 (any)")
    add("-S", "--source", type=types.ip_address, action="append", default=[], metavar="ADDRESS",
        help="local address to probe from; a second one tells limits per source apart")  # fmt: skip
    add("--all-addresses", action="store_true", help="probe every address the name resolves to, say which fail")
    add("--control-port", type=types.whole(1, 65535, "port"), metavar="PORT",
        help="when no SYN is answered, see whether the host answers on this TCP port (none)")  # fmt: skip
    add("--max-startups", type=types.typed(_max_startups), metavar="START:RATE:FULL",
        help="the server's MaxStartups, for the estimate of its connections (10:30:100)")  # fmt: skip
    add("--state-file", metavar="FILE",
        help="remember runs in this file, or in a directory: one file for each target (none)")  # fmt: skip
    add("--window", type=types.duration, default=DEFAULT_WINDOW, metavar="DURATION",
        help="how far back remembered early closes count for early_close_window: 90s, 15m, 1h, 1d (1h)")  # fmt: skip
    add("--exempt", action="store_true", help="the server exempts this source: no budget of handshakes")
    add("--require", choices=["post_quantum"], action="append", default=[],
        help="post_quantum: warn when the server offers no hybrid key exchange")  # fmt: skip
    add("--host-key", type=types.typed(_fingerprint), action="append", default=[], metavar="SHA256:...",
        help="a fingerprint of which one must be shown (depths hostkey, kex and login); repeatable")  # fmt: skip
    add("--user", metavar="NAME", help="user to log in as (depth login)")
    add("--identity", metavar="FILE", help="private key without a passphrase (depth login)")
    add("--known-hosts", metavar="FILE", help="host keys to expect, as ssh reads them (depths hostkey, kex and login)")
    add("--runbook", action=_ShowPage, metavar="CAUSE", help="print the runbook page of a cause and exit with 0")
    types.add_output(made, __version__, "-v evidence and remedies, -vv a line for each handshake, -vvv the wire")
    return made


def parse(arguments: Sequence[str]) -> Options:
    """Return the checked command line. Raises UsageError or Message."""
    given = types.parse(parser(), arguments)
    if given.hostname and given.host and given.hostname != given.host:
        raise UsageError(f"two hosts are given, {given.hostname} and {given.host}")
    if given.explain and given.output_format == "json":
        raise UsageError("--explain is a page of text, --output-format json is not")
    for option in ("state_file", "known_hosts"):
        if getattr(given, option) == "":
            raise UsageError(f"--{option.replace('_', '-')} names no file")
    host = given.hostname or given.host
    if not host:
        raise UsageError("no host is given: check_ssh_exchange -H HOST")
    thresholds, states, explicit = types.judgement(given, DEFAULT_THRESHOLDS)
    return Options(
        target=Target(host, given.port),
        plan=_plan(given),
        expectations=Expectations(
            thresholds=thresholds,
            states=states,
            versions=tuple(given.remote_version),
            protocol=given.remote_protocol,
            explicit=explicit,
            max_startups=given.max_startups,
            window=given.window,
            exempt=given.exempt,
            host_keys=tuple(given.host_key),
            post_quantum="post_quantum" in given.require,
        ),
        verbosity=given.verbose,
        is_json=given.output_format == "json",
        is_explained=given.explain,
        state_file=given.state_file,
    )


def _plan(given: argparse.Namespace) -> Plan:
    depth = Depth(given.depth)
    if given.ipv4 and given.ipv6:
        raise UsageError("-4 and -6 exclude each other; leave both out to use both families")
    if len(given.source) > 2:
        raise UsageError("more than two source addresses are given")
    if len(set(given.source)) < len(given.source):
        raise UsageError(f"the source address {given.source[0]} is given twice")
    if depth is Depth.LOGIN and not (given.user and given.identity):
        raise UsageError("depth login needs --user and --identity")
    if depth is not Depth.LOGIN and (given.user or given.identity):
        raise UsageError("--user and --identity are for depth login")
    if depth in (Depth.BANNER, Depth.KEXINIT):
        for option in ("known_hosts", "host_key"):
            if getattr(given, option):
                raise UsageError(f"--{option.replace('_', '-')} is for the depths hostkey, kex and login")
    if depth is Depth.BANNER and given.require:
        raise UsageError("--require post_quantum needs a depth beyond banner")
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
        pause=given.pause,
        every_host_key=bool(given.host_key),
    )


def _family(given: argparse.Namespace) -> Family:
    """Return the family to use: the one asked for, or the one that the source addresses have."""
    families = {Family.IPV6 if ":" in source else Family.IPV4 for source in given.source}
    if given.ipv4 or given.ipv6:
        families.add(Family.IPV4 if given.ipv4 else Family.IPV6)
    if len(families) > 1:
        raise UsageError("the source addresses and the address family do not match")
    return families.pop() if families else Family.ANY
