"""The web configuration file, as exporter-toolkit defines it: TLS, users, response headers, rate limit."""

import logging
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, ValidationError, model_validator

from ..budget.token_bucket import TokenBucket
from . import document
from .document import Count, Document, Flag, KeyFaults, Problem, Seconds, Section, Text
from .tls import TlsServer
from .users import Users, is_hash

log = logging.getLogger("ssh_exchange_exporter")

# Exactly those that exporter-toolkit lets be configured, spelled so; an empty tuple takes any value.
HEADERS: dict[str, tuple[str, ...]] = {
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
    "Content-Security-Policy": (),
}
SENTENCES = {
    "extra_forbidden": "no such key",
    "string_type": "must be text",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "list_type": "must be a list",
}

Signature = tuple[tuple[int, ...] | None, ...]


class WebConfigFault(Exception):
    """The file cannot be used; `errors` holds a sentence for each reason."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


def _a_hash(text: str) -> str:
    if not is_hash(text):
        raise ValueError("must be a bcrypt hash (60 characters, beginning with $2y$ or $2b$, of cost 04 to 31)")
    return text


def _a_header(name: str) -> str:
    if name not in HEADERS:
        raise ValueError(f"this header cannot be configured, only {', '.join(HEADERS)}")
    return name


def _known_values(headers: dict[str, str]) -> dict[str, str]:
    faults = [
        (name, f"must be {' or '.join(HEADERS[name])}")
        for name, value in headers.items()
        if HEADERS[name] and value not in HEADERS[name]
    ]
    faults += [
        (name, "must be one line of printable ASCII")
        for name, value in headers.items()
        if not (value.isascii() and value.isprintable())
    ]
    if faults:
        raise KeyFaults(faults)
    return headers


HeaderName = Annotated[Text, AfterValidator(_a_header)]


class HttpServer(Section):
    """http_server_config. HTTP/2 may be allowed or not: HTTP/1.1 is spoken either way."""

    http2: Flag = True
    headers: Annotated[dict[HeaderName, Text], AfterValidator(_known_values)] = {}


class RateLimit(Section):
    """rate_limit: `burst` requests at once, then one each `interval` seconds (0: no limit)."""

    interval: Annotated[Seconds, Field(ge=0, le=86_400)] = 0.0
    burst: Count = 0

    @model_validator(mode="after")
    def _lets_some_in(self) -> "RateLimit":
        if self.interval and not self.burst:
            raise KeyFaults([("burst", "must be at least 1, or every request would be refused")])
        return self

    def bucket(self) -> TokenBucket | None:
        """A full bucket; None without a limit."""
        return TokenBucket(self.burst, 1 / self.interval) if self.interval else None


class File(Section):
    """The whole file."""

    tls_server_config: TlsServer = TlsServer()
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[Text, Annotated[Text, AfterValidator(_a_hash)]] = {}
    rate_limit: RateLimit = RateLimit()


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A valid web configuration file; its certificates have not been looked at."""

    path: Path
    file: File
    document: Document
    is_empty: bool

    @property
    def headers(self) -> dict[str, str]:
        """What every response carries."""
        return self.file.http_server_config.headers

    @property
    def users(self) -> dict[str, str]:
        """User to bcrypt hash."""
        return self.file.basic_auth_users

    @property
    def rate_limit(self) -> RateLimit:
        """The limit over all clients."""
        return self.file.rate_limit

    @property
    def allowed_sans(self) -> list[str] | None:
        """Names of which a client's certificate must hold one; None: any."""
        return self.file.tls_server_config.client_allowed_sans

    @property
    def files(self) -> tuple[Path, ...]:
        """The file itself and those it names: a change of any is a change of the configuration."""
        return self.path, *self.file.tls_server_config.files(self.path.parent)

    def context(self) -> ssl.SSLContext | None:
        """The TLS context, None for plain HTTP; raises WebConfigFault for certificates that cannot be used."""
        section = self.file.tls_server_config
        if not section.is_enabled:
            return None
        try:
            return section.context(self.path.parent)
        except KeyFaults as faults:
            problems = [_problem(self.document, ("tls_server_config", key), text) for key, text in faults.faults]
            raise WebConfigFault(problem.told(str(self.path)) for problem in problems) from None


