"""`make contrib`: write the definitions that follow from the command lines, so that none is missing an option.

`python -m contrib.generate [--check]`; with --check nothing is written, and the exit code is 1 where a file differs.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from posixpath import normpath
from typing import NamedTuple

from check_ssh_exchange.host.options import parser as local_parser
from check_ssh_exchange.remote.options import parser as remote_parser
from contrib.generators import completions, director, grafana_dashboards, manual, mixin, zabbix_exchange, zabbix_local

HERE = Path(__file__).parent
# What a person asks for, and what a monitoring system cannot use.
NOT_FOR_SERVICES = {"help", "version", "runbook", "output_format", "explain", "collect", "host"}
HEAD = """/* Icinga 2 CheckCommands for check_ssh_exchange and check_sshd_local: `make contrib` writes them.
 * Custom variables carry the command's name; what is not set keeps the plugin's own default. Repeatable options take a
 * string or an array. */
"""


class Command(NamedTuple):
    """A CheckCommand: its name, the plugin, the parser, templates, and variables that are set."""

    name: str
    plugin: str
    parser: argparse.ArgumentParser
    imports: tuple[str, ...]
    variables: tuple[tuple[str, str], ...]


COMMANDS = (
    Command(
        "ssh_exchange", "check_ssh_exchange", remote_parser(), ("ipv4-or-ipv6",),
        (("address", "$check_address$"), ("ipv4", "$check_ipv4$"), ("ipv6", "$check_ipv6$")),
    ),
    Command("sshd_local", "check_sshd_local", local_parser(), (), ()),
)  # fmt: skip
RENAMED = {"hostname": "address"}


def options(command: Command) -> list[argparse.Action]:
    """Return the options that a service may set."""
    return [action for action in command.parser._actions if action.dest not in NOT_FOR_SERVICES]


def icinga() -> str:
    """Return icinga2/commands.conf."""
    return HEAD + "\n".join("\n".join(_check_command(command)) + "\n" for command in COMMANDS)


def _check_command(command: Command) -> Iterator[str]:
    yield f'object CheckCommand "{command.name}" {{'
    for name in command.imports:
        yield f'\timport "{name}"\n'
    yield f'\tcommand = [ PluginContribDir + "/{command.plugin}" ]\n'
    yield "\targuments = {"
    for action in options(command):
        yield from _argument(command, action)
    yield "\t}\n"
    given = {f"{command.name}_{name}": value for name, value in command.variables}
    for action in options(command):
        variable = _variable(command, action)
        if variable in given:
            yield f"\tvars.{variable} = {json.dumps(given[variable])}"
        elif action.nargs == 0:
            yield f"\tvars.{variable} = {json.dumps(action.dest == 'verbose')}"
    yield "}"


def _argument(command: Command, action: argparse.Action) -> Iterator[str]:
    yield f'\t\t"{_word(action)}" = {{'
    yield f'\t\t\t{"set_if" if action.nargs == 0 else "value"} = "${_variable(command, action)}$"'
    yield f"\t\t\tdescription = {json.dumps(_description(action))}"
    if isinstance(action, argparse._AppendAction):
        yield "\t\t\trepeat_key = true"
    if action.dest == "hostname":
        yield "\t\t\trequired = true"
    if action.dest == "extra_opts":  # its value is optional, so it stands in the same word
        yield '\t\t\tseparator = "="'
    yield "\t\t}"


def _word(action: argparse.Action) -> str:
    return "-v" if action.dest == "verbose" else next(word for word in action.option_strings if word.startswith("--"))


def _variable(command: Command, action: argparse.Action) -> str:
    return f"{command.name}_{RENAMED.get(action.dest, action.dest)}"


def _description(action: argparse.Action) -> str:
    text = (action.help or "").replace("%%", "%").removesuffix("; repeatable").replace("$", "$$")
    return text if "_" in text.split(" ")[0] else text[:1].upper() + text[1:]  # a word of the plugin stays as it is


def basket(*, has_uuids: bool = True) -> str:
    """Return icinga2/director-basket.json."""
    return director.basket([_of_director(command) for command in COMMANDS], has_uuids=has_uuids)


def old_basket() -> str:
    """Return icinga2/director-basket-1.10.json."""
    return basket(has_uuids=False)


def _of_director(command: Command) -> director.Command:
    found = [
        director.Option(_word(action), _variable(command, action), action, _description(action))
        for action in options(command)
    ]
    return director.Command(command.name, command.plugin, found)


FILES: dict[str, Callable[[], str]] = {
    "icinga2/commands.conf": icinga,
    "icinga2/director-basket.json": basket,
    "icinga2/director-basket-1.10.json": old_basket,
    **grafana_dashboards.FILES,
    **completions.FILES,
    **manual.FILES,
    "prometheus/rules.yml": mixin.rules,
    "kubernetes/prometheusrule.yml": mixin.prometheus_rule,
    "zabbix/ssh_exchange_by_http.yaml": zabbix_exchange.template,
    "zabbix/sshd_local_by_agent.yaml": zabbix_local.template,
}


def main(arguments: Sequence[str]) -> int:
    """Write the files, or say which differ."""
    parser = argparse.ArgumentParser(prog="python -m contrib.generate", description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing, and say which files differ")
    is_check = parser.parse_args(arguments).check
    differ = [name for name, made in FILES.items() if _read(HERE / name) != made()]
    if is_check:
        for name in differ:
            print(f"{normpath(f'contrib/{name}')} is not what `make contrib` writes", file=sys.stderr)
        return bool(differ)
    for name in differ:
        (HERE / name).write_text(FILES[name](), "utf-8")
    return 0


def _read(file: Path) -> str | None:
    return file.read_text("utf-8") if file.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
