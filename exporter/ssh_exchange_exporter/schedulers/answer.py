"""What a check says to the scheduler that asked for it, in the plugin's own words. Pure."""

from typing import NamedTuple

from check_ssh_exchange.diagnosis.evaluate import Outcome, evaluate
from check_ssh_exchange.plugin import process
from check_ssh_exchange.remote import check, status_line
from check_ssh_exchange.remote.clock import clock
from check_ssh_exchange.text import printable

from ..probe_response import ProbeResponse, ResponseKind
from .command import Command

# Seconds: a younger result is that of a run which took its whole time and ended when the answer was due. It is no
# earlier one.
JUST_NOW = 1.0


class Answer(NamedTuple):
    """An exit code, 0 to 3, and the plugin's output: the text without its perfdata, and the perfdata item by item."""

    code: int
    text: str
    perfdata: tuple[str, ...] = ()

    @property
    def output(self) -> str:
        """Return the output as the plugin prints it, without its last line end."""
        first, mark, details = self.text.partition("\n")
        return " | ".join(filter(None, (first, " ".join(self.perfdata)))) + mark + details


def of_output(code: int, output: str) -> Answer:
    """Return the answer of an output as the plugin prints it: perfdata stands on its first line only."""
    first, mark, details = output.removesuffix("\n").partition("\n")
    text, _, perfdata = first.partition(" | ")
    return Answer(code, text + mark + details, tuple(perfdata.split()))


def unknown(sentence: str) -> Answer:
    """Return the answer of a check that could not be made."""
    return of_output(*process.unknown(status_line.PREFIX, printable(sentence)))


def of_response(response: ProbeResponse, command: Command) -> Answer:
    """Return the answer of a probe, or of an earlier one that stands for it."""
    options = command.options
    outcome = aged(response)
    if response.result.module != command.name:
        # Another request's probe of the same server: what it measured, by what is expected here.
        judged = evaluate(outcome.report, None, options.expectations, clock)
        outcome = judged._replace(notes=(*judged.notes, *outcome.notes[-1:]))
    code, output = check.answer(outcome, options)
    is_line = not (options.is_json or options.is_explained)
    return of_output(code, output) if is_line else Answer(code, output.removesuffix("\n"))


def aged(response: ProbeResponse) -> Outcome:
    """Return the outcome; one of an earlier probe says in a note how old it is, and why there is no newer one."""
    outcome = response.result.outcome
    if response.kind is ResponseKind.DEFERRED and response.result.number:
        why = "the budget of handshakes for this server is spent"
    elif response.kind is ResponseKind.CACHED and response.age >= JUST_NOW:
        why = "no probe could begin in time"
    else:
        return outcome
    return outcome._replace(notes=(*outcome.notes, f"result of {response.age:.0f} s ago: {why}"))