def load(path: str | Path) -> WebConfig:
    """Reads and checks the file; raises WebConfigFault with every error."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "a bad path"
        raise WebConfigFault([f"{path}: cannot be read: {reason}"]) from None
    read = document.read(content)
    problems = list(read.problems)
    file = File()
    try:
        if not any(problem.path == () for problem in problems):
            file = File.model_validate(read.value)
    except ValidationError as error:
        problems += _problems(error, read)
    if problems:
        raise WebConfigFault(problem.told(str(path)) for problem in sorted(problems, key=lambda problem: problem.line))
    return WebConfig(path, file, read, is_empty=not content.strip())


def _problem(read: Document, path: document.Path, text: str) -> Problem:
    return Problem(read.line_of(path), path, text)


def _problems(error: ValidationError, read: Document) -> Iterable[Problem]:
    for each in error.errors(include_url=False, include_input=False):
        path = tuple(key for key in each["loc"] if key != "[key]")
        cause: Any = each.get("ctx", {}).get("error")
        if isinstance(cause, KeyFaults):
            for key, text in cause.faults:
                yield _problem(read, (*path, key), text)
        else:
            text = str(cause) if cause is not None else SENTENCES.get(each["type"], each["msg"])
            yield _problem(read, path, text)


class _Latest(NamedTuple):
    config: WebConfig
    context: ssl.SSLContext | None
    users: Users
    rate: TokenBucket | None


class LiveWebConfig:
    """The latest good state of a web configuration file; raises WebConfigFault when it is bad to begin with."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.fault: WebConfigFault | None = None
        self._lock = threading.Lock()
        config = self._loaded()
        self._latest = _Latest(config, config.context(), Users(config.users), config.rate_limit.bucket())

    @property
    def context(self) -> ssl.SSLContext | None:
        """For connections from now on; None: plain HTTP."""
        return self._latest.context

    @property
    def headers(self) -> dict[str, str]:
        """What every response carries."""
        return self._latest.config.headers

    @property
    def users(self) -> Users:
        """Who may come in."""
        return self._latest.users

    @property
    def rate(self) -> TokenBucket | None:
        """The limit over all clients; None: no limit."""
        return self._latest.rate

    @property
    def allowed_sans(self) -> list[str] | None:
        """Names of which a client's certificate must hold one; None: any."""
        return self._latest.config.allowed_sans

    def look(self) -> None:
        """Reads again when a file has changed (blocking: call it in a thread); what is bad leaves the old in force."""
        with self._lock:
            if _signature(self._watched) == self._seen:
                return
            try:
                self._read_again()
            except WebConfigFault as fault:
                self.fault = fault
                for error in fault.errors:
                    log.error("web configuration not taken over: %s", error)

    def close(self) -> None:
        """Ends the thread that compares passwords."""
        self._latest.users.close()

    def _loaded(self) -> WebConfig:
        """The file as it is; from then on it and the files it names are watched, whether they are good or not."""
        self._watched: tuple[Path, ...] = (self.path,)
        self._seen = _signature(self._watched)
        config = load(self.path)
        self._watched = config.files
        self._seen += _signature(config.files[1:])
        return config

    def _read_again(self) -> None:
        config, old = self._loaded(), self._latest
        if config.is_empty and not old.config.is_empty:
            # An editor empties a file before it writes it: that must not let everybody in for a moment.
            raise WebConfigFault([f"{self.path}: is empty (to turn everything off, write {{}})"])
        context = config.context()
        if _signature(self._watched) != self._seen:
            return  # being written: the next look sees the change
        users = old.users if config.users == old.config.users else Users(config.users)
        rate = old.rate if config.rate_limit == old.config.rate_limit else config.rate_limit.bucket()
        self._latest = _Latest(config, context, users, rate)
        self.fault = None
        log.info("web configuration read again: %s", self.path)


def _signature(files: Iterable[Path]) -> Signature:
    """What changes when a file is changed, replaced, or reached through another link; None for one not there."""
    return tuple(_signature_of(file) for file in files)


def _signature_of(file: Path) -> tuple[int, ...] | None:
    try:
        stat = file.stat()
    except (OSError, ValueError):
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
