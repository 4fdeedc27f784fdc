"""The response to `debug=true`: the run line by line, its report, its metrics and the module, as text."""

import json

from check_ssh_exchange.remote.json_output import document
from check_ssh_exchange.remote.status_line import text

from ..configuration.module import Module
from ..probe_response import ProbeResponse, ResponseKind

# What is said of a result that is not a new probe's.
ORIGINS = {
    ResponseKind.CACHED: "no probe could begin in time; this result is {age:.1f} s old\n",
    ResponseKind.DEFERRED: "held back by the budget; this result is {age:.1f} s old\n",
}


def debug_text(response: ProbeResponse, module_name: str, module: Module, metrics: str) -> str:
    """Return everything about a probe as text."""
    result = response.result
    thresholds = module.expectations().thresholds
    held = ORIGINS.get(response.kind, "").format(age=response.age)
    parts = {
        "Log of the probe": held + text(result.outcome, thresholds, 3),
        "Report": json.dumps(document(result.outcome), indent=2) + "\n",
        "Metrics": metrics,
        f"Module {module_name}": module.model_dump_json(indent=2) + "\n",
    }
    return "\n".join(f"{title}\n{'-' * len(title)}\n{body}" for title, body in parts.items())
