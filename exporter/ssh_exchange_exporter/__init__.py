"""The Prometheus exporter of check_ssh_exchange: /probe, and background probing of whole fleets."""
