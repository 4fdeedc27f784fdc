"""The host keys to expect of a server: a file of known hosts, read as ssh(1) reads it.

The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; what is done with it is OpenSSH's hostfile.c, match.c,
sshkey.c and sshconnect.c (check_host_key), with StrictHostKeyChecking on and CheckHostIP off: a server is looked up by
the name that the user gave, never by its address. Lines are bytes, as there.

Certificates are judged as OpenSSH does from 10.3 on: a principal may be a pattern, and one at least is needed. Earlier
releases take no pattern, and a certificate without principals for any host.
"""

from ..report import Certificate, HostKey
from ..values import NamedTuple

AUTHORITY, REVOKED = b"@cert-authority", b"@revoked"
SSH_PORT = 22  # the only port that is not a part of the name
# ssh reads lines of any length. The longest key (RSA, 16384 bits) has 2.8 kB, a thousand names have 40 kB.
MAX_LINE = 65536
MAX_PATTERN = 1022  # bytes; a line with a longer one is for no host (match.c, match_pattern_list)
SALT = 20  # bytes, as a SHA-1 has (hostfile.c, extract_salt)
MOST_PRINCIPALS = 5  # in a sentence
LAST_MOMENT = 253_402_214_400  # the last day of the year 9999: a certificate may name moments that no calendar has

# How many strings follow the type in a key (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, PROTOCOL.u2f, ssh-mldsa-ed25519.c).
_FIELDS = {
    b"ssh-ed25519": 1,
    b"ecdsa-sha2-nistp256": 2,
    b"ecdsa-sha2-nistp384": 2,
    b"ecdsa-sha2-nistp521": 2,
    b"ssh-rsa": 2,
    b"ssh-dss": 4,
    b"sk-ssh-ed25519@openssh.com": 2,
    b"sk-ecdsa-sha2-nistp256@openssh.com": 3,
    b"ssh-mldsa44-ed25519": 1,
}
# In place of a key's type ssh also takes the names of its signatures (sshkey.c, type_from_name).
_SIGNATURES = {b"rsa-sha2-256": b"ssh-rsa", b"rsa-sha2-512": b"ssh-rsa"}
_STAR, _QUESTION_MARK = b"*?"


class Expected(NamedTuple):
    """What a file says of one server, as fingerprints: its keys, authorities of its certificates, what is revoked.

    `host` is its name alone and `name` as it was looked up, with the port; `types` are those of `keys`. `ignored` are
    the numbers of the lines that may be for it and that ssh cannot read. `without_port` is what the file says of the
    name alone, which ssh asks for what `name` has no line of.
    """

    host: str
    name: str
    keys: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    authorities: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()
    ignored: tuple[int, ...] = ()
    without_port: "Expected | None" = None

    def accepts(self, key: HostKey, now: float) -> bool:
        """Return whether ssh takes this key at `now` (seconds since the epoch); sshconnect.c, check_host_key."""
        certificate = key.certificate
        if key.fingerprint in self.revoked or (certificate and certificate.ca_fingerprint in self.revoked):
            return False
        if certificate is None:
            is_good, is_new = key.fingerprint in self.keys, not self.keys
        else:
            is_good = self._flaw(certificate, self.authorities, now, str) is None
            is_new = certificate.ca_fingerprint not in self.authorities
        if is_good or (is_new and self.without_port is not None and self.without_port.accepts(key, now)):
            return True
        return certificate is not None and self.accepts(key._replace(certificate=None), now)

    def objections(self, keys: "Iterable[HostKey]", now: float, clock: "Clock") -> tuple[str, ...]:
        """Return why ssh refuses a server that shows these keys, in sentences; none where it does not.

        ssh asks for keys of the types that the file has, and for certificates where it has an authority; others are
        judged where the server shows none of those (sshconnect2.c, order_hostkeyalgs).
        """
        shown = tuple(keys)
        wanted = [key for key in shown if self._is_wanted(key)]
        sentences = (self.objection(key, now, clock) for key in wanted or shown)
        return tuple(dict.fromkeys(sentence for sentence in sentences if sentence is not None))

    def objection(self, key: HostKey, now: float, clock: "Clock") -> str | None:
        """Return in one sentence why ssh refuses this key at `now` (seconds since the epoch), None where it does not.

        `clock` writes a moment. Of a server that the file does not name the sentence is the same for any key.
        """
        if self.accepts(key, now):
            return None
        lines = self._in_force
        shown = f"{key.fingerprint} ({key.plain_type})"
        if key.fingerprint in lines.revoked:
            return f"{shown} is revoked"
        if key.certificate and key.certificate.ca_fingerprint in lines.revoked:
            return f"{shown} has a certificate of {key.certificate.ca_fingerprint}, which is revoked"
        if not lines.keys and not lines.authorities:
            return f"no key of {self.name} is known"
        flaw = None
        if key.certificate and lines.authorities:
            flaw = self._flaw(key.certificate, lines.authorities, now, clock)
        if not lines.keys:
            return f"the certificate of {shown} {flaw}" if flaw else f"{shown} has no certificate"
        known = "the known key" if len(lines.keys) == 1 else f"among the {len(lines.keys)} known keys"
        return f"{shown} is not {known} of {self.name}" + (f", and its certificate {flaw}" if flaw else "")

    @property
    def _in_force(self) -> "Expected":
        other = self.without_port
        if other is None:
            return self
        return self._replace(
            keys=self.keys or other.keys,
            types=self.types or other.types,
            authorities=self.authorities | other.authorities,
            revoked=self.revoked | other.revoked,
        )

    def _is_wanted(self, key: HostKey) -> bool:
        lines = self._in_force
        is_certified = key.certificate is not None and bool(lines.authorities)
        return is_certified or key.plain_type in lines.types or key.fingerprint in lines.revoked

    def _flaw(self, certificate: Certificate, authorities: frozenset[str], now: float, clock: "Clock") -> str | None:
        """Return why a certificate is not good for this server, None if it is (sshkey.c, sshkey_cert_check_host)."""
        if certificate.ca_fingerprint not in authorities:
            return f"is signed by an unknown authority, {certificate.ca_fingerprint}"
        if not certificate.is_host:
            return "is a user's, not a host's"
        if now < certificate.valid_after:
            return f"is not valid before {clock(min(certificate.valid_after, LAST_MOMENT))}"
        if certificate.valid_before is not None and now >= certificate.valid_before:
            return f"ran out at {clock(certificate.valid_before)}"
        if not any(matches(_bytes(self.host), _bytes(principal)) for principal in certificate.principals):
            return f"is for {_few(certificate.principals)}, not for {self.host}"
        return None


