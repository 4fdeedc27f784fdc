"""What varies from run to run in an output, so that two outputs can be compared."""

import re

# Longer ones first: a time of the day before a number in it.
VARYING: tuple[tuple[str, str], ...] = (
    # A client that speaks first meets a RST or a FIN, as the kernel happens to have read its bytes or not.
    (r"(?:read: )?Connection (?:reset|closed) by (?:peer|remote host)", "CLOSED"),
    (r"Connection (?:reset|closed) by (?=192\.)", "CLOSED by "),
    (r"(?<=did not receive banner)(?:: CLOSED|\.)", ""),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?", "TIME"),
    (r"(?<![\d:])\d\d:\d\d:\d\d(?:\.\d+)?(?![\d:])", "TIME"),
    (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:KEY"),
    (r"(?<=192\.0\.2\.7:)\d+|(?<=pid )\d+", "N"),
    (r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)? ?(?:ns|us|ms|s)\b", "SECONDS"),
    # Not 0.0, 1.0 and the like: a metric that is one or the other tells something.
    (r"(?<![\w.-])\d+\.(?!0\b)\d+(?:e[+-]?\d+)?(?![\w.]*\.\d)", "N"),
    (r"(?<![\w.-])\d+(?:\.\d+)?e[+-]?\d+", "N"),
    (r'"source_port": ?\d+', '"source_port":N'),
    (r"[▁▄█·]+(?=[✓✗])", "BAR"),
    (r"[┬─/]{4,}", "AXIS"),
    (r"[ \t]+", " "),
    (r"(?m)^ ?0(?: SECONDS)+ ?$", "TIMES"),  # below the axis
    # The legend has the phases that are long enough to be drawn.
    (r"(?:[▁▄█·] \w+ )+✓ completed ✗ failed\s+// pauses[^\n]*", "LEGEND"),
)


def masked(text: str) -> str:
    """Return a text without what varies."""
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())
