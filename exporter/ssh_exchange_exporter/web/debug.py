"""The answer to `debug=true`: the run line by line, its report, its metrics and the module, as text."""

import json

from check_ssh_exchange.remote.json_output import document
from check_ssh_exchange.remote.status_line import text

from ..question import Answer, Question
from ..result import Result


def debug_text(answer: Answer, result: Result, question: Question, metrics: str) -> str:
    """Return all that is known of a probe."""
    thresholds = question.module.expectations().thresholds
    held = f"held back by the budget, this result is {answer.age:.1f} s old\n" if answer.is_deferred else ""
    module = question.module.model_dump_json(indent=2)
    parts = {
        "Log of the probe": held + text(result.outcome, thresholds, 3),
        "Report": json.dumps(document(result.outcome), indent=2) + "\n",
        "Metrics": metrics,
        f"Module {question.module_name}": module + "\n",
    }
    return "\n".join(f"{title}\n{'-' * len(title)}\n{body}" for title, body in parts.items())