class Entry(NamedTuple):
    """A line: its number from 1, a marker or b"", names or the hash of a name, and a key as `type base64 comment`."""

    number: int
    marker: bytes
    hosts: bytes
    key: bytes

    def is_for(self, name: bytes) -> bool:
        """Return whether the line is for this name, in lower case (hostfile.c, match_maybe_hashed)."""
        if self.hosts.startswith(b"|"):
            return self.hosts == _hashed(name, self.hosts)
        found = False
        for pattern in self.hosts.lower().split(b","):
            is_negated = pattern.startswith(b"!")
            if len(pattern) - is_negated > MAX_PATTERN:
                return False
            if matches(name, pattern[is_negated:]):
                if is_negated:
                    return False
                found = True
        return found


class KnownHosts(NamedTuple):
    """A file: its lines, and the numbers of those that cannot be read and may be for any server."""

    entries: tuple[Entry, ...] = ()
    ignored: tuple[int, ...] = ()

    def of(self, host: str, port: int) -> Expected:
        """Return what the file says of a server, by its name as the user gave it."""
        host = _canonical(host)
        alone = self._named(host, host)
        if port == SSH_PORT:
            return alone
        found = self._named(host, f"[{host}]:{port}")
        return found._replace(ignored=tuple(sorted({*found.ignored, *alone.ignored})), without_port=alone)

    def _named(self, host: str, name: str) -> Expected:
        keys: dict[bytes, set[HostKey]] = {b"": set(), AUTHORITY: set(), REVOKED: set()}
        ignored = {*self.ignored}
        wanted = _bytes(name)
        for entry in self.entries:
            if entry.is_for(wanted):
                key = _key(entry.key, is_marked=bool(entry.marker))
                if key is None:
                    ignored.add(entry.number)
                else:
                    keys[entry.marker].add(key)
        return Expected(
            host,
            name,
            keys=frozenset(key.fingerprint for key in keys[b""]),
            types=frozenset(key.type for key in keys[b""]),
            authorities=frozenset(key.fingerprint for key in keys[AUTHORITY]),
            revoked=frozenset(key.fingerprint for key in keys[REVOKED]),
            ignored=tuple(sorted(ignored)),
        )


