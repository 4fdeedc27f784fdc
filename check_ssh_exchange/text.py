"""Text that came from a stranger, made printable; lists and durations in words."""

from collections.abc import Iterable


def printable(data: bytes | str, limit: int = 1024) -> str:
    r"""Return a stranger's bytes as printable ASCII, at most `limit` characters.

    Control characters, NUL, ESC, bytes above 0x7e, the backslash, `|` (which begins perfdata) and `<` (which begins a
    tag where a web page shows it) become `\xNN`; line ends become " / ".
    """
    if not data:
        return ""
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    cut = raw[: limit + 1].rstrip(b"\r\n")
    # Nearly every text is harmless as it is, and a run has dozens of them.
    out = "".join(_PRINTABLE[byte] for byte in cut) if cut.translate(None, _HARMLESS) else cut.decode("ascii")
    return out if len(out) <= limit else out[: limit - 3] + "..."


_PRINTABLE = [chr(byte) if 0x20 <= byte < 0x7F and byte not in b"|\\<" else f"\\x{byte:02x}" for byte in range(256)]
_PRINTABLE[0x0A] = " / "
_HARMLESS = bytes(byte for byte in range(256) if _PRINTABLE[byte] == chr(byte))


def join(words: Iterable[str]) -> str:
    """Return a list in words: "a", "a and b", "a, b and c"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def to_install(module: str) -> str:
    """Return how to get a Python module, by its import name: from the package index, and in Debian."""
    name = {"ruamel": "ruamel.yaml"}.get(module, module).replace("_", "-")
    return f"pip install {name}, or Debian's python3-{name}"


def milliseconds(seconds: float) -> str:
    """Return a duration as a person reads it: 0.31 ms, 3.1 ms, 150 ms."""
    value = seconds * 1000
    return f"{value:.2f} ms" if value < 1 else f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
