"""`python -m ssh_exchange_exporter`."""

from .cli import run

run()
