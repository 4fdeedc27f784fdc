"""Command-line flags in the style of Prometheus, `--flag=value`."""

import argparse
import math

from check_ssh_exchange import __version__

from .background.share import Shard
from .log import FORMATS, LEVELS

PORT = 10922


def parser() -> argparse.ArgumentParser:
    """Return the parser of the exporter's flags."""
    flags = argparse.ArgumentParser(
        prog="ssh_exchange_exporter",
        description="Prometheus exporter that measures SSH handshakes and names the cause of early closes.",
        allow_abbrev=False,
    )
    add = flags.add_argument
    add(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        help="configuration file (none: only the module `default`)",
    )
    add("--config.check", dest="config_check", action="store_true", help="check the configuration files and exit")
    add(
        "--web.listen-address",
        dest="listen",
        metavar="ADDRESS",
        action="append",
        help=f"[HOST]:PORT to listen on, repeatable (:{PORT})",
    )
    add(
        "--web.config.file",
        dest="web_config",
        metavar="FILE",
        help="file with TLS, users and headers, as exporter-toolkit has them (none)",
    )
    add(
        "--web.systemd-socket",
        dest="systemd_socket",
        action="store_true",
        help="listen on the sockets that systemd passes",
    )
    add(
        "--timeout-offset",
        dest="timeout_offset",
        type=seconds,
        default=0.5,
        metavar="SECONDS",
        help="subtracted from the scrape timeout of Prometheus (0.5)",
    )
    add(
        "--history.limit",
        dest="history_limit",
        type=count,
        default=100,
        metavar="N",
        help="number of recent probes to keep, and of failed ones (100)",
    )
    add(
        "--shard",
        type=shard,
        metavar="I/N",
        help="probe the I-th of N shares of the background targets (the key shard, else 1/1)",
    )
    add("--log.level", dest="log_level", choices=LEVELS, default="info", help="least level to log (info)")
    add("--log.format", dest="log_format", choices=FORMATS, default="logfmt", help="format of the log (logfmt)")
    add(
        "--version",
        action="version",
        version=f"ssh_exchange_exporter {__version__}",
        help="show the version and exit",
    )
    return flags


def seconds(text: str) -> float:
    """Return a number of seconds from 0 to 3600. Raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and 3600")
    return value


def shard(text: str) -> Shard:
    """Return the shard of `I/N`. Raises ArgumentTypeError."""
    from .configuration.configuration import shard_of

    try:
        return shard_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} {error}") from None


def count(text: str) -> int:
    """Return a count from 1 to 100000. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 1 and 100000")
    return int(text)
