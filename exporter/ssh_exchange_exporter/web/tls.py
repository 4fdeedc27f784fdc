"""TLS of the web server: the section of the web configuration, the SSLContext from it, and client names."""

import ipaddress
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from .document import Flag, KeyFaults, Section, Text

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
CLIENT_AUTH = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
# Nobody can choose among those of TLS 1.3, neither in Go nor here: they are always on.
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
NAMES = ("DNS", "email", "IP Address", "URI")


def _a_version(name: str) -> str:
    if name in ("TLS10", "TLS11"):
        raise ValueError(f"{name} is not spoken any more: use TLS12 or TLS13")
    if name not in VERSIONS:
        raise ValueError("must be TLS12 or TLS13")
    return name


def _a_client_auth(name: str) -> str:
    if name in UNVERIFIED:
        raise ValueError(
            f"{name} is not possible, for Python's TLS cannot take a certificate unverified: "
            "use VerifyClientCertIfGiven or RequireAndVerifyClientCert"
        )
    if name not in CLIENT_AUTH:
        raise ValueError(f"must be one of {', '.join(known for known in CLIENT_AUTH if known)}")
    return name


def _a_cipher(name: str) -> str:
    if name not in CIPHERS and name not in CIPHERS_TLS13:
        raise ValueError("unknown cipher suite")
    return name


def _a_curve(name: str) -> str:
    if name not in CURVES:
        raise ValueError(f"unknown curve: must be one of {', '.join(CURVES)}")
    return name


def _one_curve(names: list[str]) -> list[str]:
    if len(names) > 1:
        raise ValueError("only one curve can be given, for Python's TLS can set no list of them")
    return names


def _some_names(names: list[str] | None) -> list[str] | None:
    if names == []:
        raise ValueError("an empty list would let nobody in")
    return names


Version = Annotated[Text, AfterValidator(_a_version)]


class TlsServer(Section):
    """tls_server_config, as it is written; relative files belong to the directory of the web configuration."""

    cert: Text = ""
    key: Text = Field("", repr=False)
    client_ca: Text = ""
    cert_file: Text = ""
    key_file: Text = ""
    client_auth_type: Annotated[Text, AfterValidator(_a_client_auth)] = ""
    client_ca_file: Text = ""
    cipher_suites: list[Annotated[Text, AfterValidator(_a_cipher)]] = []
    curve_preferences: Annotated[list[Annotated[Text, AfterValidator(_a_curve)]], AfterValidator(_one_curve)] = []
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    prefer_server_cipher_suites: Flag = True
    client_allowed_sans: Annotated[list[Text] | None, AfterValidator(_some_names)] = None

    @property
    def is_enabled(self) -> bool:
        """Whether TLS is spoken at all: versions and ciphers alone do not ask for it."""
        return any((self.cert, self.cert_file, self.key, self.key_file, self.client_ca, self.client_ca_file)) or bool(
            self.client_auth_type
        )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.is_enabled and (faults := list(self._faults())):
            raise KeyFaults(faults)
        return self

    def _faults(self) -> Iterator[tuple[str, str]]:
        for name, text, file in (
            ("cert", self.cert, self.cert_file),
            ("key", self.key, self.key_file),
            ("client_ca", self.client_ca, self.client_ca_file),
        ):
            if text and file:
                yield name, f"give {name} or {name}_file, not both"
            if not text and not file and name != "client_ca":
                yield f"{name}_file", f"missing: TLS needs {name}_file (or {name})"
        mode = CLIENT_AUTH[self.client_auth_type]
        if (self.client_ca or self.client_ca_file) and mode == ssl.CERT_NONE:
            yield "client_auth_type", "missing: a client CA is given, but no client is asked for a certificate"
        if self.client_allowed_sans is not None and mode != ssl.CERT_REQUIRED:
            yield "client_allowed_sans", "needs client_auth_type RequireAndVerifyClientCert"
        if VERSIONS[self.min_version] > VERSIONS[self.max_version]:
            yield "min_version", "is above max_version"
        if self.cipher_suites and self.max_version == "TLS12" and not self._openssl_ciphers:
            yield "cipher_suites", "none of them belongs to TLS 1.2"

    @property
    def _openssl_ciphers(self) -> list[str]:
        return [CIPHERS[name] for name in self.cipher_suites if name in CIPHERS]

    def files(self, directory: Path) -> tuple[Path, ...]:
        """The files it names, absolute or below the directory."""
        return tuple(directory / name for name in (self.cert_file, self.key_file, self.client_ca_file) if name)

    def context(self, directory: Path) -> ssl.SSLContext:
        """A server's context; raises KeyFaults when a file cannot be read or does not hold what it should."""
        contents, faults = self._contents(directory)
        if faults:
            raise KeyFaults(faults)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._choose(context)
        with ExitStack() as stack:
            shown = {name: stack.enter_context(_as_file(content)) for name, content in contents.items()}
            _load_chain(context, shown["cert"], shown["key"])
            self._load_clients(context, shown.get("client_ca"))
        return context

    def _contents(self, directory: Path) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
        contents: dict[str, bytes] = {}
        faults: list[tuple[str, str]] = []
        for name in ("cert", "key", "client_ca"):
            text, file = getattr(self, name), getattr(self, f"{name}_file")
            try:
                if text or file:
                    contents[name] = (directory / file).read_bytes() if file else text.encode()
            except (OSError, ValueError) as error:
                faults.append((f"{name}_file", f"cannot be read: {getattr(error, 'strerror', None) or 'a bad path'}"))
        if b"ENCRYPTED" in contents.get("key", b""):
            faults.append(("key_file" if self.key_file else "key", "is encrypted: it must be without a passphrase"))
        return contents, faults

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
            except (ssl.SSLError, ValueError):  # CPython 3.11.2, as Debian 12 has it, knows no X25519 here
                raise KeyFaults([("curve_preferences", f"this Python cannot choose {curve}: leave it out")]) from None
        if self._openssl_ciphers:
            try:
                context.set_ciphers(":".join(self._openssl_ciphers))
            except ssl.SSLError:
                raise KeyFaults([("cipher_suites", "this OpenSSL offers none of them")]) from None
        elif self.cipher_suites:  # none of TLS 1.2's: it is not to be spoken
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
            raise KeyFaults([(key, "holds no certificate in PEM")]) from None


def _load_chain(context: ssl.SSLContext, cert: str, key: str) -> None:
    try:
        # A password is never asked for at a terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise KeyFaults([("key_file", "does not belong to the certificate")]) from None
        reason = (error.reason or "no certificate or no key in PEM").replace("_", " ").lower()
        raise KeyFaults([("cert_file", f"certificate and key cannot be used ({reason})")]) from None


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A name for the content; it lives in memory only, for Python's TLS reads keys by file name alone."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def is_allowed(peercert: dict[str, Any], allowed: list[str]) -> bool:
    """Whether one of the certificate's alternative names (DNS, e-mail, IP address, URI) is exactly an allowed one."""
    return any(
        _written(kind, str(name)) in allowed for kind, name, *_ in peercert.get("subjectAltName", ()) if kind in NAMES
    )


def _written(kind: str, name: str) -> str:
    """OpenSSL spells an IPv6 address in full, people do not."""
    if kind != "IP Address":
        return name
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name
