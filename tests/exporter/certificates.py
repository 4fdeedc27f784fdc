"""Certificates made by openssl, for a test's own authorities."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    """A certificate and its key."""

    cert: Path
    key: Path


def authority(directory: Path, name: str = "authority") -> Pair:
    pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
    # Python 3.13's clients refuse an authority that does not say so (VERIFY_X509_STRICT).
    may_sign = "-addext", "keyUsage=critical,keyCertSign"
    _openssl("req", "-x509", *_new_key(pair.key), "-out", pair.cert, "-days", "2", "-subj", f"/CN={name}", *may_sign)
    return pair


def certificate(directory: Path, name: str, signer: Pair, *names: str, use: str = "serverAuth") -> Pair:
    """A certificate for alternative names such as DNS:a or IP:127.0.0.1."""
    pair, request = Pair(directory / f"{name}.pem", directory / f"{name}.key"), directory / f"{name}.csr"
    extensions = directory / f"{name}.ext"
    extensions.write_text(f"subjectAltName={','.join(names)}\nextendedKeyUsage={use}\n")
    _openssl("req", *_new_key(pair.key), "-out", request, "-subj", f"/CN={name}")
    _openssl(
        *("x509", "-req", "-in", request, "-CA", signer.cert, "-CAkey", signer.key, "-CAcreateserial"),
        *("-out", pair.cert, "-days", "2", "-extfile", extensions),
    )
    return pair


def _new_key(key: Path) -> tuple[object, ...]:
    return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)
