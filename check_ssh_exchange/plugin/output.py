"""What a plugin prints: one status line with its perfdata, long output behind it, or one JSON object."""

from collections.abc import Iterable, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .nagios import State

# What Nagios shows in one row of its table; longer evidence belongs to -v.
MAX_SUMMARY = 180
# NRPE carries 65,505 bytes of output and cuts what is behind them.
MAX_OUTPUT = 60_000


def summary_of(parts: Iterable[str]) -> str:
    """Return what the status line says after the state, cut at MAX_SUMMARY characters; empty parts are left out."""
    text = ", ".join(dict.fromkeys(part for part in parts if part))  # not ";": Nagios Core shows it as ":"
    return text if len(text) <= MAX_SUMMARY else text[: MAX_SUMMARY - 3] + "..."


def status_line(prefix: str, state: "State", summary: str) -> str:
    """Return the status line without its perfdata: `SSH OK - ...`."""
    return f"{prefix} {str(state).upper()} - {summary}"


def text(line: str, perfdata: str, details: Iterable[str] = ()) -> str:
    """Return the whole output, perfdata in one block on line 1 at every verbosity, at most MAX_OUTPUT characters."""
    first = f"{line} | {perfdata}" if perfdata else line
    # In long output a "|" begins more perfdata.
    whole = "\n".join([first, *(detail.replace("|", "/") for detail in details)]) + "\n"
    if len(whole) > MAX_OUTPUT:
        whole = whole[:MAX_OUTPUT].rpartition("\n")[0] + "\n(cut: more than a monitoring agent carries)\n"
    return whole


def json_line(document: Mapping[str, object]) -> str:
    """Return an object as one line of ASCII."""
    import json  # 3 ms of CPU that text output need not pay

    return json.dumps(document) + "\n"
