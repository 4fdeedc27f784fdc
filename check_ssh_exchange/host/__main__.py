"""`python -m check_ssh_exchange.host`."""

from .cli import run

if __name__ == "__main__":
    run()
