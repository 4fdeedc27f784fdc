"""What the dashboards ask Prometheus, for both ways to use the exporter: /probe and background targets.

A series is chosen by job, instance and target. At /probe `instance` is the SSH server and there is no `target`, which
the empty value of the variable matches; of a background target `instance` is the exporter.
"""

from typing import Any

from check_ssh_exchange.ending import EARLY_CLOSES, NOT_ACCEPTED, Ending
from contrib.generators.grafana_panels import CAUSE_CODES, DATASOURCE, Json

KEY = "job, instance, target"
OF = 'job=~"$job", instance=~"$instance", target=~"$target"'
OF_EXPORTER = 'job=~"$job", instance=~"$instance"'
ON_HOST = 'instance=~"$host"'
WINDOW = "[$__rate_interval]"
EARLY = f'ending=~"{"|".join(ending for ending in Ending if ending in EARLY_CLOSES)}"'
ACCEPTED = f'ending!~"{"|".join(ending for ending in Ending if ending in NOT_ACCEPTED)}"'
_CODES = " or ".join(
    f'label_replace(vector({code}), "cause", "{cause}", "", "")' for cause, code in CAUSE_CODES.items()
)
# The thresholds of the shipped alerts: of the module `default`, and of the two paces at which an objective burns.
BURNS_SLOWLY, BURNS_FAST, HALF = 0.06, 0.144, 0.5
STALE_SECONDS, LATE_SECONDS, HOST_LATE_SECONDS, WEEK = 1800, 10, 300, 7 * 86400


def of(metric: str, *matchers: str) -> str:
    """Return the selector of a metric of the servers that are chosen."""
    return f"{metric}{{{', '.join((OF, *matchers))}}}"


def handshakes(by: str, *matchers: str) -> str:
    """Return the handshakes of an interval: by the counters of background targets, else by the results of /probe."""
    counted = f"increase({of('ssh_exchange_handshakes_total', *matchers)}{WINDOW})"
    probed = f"sum_over_time({of('ssh_exchange_handshakes', *matchers)}{WINDOW})"
    return f"sum by ({by}) ({counted} or {probed})" if by else f"sum({counted} or {probed})"


def early_closes(by: str) -> str:
    """Return early closes by accepted connections, as the shipped rules have it."""
    return f"{handshakes(by, EARLY)} / ({handshakes(by, ACCEPTED)} > 0)"


def phase(quantile: float, by: str, *matchers: str) -> str:
    """Return a quantile of a phase's duration: of the histograms of background targets, else of the last /probe."""
    buckets = of("ssh_exchange_phase_duration_seconds_bucket", *matchers)
    measured = f"histogram_quantile({quantile:g}, sum by ({by}, le) (rate({buckets}{WINDOW}))) >= 0"
    probed = of("ssh_exchange_phase_seconds", *matchers, f'quantile="{quantile:g}"')
    return f"({measured}) or max by ({by}) ({probed})"


def coded(causes: str) -> str:
    """Return causes with their number in the place of their value, which a value mapping names again."""
    return f"{causes} * on (cause) group_left () ({_CODES})"


def cause_code() -> str:
    """Return the number of each server's cause."""
    return f"sum by ({KEY}) ({coded(of('ssh_exchange_cause'))})"


def age(by: str) -> str:
    """Return the age of the last result in seconds."""
    started = f"max by ({by}) ({of('ssh_exchange_last_probe_timestamp_seconds')})"
    return f"time() - {started} or max by ({by}) ({of('ssh_exchange_result_age_seconds')})"


def served(expression: str) -> str:
    """Add the label `server`, the SSH server in both ways, and `chosen`, which chooses it by the URL of a dashboard."""
    named = f'label_replace({expression}, "server", "$1", "instance", "(.+)")'
    named = f'label_replace({named}, "server", "$1", "target", "(.+)")'
    # An empty label is none, so a field with the empty target would be missing where no target is in the background.
    return f'label_join({named}, "chosen", "&var-target=", "instance", "target")'


# The hosts whose name is the server's, whatever their ports; else "(choose)"; then the other hosts. So a host that is
# named otherwise can be chosen by hand, and none is shown as the server's by chance.
_NAME = "(.+?)(?::\\\\d+)?"
_HOSTS = f'label_replace(sshd_local_last_run_timestamp_seconds, "host", "$1", "instance", "{_NAME}")'
_BACKGROUND, _PROBED = of("ssh_exchange_state", 'target!=""'), of("ssh_exchange_state", 'target=""')
_SERVERS = (
    f'label_replace({_BACKGROUND}, "host", "$1", "target", "{_NAME}")'
    f' or label_replace({_PROBED}, "host", "$1", "instance", "{_NAME}")'
)
_MATCHED = f"{_HOSTS} and on (host) ({_SERVERS})"
HOSTS = (
    f'{_MATCHED} or (label_replace(vector(0), "instance", "(choose)", "", "") unless on () ({_MATCHED})) or {_HOSTS}'
)


def variable(name: str, label: str, asked: str, **more: Any) -> Json:
    """Return a variable that Prometheus is asked for, again when the time range changes."""
    made = {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": asked, "refId": f"Variable-{name}"},
        "definition": asked,
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "hide": 0,
        "multi": True,
        "includeAll": False,
        "allValue": ".+",
        "options": [],
        "current": {},
    }
    return made | more


def with_all(value: str = ".+") -> Json:
    """Return what makes a variable stand at All."""
    return {"includeAll": True, "allValue": value, "current": {"selected": True, "text": ["All"], "value": ["$__all"]}}


DATASOURCE_VARIABLE: Json = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "refresh": 1,
    "regex": "",
    "hide": 0,
    "multi": False,
    "includeAll": False,
    "options": [],
    "current": {},
}
EVERY_JOB = 'label_values({__name__=~"ssh_exchange_state|ssh_exchange_exporter_build_info"}, job)'
INSTANCES = 'label_values(ssh_exchange_state{job=~"$job"}, instance)'
EVERY_INSTANCE = (
    'label_values({__name__=~"ssh_exchange_state|ssh_exchange_exporter_build_info", job=~"$job"}, instance)'
)
TARGETS = 'label_values(ssh_exchange_state{job=~"$job", instance=~"$instance"}, target)'
EXPORTER = variable(
    "exporter",
    "Exporter",
    "label_values(ssh_exchange_exporter_build_info, instance)",
    description="Its pages are what the links lead to; any exporter has the runbook.",
    multi=False,
    allValue=None,
)
