"""Log lines as Prometheus' own programs write them: logfmt or JSON, one line an event, on stderr."""

import json
import logging
import sys
from datetime import UTC, datetime

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS = ("logfmt", "json")
WORDS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn"}


class LineFormatter(logging.Formatter):
    """Writes ts, level and msg, and what `extra={"fields": {...}}` adds."""

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
    """Return key=value pairs; a value with anything but plain characters is quoted and escaped as JSON has it."""
    return " ".join(f"{key}={_value(value)}" for key, value in fields.items())


def _value(value: object) -> str:
    text = str(value)
    is_plain = text.isascii() and text.isprintable() and text and not set(text) & set(' "=\\')
    return text if is_plain else json.dumps(text)


def begin(level: str, kind: str) -> None:
    """Write log lines to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(kind))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(__package__).setLevel(LEVELS[level])
    # What asyncssh has to say of a server's doings is in the report.
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
