"""CrowdSec's decisions as cscli tells of them (1.4.6 run; 1.5 and 1.6 print the same): pure."""

import json
from collections.abc import Iterator

from ..snapshot import Output, Snapshot
from .ban import Ban

LIST = ("cscli", "decisions", "list", "-o", "json")
# Of an address also those that came from the central API, which are left out otherwise; the database looks for them.
OF_AN_ADDRESS = ("cscli", "decisions", "list", "-a", "-o", "json", "--ip")
BOUNCERS = ("/usr/bin/crowdsec-firewall-bouncer", "/usr/sbin/crowdsec-firewall-bouncer",
            "/usr/local/bin/crowdsec-firewall-bouncer")  # fmt: skip


def bans(seen: Snapshot) -> list[Ban]:
    """Return the bans among the decisions. Without a bouncer of the firewall nothing here is sure to enforce them."""
    is_enforced = any(seen.stat(path) is not None for path in BOUNCERS)
    found = [ban for _, output in seen.commands(*LIST) for ban in _decisions(output, is_certain=is_enforced)]
    for _, output in seen.commands(*OF_AN_ADDRESS):
        found += _decisions(output, is_certain=is_enforced)
    return list(dict.fromkeys(found))


def _decisions(output: Output, *, is_certain: bool) -> Iterator[Ban]:
    try:
        alerts = json.loads(output.out) if output.out else []
    except (ValueError, RecursionError):
        return
    for alert in alerts if isinstance(alerts, list) else ():
        decisions = alert.get("decisions") if isinstance(alert, dict) else None
        for one in decisions if isinstance(decisions, list) else ():
            if isinstance(one, dict) and one.get("type") == "ban" and not one.get("simulated"):
                yield Ban("CrowdSec", str(one.get("value")), str(one.get("scenario")), is_certain)
