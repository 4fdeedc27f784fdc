"""TLS of the web server: its section of the web configuration, the SSLContext, and the names of clients."""

import ipaddress
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from ..configuration.file import unreadable
from ..configuration.validation import KeyErrors, Section, unknown
from .scalars import Flag, Text

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
CLIENT_AUTH = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
# Always on: neither Go nor Python can choose among the cipher suites of TLS 1.3.
CIPHERS_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CIPHERS = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
_VERIFIED = "must be VerifyClientCertIfGiven or RequireAndVerifyClientCert"
NAMES = ("DNS", "email", "IP Address", "URI")


def _checked_version(name: str) -> str:
    if name not in VERSIONS:
        ended = f"; {name} is no longer supported" if name in ("TLS10", "TLS11") else ""
        raise ValueError(f"must be TLS12 or TLS13{ended}")
    return name


def _checked_client_auth(name: str) -> str:
    if name in UNVERIFIED:
        raise ValueError(f"{_VERIFIED}; Python's TLS cannot accept a certificate unverified")
    if name not in CLIENT_AUTH:
        raise ValueError(f"must be {' or '.join(known for known in CLIENT_AUTH if known)}")
    return name


def _checked_cipher(name: str) -> str:
    if name not in CIPHERS and name not in CIPHERS_TLS13:
        raise ValueError(unknown("cipher suite", name, (*CIPHERS, *CIPHERS_TLS13)))
    return name


def _checked_curve(name: str) -> str:
    if name not in CURVES:
        raise ValueError(unknown("curve", name, CURVES))
    return name


def _one_curve(names: list[str]) -> list[str]:
    if len(names) > 1:
        raise ValueError("must have at most 1 curve; Python's TLS cannot set a list")
    return names


def _some_names(names: list[str] | None) -> list[str] | None:
    if names == []:
        raise ValueError("must not be empty; otherwise no client would be allowed")
    return names


Version = Annotated[Text, AfterValidator(_checked_version)]


