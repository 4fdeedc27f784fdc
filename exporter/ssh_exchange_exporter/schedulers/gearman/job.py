"""A job of Mod-Gearman: the text that the core sends, its command line, and the text that it takes back. Pure."""

import shlex
from typing import NamedTuple

from ..answer import Answer

PROGRAM = "check_ssh_exchange"
DEFAULT_TIMEOUT = 60.0  # seconds, where the job says 0: job_timeout of the workers
MARGIN = 0.5  # seconds before the job's timeout in which the answer travels
SHELL = frozenset(";|&<>$()`\n")
SHELL_IN_DOUBLE_QUOTES = frozenset("$`")


class BadJobError(ValueError):
    """A text that is no job; the sentence says what is missing."""


class RefusedError(ValueError):
    """A command line that is not run; the sentence is the answer."""


class Job(NamedTuple):
    """What the core asks; `core_time` is when it did (seconds since the epoch), `timeout` is in seconds.

    Without `result_queue` or `host` nothing is to be answered, as for event handlers and notifications.
    """

    command_line: str
    host: str
    service: str
    result_queue: str
    core_time: float
    timeout: float

    def age(self, now: float) -> float:
        """Return how many seconds ago the core asked; 0 where it did not say when."""
        return max(0.0, now - self.core_time) if self.core_time else 0.0


def read(text: str) -> Job:
    """Return the job of a text: lines `key=value` up to the first that is none. Raises BadJobError."""
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        key, mark, value = line.partition("=")
        if not mark:
            break
        fields[key] = value.removesuffix("\r")
    if "type" not in fields:
        raise BadJobError("it does not begin as a job")
    return Job(
        command_line=fields.get("command_line", ""),
        host=fields.get("host_name", ""),
        service=fields.get("service_description", ""),
        result_queue=fields.get("result_queue", ""),
        core_time=_number(fields.get("core_time", "")),
        timeout=_number(fields.get("timeout", "")) or DEFAULT_TIMEOUT,
    )


def _number(text: str) -> float:
    is_plain = len(text) <= 20 and text.isascii() and text.replace(".", "", 1).isdecimal()
    return float(text) if is_plain else 0.0


def arguments(command_line: str) -> list[str]:
    """Return the arguments of a command line of check_ssh_exchange. Raises RefusedError.

    There is no shell here. A line that a shell would read otherwise is refused, not read in another way.
    """
    if found := shell_character(command_line):
        raise RefusedError(f"{found!r} in the command line needs a shell: leave it out, or put it in single quotes")
    try:
        words = shlex.split(command_line)
    except ValueError:
        raise RefusedError("the command line has a quote or a backslash without its end") from None
    while words and _is_assignment(words[0]):
        del words[0]
    name = words[0].rpartition("/")[2] if words else "nothing"
    if name != PROGRAM:
        raise RefusedError(f"this worker runs {PROGRAM} only, not {name[:80]}: give its queue no other checks")
    return words[1:]


def _is_assignment(word: str) -> bool:
    name, mark, _ = word.partition("=")
    return bool(mark) and name.isidentifier() and name.isascii()


def shell_character(line: str) -> str | None:
    """Return the first character that only a shell would act upon, or None."""
    quote = ""
    is_escaped = False
    for character in line:
        if is_escaped:
            is_escaped = False
        elif character == "\\" and quote != "'":
            is_escaped = True
        elif quote:
            if character == quote:
                quote = ""
            elif quote == '"' and character in SHELL_IN_DOUBLE_QUOTES:
                return character
        elif character in "'\"":
            quote = character
        elif character in SHELL:
            return character
    return None


def result(job: Job, answer: Answer, begun: float, ended: float, source: str) -> str:
    """Return the text of a result, in the order that the module reads; it stops at the first empty value.

    Times are seconds since the epoch.
    """
    fields = {
        "type": "active",
        "host_name": job.host,
        "service_description": job.service,
        # The module reckons the latency of the check from it.
        "core_start_time": f"{job.core_time or begun:.6f}",
        "start_time": f"{begun:.6f}",
        "finish_time": f"{ended:.6f}",
        "return_code": str(answer.code),
        "exited_ok": "1",
        "source": source,
        "output": _one_line(answer.output) or "(no output)",
    }
    return "".join(f"{key}={value}\n" for key, value in fields.items() if value) + "\n\n"


def _one_line(output: str) -> str:
    # The module makes a line end of every backslash-n, also of one that stood in a text.
    kept = "\\u000a" if output.startswith("{") else "\\x5cn"
    return output.replace("\\n", kept).replace("\n", "\\n")
