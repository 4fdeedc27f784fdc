"""HTTP basic authentication against bcrypt hashes."""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import bcrypt

HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
MAX_WAITING = 64
MAX_REMEMBERED = 128
MAX_PASSWORD = 72  # bytes: bcrypt ignores the rest, so any longer password with the same beginning would match


def is_hash(text: str) -> bool:
    """Return whether the text is a complete and usable bcrypt hash."""
    return HASH.fullmatch(text) is not None


class Remembered:
    """The keys used last, at most MAX_REMEMBERED."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        if key not in self._keys:
            return False
        self._keys.move_to_end(key)
        return True

    def add(self, key: bytes) -> None:
        """Add a key and forget the one that was unused for longest."""
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > MAX_REMEMBERED:
            self._keys.popitem(last=False)


class Users:
    """Users and their bcrypt hashes; without users, every request is admitted. Belongs to one event loop."""

    def __init__(self, hashes: dict[str, str]) -> None:
        self.hashes = dict(hashes)
        self._unknown = _unknown_hash(self.hashes)
        self._key = secrets.token_bytes(32)
        # Kept apart: wrong guesses, however many, do not displace remembered right passwords.
        self._right = Remembered()
        self._wrong = Remembered()
        self._turn = asyncio.Lock()
        self._waiting = 0
        # bcrypt releases the GIL; a single thread leaves the other cores to the probes.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bcrypt")

    async def admits(self, authorization: str | None) -> bool:
        """Return whether an Authorization header has a user and the right password; never raises for its content."""
        if not self.hashes:
            return True
        credentials = _credentials(authorization)
        if credentials is None:
            return False
        user, password = credentials
        # Unambiguous: a user name cannot contain a colon.
        key = hmac.digest(self._key, user.encode() + b":" + password, hashlib.sha256)
        verdict = self._remembered(key)
        if verdict is not None:
            return verdict
        if self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            return await self._verdict(key, user, password)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Stop the thread after its current comparison; remembered results stay."""
        self._thread.shutdown(wait=False)

    def _remembered(self, key: bytes) -> bool | None:
        if key in self._right:
            return True
        return False if key in self._wrong else None

    async def _verdict(self, key: bytes, user: str, password: bytes) -> bool:
        async with self._turn:
            verdict = self._remembered(key)  # a request before this one may have had the same credentials
            if verdict is not None:
                return verdict
            hashed = self.hashes.get(user, self._unknown)
            loop = asyncio.get_running_loop()
            try:
                matches = await loop.run_in_executor(self._thread, _matches, password, hashed)
            except RuntimeError:  # closed in the meantime
                return False
            verdict = matches and user in self.hashes
            (self._right if verdict else self._wrong).add(key)
            return verdict


def _matches(password: bytes, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password, hashed.encode())
    except ValueError:
        return False


def _unknown_hash(hashes: dict[str, str]) -> str:
    """Return a hash that no password matches, with the highest cost: unknown users take as long as known ones."""
    cost = max((text[4:6] for text in hashes.values()), default="10")
    return f"$2b${cost}${'A' * 21}.{secrets.token_hex(16)[:31]}"


def _credentials(authorization: str | None) -> tuple[str, bytes] | None:
    """Return user and password; None if the header does not have usable ones."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(" "), validate=True).decode().partition(":")
    except ValueError:  # also: not ASCII, not base64, not UTF-8
        return None
    raw = password.encode()
    if not colon or "\0" in user or "\0" in password or len(raw) > MAX_PASSWORD:
        return None
    return user, raw
