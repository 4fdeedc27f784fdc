"""The face of check_ssh_exchange: command line, options, status line, JSON."""
