"""The program's entry: nothing heavy is imported before the flags are read."""

import sys

EXTRA = "pip install 'check_ssh_exchange[exporter]'"


def run() -> None:
    """Run the exporter with the process's arguments and exit."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 stopped or checked, 1 for what is wrong with the configuration or the machine."""
    from .flags import parser

    flags = parser().parse_args(arguments)
    try:
        from .daemon import check, serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("check_ssh_exchange", "ssh_exchange_exporter"):
            raise
        print(f"the exporter needs the Python module {error.name}: {EXTRA}", file=sys.stderr)
        return 3
    return check(flags) if flags.config_check else serve(flags)
