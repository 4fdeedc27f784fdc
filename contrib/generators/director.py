"""The Icinga Director baskets: both commands, a field for every option, lists of choices, a template for each plugin.

Director 1.11 knows an object by its UUID and so changes it in place. Director 1.10 refuses a basket that has UUIDs.
"""

import argparse
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from check_ssh_exchange.host.items import NAMES

NAMESPACE = uuid.UUID("ec342a76-912e-4782-b7a7-2b18d292a05e")
DATATYPE = "Icinga\\Module\\Director\\DataType\\DataType"
# What the parser takes as text and checks by itself: dest -> the list's name and its entries.
CHOICES = dict.fromkeys(("only", "skip"), ("items", NAMES))
# A command of the Director cannot import the template `ipv4-or-ipv6`, which only Icinga itself knows.
ADDRESS = """var given = macro("$PREFIX_address$")
if (given) { return given }
var four = macro("$address$")
if (four && !macro("$PREFIX_ipv6$") || macro("$PREFIX_ipv4$")) { return four }
return macro("$address6$")"""


class Option(NamedTuple):
    """An option: its word on the command line, its custom variable, what the parser says of it."""

    word: str
    variable: str
    action: argparse.Action
    description: str

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.action.nargs == 0

    @property
    def is_list(self) -> bool:
        """Whether it may be given more than once."""
        return isinstance(self.action, argparse._AppendAction)


class Command(NamedTuple):
    """A CheckCommand, which is the prefix of its variables too; the plugin; the options."""

    name: str
    plugin: str
    options: Sequence[Option]


class Template(NamedTuple):
    """A service template, as in services.conf: its command, its properties, its variables."""

    name: str
    command: str
    properties: dict[str, object]
    variables: dict[str, object]


# What has a UUID, and its property that is its name. A category has none in any version.
NAME_OF = {"DataList": "list_name", "Datafield": "varname", "Command": "object_name", "ServiceTemplate": "object_name"}
RUNBOOK = "http://127.0.0.1:10922/runbook/"
TEMPLATES = (
    Template(
        "ssh-exchange-service", "ssh_exchange",
        {"check_interval": 60, "retry_interval": 60, "max_check_attempts": 3, "check_timeout": 30},
        {"ssh_exchange_state_file": "/var/lib/icinga2/check_ssh_exchange"},
    ),
    Template(
        "sshd-local-service", "sshd_local",
        {"check_interval": 60, "retry_interval": 60, "max_check_attempts": 2, "check_timeout": 45, "use_agent": True},
        {"sshd_local_sudo": True},
    ),
)  # fmt: skip


def basket(commands: Sequence[Command], *, has_uuids: bool) -> str:
    """Return icinga2/director-basket.json, or without UUIDs the one for Director 1.10."""
    numbers = {option.variable: number for number, option in enumerate(_all_options(commands), 1)}
    made: dict[str, dict[str, dict[str, object]]] = {
        "DatafieldCategory": {command.plugin: _category(command) for command in commands},
        "DataList": dict(_list(name, entries) for name, entries in _lists(commands).items()),
        "Datafield": {
            str(numbers[option.variable]): _field(command, option) for command in commands for option in command.options
        },
        "Command": {command.name: _command(command, numbers) for command in commands},
        "ServiceTemplate": {template.name: _template(template) for template in TEMPLATES},
    }
    if has_uuids:
        for kind, name in NAME_OF.items():
            for item in made[kind].values():
                item["uuid"] = identity(kind, str(item[name]))
    return json.dumps(made, indent=4) + "\n"


def identity(kind: str, name: str) -> str:
    """Return the UUID of an object, which is the same in every release."""
    return str(uuid.uuid5(NAMESPACE, f"{kind} {name}"))


def _all_options(commands: Iterable[Command]) -> Iterator[Option]:
    for command in commands:
        yield from command.options


def _category(command: Command) -> dict[str, object]:
    return {"category_name": command.plugin, "description": f"Options of {command.plugin}"}


def _choices(command: Command, option: Option) -> tuple[str, Sequence[str]] | None:
    """Return the list of what the option takes: its name and its entries."""
    if option.action.dest in CHOICES:
        name, entries = CHOICES[option.action.dest]
        return f"{command.name}_{name}", entries
    return (option.variable, list(option.action.choices)) if option.action.choices else None


def _lists(commands: Iterable[Command]) -> dict[str, Sequence[str]]:
    return dict(choices for command in commands for option in command.options if (choices := _choices(command, option)))


def _list(name: str, entries: Iterable[str]) -> tuple[str, dict[str, object]]:
    made = [{"entry_name": word, "entry_value": word, "format": "string", "allowed_roles": None} for word in entries]
    return name, {"list_name": name, "owner": "check_ssh_exchange", "entries": made}


def _field(command: Command, option: Option) -> dict[str, object]:
    kind, settings = _datatype(command, option)
    caption = option.action.dest.replace("_", " ").replace("hostname", "address").replace("ipv", "IPv")
    description = option.description
    if option.action.dest == "hostname":
        description += " (the host's address, else its address6)"
    return {
        "varname": option.variable,
        "caption": caption[:1].upper() + caption[1:],
        "description": description,
        "datatype": DATATYPE + kind,
        "format": None,
        "settings": settings,
        "category": command.plugin,
    }


def _datatype(command: Command, option: Option) -> tuple[str, dict[str, str]]:
    """Return the Director's type of a field, and its settings. Its Number takes whole numbers only."""
    if option.is_flag:
        return "Boolean", {}
    if choices := _choices(command, option):
        of_what = "array" if option.is_list else "string"
        return "Datalist", {"behavior": "strict", "data_type": of_what, "datalist": choices[0]}
    if option.is_list:
        return "Array", {}
    if _is_whole(option.action):
        return "Number", {}
    return "String", {"visibility": "visible"}  # no option takes a secret


def _is_whole(action: argparse.Action) -> bool:
    with suppress(argparse.ArgumentTypeError):
        return callable(action.type) and isinstance(action.type("22"), int)
    return False


def _command(command: Command, numbers: dict[str, int]) -> dict[str, object]:
    fields = [
        {
            "datafield_id": numbers[option.variable],
            "is_required": "y" if option.action.required else "n",
            "var_filter": None,
        }
        for option in command.options
    ]
    return {
        "object_name": command.name,
        "object_type": "object",
        "methods_execute": "PluginCheck",
        "command": f"PluginContribDir + /{command.plugin}",
        "arguments": {option.word: _argument(command, option) for option in command.options},
        "vars": {option.variable: option.action.dest == "verbose" for option in command.options if option.is_flag},
        "fields": fields,
    }


def _argument(command: Command, option: Option) -> dict[str, Any]:
    macro = f"${option.variable}$"
    made: dict[str, Any] = {"description": option.description}
    if option.is_flag:
        return made | {"set_if": macro}
    if option.action.dest == "hostname":
        return made | {"value": {"type": "Function", "body": ADDRESS.replace("PREFIX", command.name)}, "required": True}
    if option.action.dest == "extra_opts":  # its value stands in the same word, and the Director knows no separator
        return made | {"value": f"{option.word}={macro}", "skip_key": True}
    return made | {"value": macro} | ({"repeat_key": True} if option.is_list else {})


def _template(template: Template) -> dict[str, object]:
    return {
        "object_name": template.name,
        "object_type": "template",
        "check_command": template.command,
        **template.properties,
        "notes_url": RUNBOOK,
        "vars": template.variables,
        "fields": [],
    }
