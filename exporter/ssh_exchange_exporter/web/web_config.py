"""The web configuration file, as exporter-toolkit defines it: TLS, users, response headers, rate limit."""

import logging
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, model_validator

from ..budget.token_bucket import TokenBucket
from ..configuration.duration import GoDuration, between
from ..configuration.file import ConfigurationError, Stamp, read_text, stamp_of
from ..configuration.validation import KeyErrors, Section, unknown, validate
from ..configuration.yaml_document import MAX_BYTES, Document, parse, text_only
from .scalars import Count, Flag, Text
from .tls import TlsServer
from .users import Users, is_hash

log = logging.getLogger("ssh_exchange_exporter")

# Exactly those that exporter-toolkit allows, with this spelling; an empty tuple allows any value.
HEADERS: dict[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}


def _checked_hash(text: str) -> str:
    if not is_hash(text):
        raise ValueError("must be a bcrypt hash (60 characters, beginning with $2y$ or $2b$, with a cost of 04 to 31)")
    return text


def _checked_header(name: str) -> str:
    if name not in HEADERS:
        raise ValueError(unknown("header", name, HEADERS))
    return name


def _checked_values(headers: dict[str, str]) -> dict[str, str]:
    errors = [
        (name, f"must be {' or '.join(HEADERS[name])}")
        for name, value in headers.items()
        if HEADERS[name] and value not in HEADERS[name]
    ]
    errors += [
        (name, "must be one line of printable ASCII")
        for name, value in headers.items()
        if not (value.isascii() and value.isprintable())
    ]
    if errors:
        raise KeyErrors(errors)
    return headers


HeaderName = Annotated[Text, AfterValidator(_checked_header)]


class HttpServer(Section):
    """http_server_config. `http2` changes nothing: the exporter speaks HTTP/1.1 only."""

    http2: Flag = True
    headers: Annotated[dict[HeaderName, Text], AfterValidator(_checked_values)] = {}


class RateLimit(Section):
    """rate_limit: `burst` requests at once, then one every `interval` seconds (0: no limit)."""

    interval: Annotated[GoDuration, between(0.0, 86_400.0, is_go=True)] = 0.0
    burst: Count = 0

    @model_validator(mode="after")
    def _admits_requests(self) -> "RateLimit":
        if self.interval and not self.burst:
            raise KeyErrors([("burst", "must be at least 1; otherwise every request would be refused")])
        return self

    def bucket(self) -> TokenBucket | None:
        """Return a full bucket; None without a limit."""
        return TokenBucket(self.burst, 1 / self.interval) if self.interval else None


class File(Section):
    """The whole file."""

    tls_server_config: TlsServer = TlsServer()
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[Text, Annotated[Text, AfterValidator(_checked_hash)]] = {}
    rate_limit: RateLimit = RateLimit()


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A valid web configuration file. The files that it names have not been read yet."""

    path: Path
    file: File
    document: Document
    is_empty: bool

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every response."""
        return self.file.http_server_config.headers

    @property
    def users(self) -> dict[str, str]:
        """The bcrypt hash of each user."""
        return self.file.basic_auth_users

    @property
    def rate_limit(self) -> RateLimit:
        """The limit for all clients together."""
        return self.file.rate_limit

    @property
    def allowed_sans(self) -> list[str] | None:
        """The names of which a client certificate must have one; None: any."""
        return self.file.tls_server_config.client_allowed_sans

    @property
    def files(self) -> tuple[Path, ...]:
        """The file itself and those that it names: if one changes, the configuration has changed."""
        return self.path, *self.file.tls_server_config.files(self.path.parent)

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context, None for plain HTTP; raises ConfigurationError for unusable certificates."""
        section = self.file.tls_server_config
        if not section.is_enabled:
            return None
        try:
            return section.context(self.path.parent)
        except KeyErrors as errors:
            for key, sentence in errors.errors:
                self.document.add(("tls_server_config", key), sentence)
            raise self.document.error() from None


def load(path: str | Path) -> WebConfig:
    """Return the checked file; raises ConfigurationError with all errors."""
    text = read_text(str(path), MAX_BYTES)
    document = parse(str(path), text, text_only)
    return WebConfig(Path(path), validate(document, File), document, is_empty=not text.strip())


class _Latest(NamedTuple):
    config: WebConfig
    context: ssl.SSLContext | None
    users: Users
    rate: TokenBucket | None


class LiveWebConfig:
    """The last valid state of a web configuration file; raises ConfigurationError if it is invalid at the start."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.error: ConfigurationError | None = None
        self._lock = threading.Lock()
        config = self._loaded()
        self._latest = _Latest(config, config.context(), Users(config.users), config.rate_limit.bucket())

    @property
    def context(self) -> ssl.SSLContext | None:
        """The TLS context for new connections; None: plain HTTP."""
        return self._latest.context

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every response."""
        return self._latest.config.headers

    @property
    def users(self) -> Users:
        """The users that may send requests."""
        return self._latest.users

    @property
    def rate(self) -> TokenBucket | None:
        """The limit for all clients together; None: no limit."""
        return self._latest.rate

    @property
    def allowed_sans(self) -> list[str] | None:
        """The names of which a client certificate must have one; None: any."""
        return self._latest.config.allowed_sans

    def look(self) -> None:
        """Read changed files again (blocking: call it in a thread). An invalid change leaves the last valid state."""
        with self._lock:
            if _stamps(self._watched) == self._seen:
                return
            try:
                self._read_again()
            except ConfigurationError as error:
                self.error = error
                for line in error.errors:
                    log.error("web configuration not reloaded: %s", line)

    def close(self) -> None:
        """Stop the thread that compares passwords."""
        self._latest.users.close()

    def _loaded(self) -> WebConfig:
        """Load the file; from then on it and the files that it names are watched, valid or not."""
        self._watched: tuple[Path, ...] = (self.path,)
        self._seen = _stamps(self._watched)
        config = load(self.path)
        self._watched = config.files
        self._seen += _stamps(config.files[1:])
        return config

    def _read_again(self) -> None:
        config, old = self._loaded(), self._latest
        if config.is_empty and not old.config.is_empty:
            # An editor may empty a file before it writes it: that must not turn off authentication for a moment.
            raise config.document.fatal("must not be empty; to turn everything off, write {}")
        context = config.context()
        if _stamps(self._watched) != self._seen:
            return  # still being written: the next look sees the change
        users = old.users if config.users == old.config.users else Users(config.users)
        rate = old.rate if config.rate_limit == old.config.rate_limit else config.rate_limit.bucket()
        self._latest = _Latest(config, context, users, rate)
        self.error = None
        log.info("web configuration reloaded: %s", self.path)


def _stamps(files: Iterable[Path]) -> tuple[Stamp | None, ...]:
    return tuple(stamp_of(file) for file in files)
