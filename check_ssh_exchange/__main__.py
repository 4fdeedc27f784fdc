"""`python -m check_ssh_exchange`: the plugin."""

from .remote.cli import run

run()
