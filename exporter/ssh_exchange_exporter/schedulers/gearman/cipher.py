"""How Mod-Gearman wraps its texts: AES-256 in ECB mode and base64 (common/gm_crypt.c in mod_gearman).

ECB proves nothing and hides little: it keeps a stray reader out, and a wrong key from being read. Put gearmand into TLS
or a VPN where others can reach it.
"""

import base64
import binascii

KEY_BYTES = 32
BLOCK = 16


class UnreadableError(ValueError):
    """A payload that does not decrypt to a text."""


class Cipher:
    """Wraps and unwraps texts; without a key (`encryption: false`) by base64 alone."""

    def __init__(self, key: str | None) -> None:
        self._cipher = None
        if key is not None:
            from cryptography.hazmat.primitives.ciphers import Cipher as Ciphers
            from cryptography.hazmat.primitives.ciphers import algorithms, modes

            # The key itself, not a hash of it: cut, or padded with NULs.
            padded = key.encode("utf-8", "surrogateescape")[:KEY_BYTES].ljust(KEY_BYTES, b"\0")
            self._cipher = Ciphers(algorithms.AES(padded), modes.ECB())  # noqa: S305 - what Mod-Gearman speaks

    def wrap(self, text: str) -> bytes:
        """Return the payload of a text."""
        data = text.encode("utf-8", "backslashreplace")
        if self._cipher is not None:
            data += b"\0" * (BLOCK - len(data) % BLOCK)  # at least one, as the C programs do
            encryptor = self._cipher.encryptor()
            data = encryptor.update(data) + encryptor.finalize()
        return base64.b64encode(data)

    def unwrap(self, payload: bytes) -> str:
        """Return the text of a payload. Raises UnreadableError."""
        try:
            data = base64.b64decode(payload.replace(b"\n", b"").rstrip(b"\0"), validate=True)
        except binascii.Error:
            raise UnreadableError("it is not base64") from None
        if self._cipher is not None:
            if len(data) % BLOCK:
                raise UnreadableError("it is not encrypted, or not whole")
            decryptor = self._cipher.decryptor()
            data = decryptor.update(data) + decryptor.finalize()
        try:
            # The C programs pad with NULs, the Go worker with line ends.
            return data.split(b"\0", 1)[0].decode()
        except UnicodeDecodeError:
            raise UnreadableError("it does not decrypt to a text") from None
