"""Entry point: flags are parsed before anything slow is imported."""

import sys

# The extra `exporter` of setup.cfg.
LIBRARIES = "aiohttp bcrypt prometheus-client pydantic ruamel.yaml"


def run() -> None:
    """Run the exporter with the arguments of the process and exit."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 stopped or valid, 1 for an error of configuration or system, 3 for a missing module."""
    from .flags import parser

    flags = parser().parse_args(arguments)
    try:
        from .daemon import check, serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("check_ssh_exchange", "ssh_exchange_exporter"):
            raise
        print(f"the exporter needs the Python module {error.name}: pip install {LIBRARIES}", file=sys.stderr)
        return 3
    return check(flags) if flags.config_check else serve(flags)