class TlsServer(Section):
    """tls_server_config as written. Relative paths start at the directory of the web configuration."""

    cert: Text = ""
    key: Text = Field("", repr=False)
    client_ca: Text = ""
    cert_file: Text = ""
    key_file: Text = ""
    client_auth_type: Annotated[Text, AfterValidator(_checked_client_auth)] = ""
    client_ca_file: Text = ""
    cipher_suites: list[Annotated[Text, AfterValidator(_checked_cipher)]] = []
    curve_preferences: Annotated[list[Annotated[Text, AfterValidator(_checked_curve)]], AfterValidator(_one_curve)] = []
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    prefer_server_cipher_suites: Flag = True
    client_allowed_sans: Annotated[list[Text] | None, AfterValidator(_some_names)] = None

    @property
    def is_enabled(self) -> bool:
        """Whether TLS is on. Versions and cipher suites alone do not turn it on."""
        return any((self.cert, self.cert_file, self.key, self.key_file, self.client_ca, self.client_ca_file)) or bool(
            self.client_auth_type
        )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.is_enabled and (errors := list(self._errors())):
            raise KeyErrors(errors)
        return self

    def _errors(self) -> Iterator[tuple[str, str]]:
        for name, text, file in (
            ("cert", self.cert, self.cert_file),
            ("key", self.key, self.key_file),
            ("client_ca", self.client_ca, self.client_ca_file),
        ):
            if text and file:
                yield name, f"must not be given together with {name}_file"
            if not text and not file and name != "client_ca":
                yield f"{name}_file", f"is missing: TLS needs {name}_file or {name}"
        mode = CLIENT_AUTH[self.client_auth_type]
        if (self.client_ca or self.client_ca_file) and mode == ssl.CERT_NONE:
            yield "client_auth_type", f"{_VERIFIED} if a client CA is given"
        if self.client_allowed_sans is not None and mode != ssl.CERT_REQUIRED:
            yield "client_allowed_sans", "needs client_auth_type RequireAndVerifyClientCert"
        if VERSIONS[self.min_version] > VERSIONS[self.max_version]:
            yield "min_version", "must not be above max_version"
        if self.cipher_suites and self.max_version == "TLS12" and not self._openssl_ciphers:
            yield "cipher_suites", "must have one of TLS 1.2 if max_version is TLS12"

    @property
    def _openssl_ciphers(self) -> list[str]:
        return [CIPHERS[name] for name in self.cipher_suites if name in CIPHERS]

    def files(self, directory: Path) -> tuple[Path, ...]:
        """Return the files that the section names, absolute or below the directory."""
        return tuple(directory / name for name in (self.cert_file, self.key_file, self.client_ca_file) if name)

    def context(self, directory: Path) -> ssl.SSLContext:
        """Return the server's context; raises KeyErrors for files that cannot be read or used."""
        contents, errors = self._contents(directory)
        if errors:
            raise KeyErrors(errors)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._choose(context)
        with ExitStack() as stack:
            shown = {name: stack.enter_context(_as_file(content)) for name, content in contents.items()}
            _load_chain(context, shown["cert"], shown["key"])
            self._load_clients(context, shown.get("client_ca"))
        return context

    def _contents(self, directory: Path) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
        contents: dict[str, bytes] = {}
        errors: list[tuple[str, str]] = []
        for name in ("cert", "key", "client_ca"):
            text, file = getattr(self, name), getattr(self, f"{name}_file")
            try:
                if text or file:
                    contents[name] = (directory / file).read_bytes() if file else text.encode()
            except (OSError, ValueError) as error:
                errors.append((f"{name}_file", unreadable(error)))
        if b"ENCRYPTED" in contents.get("key", b""):
            errors.append(("key_file" if self.key_file else "key", "must not be encrypted with a passphrase"))
        return contents, errors

    def _choose(self, context: ssl.SSLContext) -> None:
        context.minimum_version = VERSIONS[self.min_version]
        context.maximum_version = VERSIONS[self.max_version]
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        if self.prefer_server_cipher_suites:
            context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        else:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        for curve in self.curve_preferences:
            try:
                context.set_ecdh_curve(CURVES[curve])
            except (ssl.SSLError, ValueError):  # CPython 3.11.2 of Debian 12 cannot set X25519
                raise KeyErrors([("curve_preferences", f"this Python cannot set {curve}; leave it out")]) from None
        if self._openssl_ciphers:
            try:
                context.set_ciphers(":".join(self._openssl_ciphers))
            except ssl.SSLError:
                raise KeyErrors([("cipher_suites", "this OpenSSL supports none of them")]) from None
        elif self.cipher_suites:  # none of TLS 1.2, so TLS 1.2 is off
            context.minimum_version = ssl.TLSVersion.TLSv1_3

    def _load_clients(self, context: ssl.SSLContext, authorities: str | None) -> None:
        context.verify_mode = CLIENT_AUTH[self.client_auth_type]
        if context.verify_mode == ssl.CERT_NONE:
            return
        if authorities is None:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)  # the system's, as in Go
            return
        try:
            context.load_verify_locations(authorities)
        except (ssl.SSLError, OSError):
            key = "client_ca_file" if self.client_ca_file else "client_ca"
            raise KeyErrors([(key, "does not contain a PEM certificate")]) from None


def _load_chain(context: ssl.SSLContext, cert: str, key: str) -> None:
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise KeyErrors([("key_file", "does not match the certificate")]) from None
        reason = (error.reason or "not a PEM certificate and key").replace("_", " ").lower()
        raise KeyErrors([("cert_file", f"certificate and key cannot be used ({reason})")]) from None


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Yield a file name for the content, which stays in memory: Python's TLS reads keys only from files."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def is_allowed(peercert: dict[str, Any], allowed: list[str]) -> bool:
    """Return whether an alternative name of the certificate (DNS, e-mail, IP, URI) is exactly an allowed one."""
    return any(
        _spelled(kind, str(name)) in allowed for kind, name, *_ in peercert.get("subjectAltName", ()) if kind in NAMES
    )


def _spelled(kind: str, name: str) -> str:
    """Return an IP address in its short spelling: OpenSSL writes IPv6 addresses in full."""
    if kind != "IP Address":
        return name
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name
