"""Grafana's dashboards as files, which follow from the causes, the endings and the exporter's colours."""

import json

from contrib.generators import grafana_fleet, grafana_server


def fleet() -> str:
    """Return grafana/fleet.json."""
    return json.dumps(grafana_fleet.dashboard(), indent=2) + "\n"


def server() -> str:
    """Return grafana/server.json."""
    return json.dumps(grafana_server.dashboard(), indent=2) + "\n"


FILES = {"grafana/fleet.json": fleet, "grafana/server.json": server}
