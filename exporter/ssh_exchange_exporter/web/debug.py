"""The response to `debug=true`: the run line by line, its report, its metrics and the module, as text."""

import json

from check_ssh_exchange.remote.json_output import document
from check_ssh_exchange.remote.status_line import text
from check_ssh_exchange.verdict import judge

from ..probe_request import ProbeRequest
from ..probe_response import ProbeResponse, ResponseKind

# What is said of a result that is not a new probe's.
ORIGINS = {
    ResponseKind.CACHED: "no probe could begin in time; this result is {age:.1f} s old\n",
    ResponseKind.DEFERRED: "held back by the budget; this result is {age:.1f} s old\n",
}


def debug_text(response: ProbeResponse, request: ProbeRequest, metrics: str) -> str:
    """Return everything about a probe as text."""
    result = response.result
    report, diagnosis, verdict = result.report, result.diagnosis, result.verdict
    if not verdict.perfdata:  # the result of an earlier probe without debug=true
        perfdata = judge(report, diagnosis, request.module.expectations()).perfdata
        verdict = verdict._replace(perfdata=perfdata)
    held = ORIGINS.get(response.kind, "").format(age=response.age)
    report_text = json.dumps(document(report, diagnosis, verdict), indent=2)
    module = request.module.model_dump_json(indent=2)
    parts = {
        "Log of the probe": held + text(report, diagnosis, verdict, 3),
        "Report": report_text + "\n",
        "Metrics": metrics,
        f"Module {request.module_name}": module + "\n",
    }
    return "\n".join(f"{title}\n{'-' * len(title)}\n{body}" for title, body in parts.items())
