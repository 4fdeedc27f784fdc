"""The answer to `debug=true`: the run line by line, its report, its metrics and the module, as text."""

import json

from check_ssh_exchange.remote.json_output import document
from check_ssh_exchange.remote.status_line import text
from check_ssh_exchange.verdict import judge

from ..probe_request import ProbeRequest, ProbeResponse
from ..result import Result


def debug_text(response: ProbeResponse, result: Result, request: ProbeRequest, metrics: str) -> str:
    """Return all that is known of a probe."""
    report, diagnosis, verdict = result.report, result.diagnosis, result.verdict
    if not verdict.perfdata:  # the result of an earlier probe, for which nobody had asked so much
        perfdata = judge(report, diagnosis, request.module.expectations()).perfdata
        verdict = verdict._replace(perfdata=perfdata)
    held = f"held back by the budget, this result is {response.age:.1f} s old\n" if response.is_deferred else ""
    report_text = json.dumps(document(report, diagnosis, verdict), indent=2)
    module = request.module.model_dump_json(indent=2)
    parts = {
        "Log of the probe": held + text(report, diagnosis, verdict, 3),
        "Report": report_text + "\n",
        "Metrics": metrics,
        f"Module {request.module_name}": module + "\n",
    }
    return "\n".join(f"{title}\n{'-' * len(title)}\n{body}" for title, body in parts.items())
