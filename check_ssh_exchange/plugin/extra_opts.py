"""`--extra-opts=[section][@file]`: options from an ini file, as the monitoring plugins read them (lib/parse_ini.c)."""

import os
from collections.abc import Iterator, Sequence

OPTION = "--extra-opts"
MAX_FILE = 1 << 20  # bytes; an ini file of options has some hundred

# Where monitoring-plugins looks (lib/extra_opts.c), in its order; the first that exists is read.
DIRECTORIES = (
    "/usr/local/etc/monitoring-plugins/monitoring-plugins.ini",
    "/usr/local/etc/monitoring-plugins.ini",
    "/etc/monitoring-plugins/monitoring-plugins.ini",
    "/etc/monitoring-plugins.ini",
    "/etc/nagios/plugins.ini",
    "/usr/local/nagios/etc/plugins.ini",
    "/usr/local/etc/nagios/plugins.ini",
    "/etc/opt/nagios/plugins.ini",
    "/etc/nagios-plugins.ini",
    "/usr/local/etc/nagios-plugins.ini",
    "/etc/opt/nagios-plugins.ini",
)


class ExtraOptsError(Exception):
    """The file, or the section in it, cannot be used; the message is a sentence."""


def expand(arguments: Sequence[str], default_section: str) -> list[str]:
    """Return the arguments with every `--extra-opts` replaced: what its file says comes before the command line.

    `default_section` is read where the option names none. Raises ExtraOptsError.
    """
    from_files: list[str] = []
    rest: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            rest += [argument, *left]
            break
        if argument == OPTION:
            # The value is optional and may stand apart, as monitoring-plugins has it.
            where = left.pop(0) if left and not left[0].startswith("-") else ""
        elif argument.startswith(OPTION + "="):
            where = argument[len(OPTION) + 1 :]
        else:
            rest.append(argument)
            continue
        section, _, file = where.partition("@")
        from_files += read(section or default_section, file)
    return from_files + rest


def read(section: str, file: str = "") -> list[str]:
    """Return the options of one section as arguments; raises ExtraOptsError."""
    path = file or _default_file()
    try:
        # Not blocking: a FIFO without a writer would hold the check until the scheduler kills it.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as handle:
            raw = handle.read(MAX_FILE + 1) or b""
    except (OSError, ValueError) as error:
        raise ExtraOptsError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > MAX_FILE:
        raise ExtraOptsError(f"{path} has more than {MAX_FILE} bytes")
    arguments: list[str] = []
    found = False
    for name, number, key, value in _entries(path, raw.decode("utf-8", "surrogateescape")):
        if name != section:
            continue
        found = True
        if key is None:
            continue
        if "\0" in key + (value or ""):
            raise ExtraOptsError(f"{path}:{number}: a NUL byte")
        option = f"-{key}" if len(key) == 1 else f"--{key}"
        if option == OPTION:
            raise ExtraOptsError(f"{path}:{number}: a file cannot name another one")
        arguments += [option] if not value else [f"{option}{value}" if len(key) == 1 else f"{option}={value}"]
    if not found:
        raise ExtraOptsError(f"{path} has no section [{section}]")
    return arguments


def _default_file() -> str:
    if named := os.environ.get("MP_CONFIG_FILE"):
        return named
    candidates = [*DIRECTORIES]
    for directory in filter(None, os.environ.get("NAGIOS_CONFIG_PATH", "").split(":")):
        candidates += [
            f"{directory}/{name}" for name in ("monitoring-plugins.ini", "plugins.ini", "nagios-plugins.ini")
        ]
    for path in candidates:
        if os.path.exists(path):
            return path
    raise ExtraOptsError(f"{OPTION} names no file, and none of the usual ones exists ({DIRECTORIES[2]} and others)")


def _entries(path: str, text: str) -> Iterator[tuple[str, int, str | None, str | None]]:
    """Yield (section, line number, key, value) for each line that says something; a heading has no key."""
    section = None
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            if not line.endswith("]"):
                raise ExtraOptsError(f"{path}:{number}: a section heading without its closing bracket")
            section = line[1:-1].strip()
            yield section, number, None, None
            continue
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if section is None:
            raise ExtraOptsError(f"{path}:{number}: an option before the first [section]")
        if not equals or not key or any(character.isspace() for character in key):
            raise ExtraOptsError(f"{path}:{number}: not of the form key=value")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        yield section, number, key, value
