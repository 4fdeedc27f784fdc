"""`python -m check_ssh_exchange`: the plugin."""

from .cli import run

run()
