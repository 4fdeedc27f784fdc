"""The baskets of Icinga Director: every option has an argument and a field, and all is as in the Icinga 2 files."""

import argparse
import json
import re
import uuid
from typing import Any

import pytest

from check_ssh_exchange.ending import Depth
from check_ssh_exchange.host.items import NAMES
from contrib.generate import COMMANDS, Command, options
from contrib.generators import director
from tests.lab.daemons import CONTRIB

FOLDER = CONTRIB / "icinga2"
BASKET: dict[str, dict[str, dict[str, Any]]] = json.loads((FOLDER / "director-basket.json").read_text("utf-8"))
OF_110: dict[str, dict[str, dict[str, Any]]] = json.loads((FOLDER / "director-basket-1.10.json").read_text("utf-8"))
COMMANDS_CONF = (FOLDER / "commands.conf").read_text("utf-8")
SERVICES_CONF = (FOLDER / "services.conf").read_text("utf-8")
BY_NAME = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
SECONDS = {"s": 1, "m": 60, "h": 3600}


def fields(command: Command) -> dict[str, dict[str, Any]]:
    """Return the fields that a command shows, by their variables."""
    shown = [BASKET["Datafield"][str(field["datafield_id"])] for field in BASKET["Command"][command.name]["fields"]]
    by_variable = {field["varname"]: field for field in shown}
    assert len(by_variable) == len(shown)
    return by_variable


def variable(command: Command, action: argparse.Action) -> str:
    return f"{command.name}_{'address' if action.dest == 'hostname' else action.dest}"


def kind(field: dict[str, Any]) -> str:
    """Return the type of a field, in a word."""
    begin = "Icinga\\Module\\Director\\DataType\\DataType"
    assert field["datatype"].startswith(begin)
    return str(field["datatype"]).removeprefix(begin)


