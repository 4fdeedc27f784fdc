"""Log lines in the style of Prometheus: logfmt or JSON, one line per event, on stderr."""

import json
import logging
import sys
from datetime import UTC, datetime

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS = ("logfmt", "json")
WORDS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn"}


class LineFormatter(logging.Formatter):
    """Formats ts, level, msg and the fields of `extra={"fields": {...}}`."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._write = json.dumps if kind == "json" else logfmt

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        fields = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": WORDS.get(record.levelno, "error"),
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return self._write(fields)


def logfmt(fields: dict[str, object]) -> str:
    """Return key=value pairs; a value with other than plain characters is quoted and escaped as in JSON."""
    return " ".join(f"{key}={_value(value)}" for key, value in fields.items())


def _value(value: object) -> str:
    text = str(value)
    is_plain = text.isascii() and text.isprintable() and text and not set(text) & set(' "=\\')
    return text if is_plain else json.dumps(text)


def begin(level: str, kind: str) -> None:
    """Send log lines to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(kind))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(__package__).setLevel(LEVELS[level])
    # The report has what asyncssh would log about a server.
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