def parse(data: bytes) -> KnownHosts:
    """Return what a file of known hosts says. No content is an error: a line that cannot be read is ignored.

    The keys are decoded where a server is looked up, as in ssh: decoding takes most of the time.
    """
    entries, ignored = [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        line = line.strip(b" \t\r")
        if line and not line.startswith(b"#"):
            entry = _entry(number, line) if len(line) <= MAX_LINE else None
            if entry is None:
                ignored.append(number)
            else:
                entries.append(entry)
    return KnownHosts(tuple(entries), tuple(ignored))


def matches(text: bytes, pattern: bytes) -> bool:
    """Return whether a pattern with `*` and `?` is for this text (match.c, match_pattern).

    Takes len(text) * len(pattern) steps at most: a pattern may be a server's.
    """
    at = position = behind_star = 0
    tried = -1  # where the text behind the last star was taken to begin
    while at < len(text):
        here = pattern[position] if position < len(pattern) else None
        if here == _STAR:
            position += 1
            behind_star, tried = position, at
        elif here in (text[at], _QUESTION_MARK):
            at, position = at + 1, position + 1
        elif tried >= 0:
            tried += 1
            at, position = tried, behind_star
        else:
            return False
    return not pattern[position:].strip(b"*")


def _entry(number: int, line: bytes) -> Entry | None:
    marker = b""
    if line.startswith(b"@"):
        # ssh ends a marker at the first space of the line, and at a tab only where there is none (check_markers).
        marker, _, line = line.partition(b" " if b" " in line else b"\t")
        line = line.lstrip(b" \t")
        if marker not in (AUTHORITY, REVOKED) or line.startswith(b"@"):
            return None
    hosts, *key = line.split(None, 1) or [b""]
    if not hosts or (hosts.startswith(b"|") and (hosts[:3], hosts.count(b"|")) != (b"|1|", 3)):
        return None
    return Entry(number, marker, hosts, b"".join(key))


def _hashed(name: bytes, hosts: bytes) -> bytes | None:
    """Return the hash of a name with the salt of `hosts`, in its form |1|salt|hash; None for a bad salt."""
    from binascii import b2a_base64
    from hmac import digest

    salt = hosts.split(b"|")[2]
    key = _decoded(salt)
    if len(key) != SALT:
        return None
    return b"|1|%b|%b" % (salt, b2a_base64(digest(key, name, "sha1"), newline=False))


def _key(text: bytes, *, is_marked: bool) -> HostKey | None:
    """Return the key of a line, None where ssh cannot read it."""
    kind, encoded, *_ = [*text.split(None, 2), b"", b""]
    kind = _SIGNATURES.get(kind, kind)
    plain, is_certificate, _ = kind.partition(b"-cert")  # -cert-v01@openssh.com, and -cert alone from OpenSSH 10.6 on
    if is_certificate and plain not in _FIELDS:
        plain += b"@openssh.com"
    blob = _decoded(encoded)
    if plain not in _FIELDS or not blob.startswith(_string(kind)):
        return None
    start = _behind(blob, 0, 2 if is_certificate else 1)  # a certificate has a nonce behind its type
    end = _behind(blob, start, _FIELDS[plain])
    if end > len(blob) or (end < len(blob) and not is_certificate):
        return None
    # Where no marker says otherwise, ssh compares a certificate as a whole, and finds no plain key equal to it.
    compared = blob if is_certificate and not is_marked else _string(plain) + blob[start:end]
    return HostKey(plain.decode(), _fingerprint(compared))


def _behind(blob: bytes, start: int, strings: int) -> int:
    """Return the position after `strings` length-prefixed strings; past the end of `blob` if it is too short."""
    for _ in range(strings):
        start += 4 + int.from_bytes(blob[start : start + 4])
    return start


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def _decoded(text: bytes) -> bytes:
    """Return what base64 stands for, b"" for what ssh does not take for base64 (its decoder wants the padding)."""
    from binascii import Error, a2b_base64, b2a_base64

    try:
        data = a2b_base64(text)
    except Error:
        return b""
    return data if b2a_base64(data, newline=False) == text else b""


def _fingerprint(key: bytes) -> str:
    """Return the fingerprint of a key as ssh-keygen -l prints it."""
    from binascii import b2a_base64
    from hashlib import sha256

    return "SHA256:" + b2a_base64(sha256(key).digest(), newline=False).rstrip(b"=").decode()


def _canonical(host: str) -> str:
    """Return a name as ssh looks it up: in lower case, an IPv6 address as the system writes it."""
    if ":" in host and "." not in host:
        from ipaddress import ip_address

        try:
            return str(ip_address(host))
        except ValueError:
            pass
    return host.lower()


def _few(principals: tuple[str, ...]) -> str:
    more = len(principals) - MOST_PRINCIPALS
    names = [*principals[:MOST_PRINCIPALS], *([f"{more} more"] if more > 0 else [])]
    return ", ".join(names) or "no host by name (OpenSSH before 10.3 takes that for any)"


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Clock = Callable[[float], str]