def definition(name: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the arguments and the variables of a CheckCommand in commands.conf."""
    (block,) = re.findall(rf'^object CheckCommand "{name}" {{\n(.*?)^}}', COMMANDS_CONF, re.MULTILINE | re.DOTALL)
    arguments = {
        word: {key: json.loads(value) for key, value in re.findall(r"^\t{3}(\w+) = (.+)$", body, re.MULTILINE)}
        for word, body in re.findall(r'^\t\t"([\w-]+)" = {\n(.*?)^\t\t}', block, re.MULTILINE | re.DOTALL)
    }
    variables = {key: json.loads(value) for key, value in re.findall(r"^\tvars\.(\w+) = (.+)$", block, re.MULTILINE)}
    return arguments, variables


@BY_NAME
def test_a_command_has_the_arguments_of_the_definition_for_icinga(command: Command) -> None:
    defined, variables = definition(command.name)
    made = basket_copy()["Command"][command.name]
    assert list(made["arguments"]) == list(defined)
    assert len(defined) == len(options(command))
    for word, argument in made["arguments"].items():
        wanted = defined[word]
        if word == "--hostname":  # a function: what is given, else the host's address
            assert wanted["value"] in argument["value"].pop("body")
            assert argument["value"] == {"type": "Function"}
            wanted["value"] = argument["value"]
        if wanted.pop("separator", None):
            wanted |= {"value": f"{word}={wanted['value']}", "skip_key": True}
        assert argument == wanted, word
    flags = {variable(command, action): action.dest == "verbose" for action in options(command) if action.nargs == 0}
    assert made["vars"] == flags
    families = {f"{command.name}_{name}" for name in ("address", "ipv4", "ipv6")}  # these follow the host in Icinga
    assert {name: value for name, value in made["vars"].items() if name not in families} == {
        name: value for name, value in variables.items() if name not in families
    }
    assert f'PluginContribDir + "/{command.plugin}"' in COMMANDS_CONF
    assert made["command"] == f"PluginContribDir + /{command.plugin}"


@BY_NAME
def test_a_command_shows_a_field_for_every_option(command: Command) -> None:
    shown = fields(command)
    assert set(shown) == {variable(command, action) for action in options(command)}
    for action in options(command):
        field = shown[variable(command, action)]
        helped = (action.help or "").replace("%%", "%").removesuffix("; repeatable")
        assert helped[1:] in field["description"]
        assert re.fullmatch(r"[A-Z]+[A-Za-z0-9 ]*", field["caption"])
        assert field["category"] == command.plugin
        assert field["category"] in BASKET["DatafieldCategory"]


@BY_NAME
def test_the_type_of_a_field_is_what_the_parser_takes(command: Command) -> None:
    for action in options(command):
        field = fields(command)[variable(command, action)]
        is_list = isinstance(action, argparse._AppendAction)
        if action.nargs == 0:
            assert kind(field) == "Boolean"
        elif kind(field) == "Datalist":
            assert field["settings"]["data_type"] == ("array" if is_list else "string")
            entries = [item["entry_name"] for item in BASKET["DataList"][field["settings"]["datalist"]]["entries"]]
            assert entries == list(action.choices or NAMES)
            for entry in entries:
                command.parser.parse_args([action.option_strings[-1], entry])
        elif kind(field) == "Number":  # the Director takes whole numbers alone
            assert not is_list
            assert isinstance(command.parser.parse_args([action.option_strings[-1], "1"]), argparse.Namespace)
            with pytest.raises(Exception, match="is not a valid"):
                command.parser.parse_args([action.option_strings[-1], "1.5"])
        else:
            assert kind(field) == ("Array" if is_list else "String")


def test_a_choice_is_a_list() -> None:
    named = {name: [entry["entry_name"] for entry in made["entries"]] for name, made in BASKET["DataList"].items()}
    assert named == {
        "ssh_exchange_depth": [str(depth) for depth in Depth],
        "ssh_exchange_require": ["post_quantum"],
        "sshd_local_items": list(NAMES),
    }
    assert all(name == made["list_name"] for name, made in BASKET["DataList"].items())


def test_what_has_a_uuid_keeps_it() -> None:
    made = {
        (of, name): item.pop("uuid")
        for of, items in basket_copy().items()
        for name, item in items.items()
        if "uuid" in item
    }
    assert len(set(made.values())) == len(made)
    assert {of for of, _ in made} == {"DataList", "Datafield", "Command", "ServiceTemplate"}
    assert {uuid.UUID(value).version for value in made.values()} == {5}
    # A Director that has restored a basket knows its objects by these; other ones would be new objects to it.
    assert made["Command", "ssh_exchange"] == "90522b7d-0073-5279-9c1e-f3dbaebe3fb1"
    assert made["ServiceTemplate", "sshd-local-service"] == director.identity("ServiceTemplate", "sshd-local-service")


def basket_copy() -> dict[str, dict[str, dict[str, Any]]]:
    copied: dict[str, dict[str, dict[str, Any]]] = json.loads(json.dumps(BASKET))
    return copied


def test_the_basket_for_director_1_10_is_the_same_without_uuids() -> None:
    stripped = basket_copy()
    for items in stripped.values():
        for item in items.values():
            item.pop("uuid", None)
    assert stripped == OF_110
    assert '"uuid"' not in (FOLDER / "director-basket-1.10.json").read_text("utf-8")


def test_everything_fits_the_columns_of_the_directors_database() -> None:
    for field in BASKET["Datafield"].values():
        assert len(field["varname"]) <= 64
        assert len(field["caption"]) <= 255
    for command in BASKET["Command"].values():
        for word, argument in command["arguments"].items():
            assert len(word) <= 64
            assert len(argument.get("set_if", "")) <= 255


@pytest.mark.parametrize("name", ["ssh-exchange-service", "sshd-local-service"])
def test_a_template_is_the_one_of_the_files_for_icinga(name: str) -> None:
    blocks = re.findall(r"^(?:template|apply) Service .*? {\n(.*?)^}", SERVICES_CONF, re.MULTILINE | re.DOTALL)
    (block,) = (
        block for opening, block in zip(openings(), blocks, strict=True) if opening == f'template Service "{name}"'
    )
    (applied,) = (block for block in blocks if f'import "{name}"' in block)
    wanted: dict[str, Any] = {}
    for key, value in re.findall(r"^\t(\w+) = (.+)$", block, re.MULTILINE):
        if span := re.fullmatch(r"(\d+)([smh])", value):
            wanted[key] = int(span[1]) * SECONDS[span[2]]
        elif key == "notes_url":
            (wanted[key],) = re.findall(rf'^\s*const {value} = "(.+)"$', SERVICES_CONF, re.MULTILINE)
        else:
            wanted[key] = json.loads(value)
    made = dict(BASKET["ServiceTemplate"][name])
    assert made.pop("vars") == {
        key: json.loads(value) for key, value in re.findall(r"^\s*vars\.(\w+) = (.+)$", applied, re.MULTILINE)
    }
    rest = {"uuid", "object_name", "object_type", "fields", "use_agent"}
    assert {key: value for key, value in made.items() if key not in rest} == wanted
    assert made["check_command"] in BASKET["Command"]
    # What looks at the host itself runs there, by its agent.
    assert made.get("use_agent", False) == ("command_endpoint" in applied)


def openings() -> list[str]:
    return re.findall(r"^((?:template|apply) Service .*?) {\n", SERVICES_CONF, re.MULTILINE)
