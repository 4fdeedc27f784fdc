"""The command line: Prometheus' way, `--flag=value`."""

import argparse
import math

from check_ssh_exchange import __version__

from .log import FORMATS, LEVELS

PORT = 10922


def parser() -> argparse.ArgumentParser:
    """Return the parser of the exporter's flags."""
    flags = argparse.ArgumentParser(
        prog="ssh_exchange_exporter",
        description="Prometheus exporter that measures SSH exchanges and says why servers turn connections away.",
        allow_abbrev=False,
    )
    add = flags.add_argument
    add("--config.file", dest="config_file", metavar="FILE", help="configuration; without it the module `default`")
    add("--config.check", dest="config_check", action="store_true", help="check the configuration files and exit")
    add(
        "--web.listen-address",
        dest="listen",
        metavar="ADDRESS",
        action="append",
        help=f"[HOST]:PORT to listen on, repeatable (:{PORT})",
    )
    add("--web.config.file", dest="web_config", metavar="FILE", help="TLS, users and headers, as exporter-toolkit's")
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
        help="taken off Prometheus' scrape timeout (0.5)",
    )
    add(
        "--history.limit",
        dest="history_limit",
        type=count,
        default=100,
        metavar="N",
        help="recent probes to keep, and as many that failed (100)",
    )
    add("--log.level", dest="log_level", choices=LEVELS, default="info", help="(info)")
    add("--log.format", dest="log_format", choices=FORMATS, default="logfmt", help="(logfmt)")
    add("--version", action="version", version=f"ssh_exchange_exporter {__version__}")
    return flags


def seconds(text: str) -> float:
    """Return a number of seconds; raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and 3600")
    return value


def count(text: str) -> int:
    """Return a count of at least 1; raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= 100_000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 1 and 100000")
    return int(text)
