"""contrib/icinga2/director-basket.json in real Directors: restored, read back, deployed to a real Icinga, checked.

Once in the Director that is installed here, and once in a newer one of Debian; each has a database of its own.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from contrib.generate import COMMANDS
from tests.lab import chroots, icinga, mariadb
from tests.lab.daemons import CONTRIB, ENVIRONMENT, Installation
from tests.lab.director import INSTALLED, NEWER, PACKAGES, UNPACKED_AS, Deployed, Director, newer
from tests.lab.mariadb import MariaDb
from tests.lab.monitored import LINES, STATES, need

pytestmark = pytest.mark.real

BY_NAME = pytest.mark.parametrize("command", [command.name for command in COMMANDS])
DATATYPE = "Icinga\\Module\\Director\\DataType\\DataType"
TEMPLATES = {"ssh-exchange-service": "ssh_exchange", "sshd-local-service": "sshd_local"}
HOST = {"address": "127.0.0.1", "address6": "::1", "check_command": "dummy"}


class Restored(NamedTuple):
    """A Director that has restored the basket which is for its version."""

    director: Director
    has_uuids: bool
    text: str

    @property
    def basket(self) -> dict[str, dict[str, dict[str, Any]]]:
        made: dict[str, dict[str, dict[str, Any]]] = json.loads(self.text)
        return made


def text_of(*, has_uuids: bool) -> str:
    return (CONTRIB / "icinga2" / f"director-basket{'' if has_uuids else '-1.10'}.json").read_text("utf-8")


@pytest.fixture(scope="module")
def database(plugin: Installation) -> Iterator[MariaDb]:
    need(mariadb.PACKAGES | icinga.PACKAGES | PACKAGES)
    with mariadb.mariadb(plugin.directory("mariadb")) as server:
        yield server


@pytest.fixture(scope="module", params=["installed", NEWER])
def restored(
    request: pytest.FixtureRequest, database: MariaDb, plugin: Installation, servers: dict[str, int]
) -> Iterator[Restored]:
    """A Director, with an Icinga that it knows, after one restore."""
    if request.param == NEWER and (reason := chroots.missing([UNPACKED_AS])):
        pytest.skip(reason)
    root = INSTALLED if request.param == "installed" else newer()
    with Director(root, database, plugin, f"director-{request.param}").with_icinga() as director:
        has_uuids = director.version >= (1, 11)
        text = text_of(has_uuids=has_uuids)
        director.restore(text)
        yield Restored(director, has_uuids, text)


def test_a_second_restore_changes_nothing(restored: Restored) -> None:
    director = restored.director
    before = director.checksums()
    assert director.rows("COUNT(*)", "FROM director_datafield") == [[len(restored.basket["Datafield"])]]
    director.restore(restored.text)
    assert director.checksums() == before
    changed = restored.text.replace("TCP port (22)", "TCP port, another text")
    director.restore(changed)
    assert director.checksums() != before
    director.restore(restored.text)
    # By its UUID a field is changed in place. Director 1.10 knows it by all that it has, and makes another one.
    more = 0 if restored.has_uuids else 1
    assert director.rows("COUNT(*)", "FROM director_datafield") == [[len(restored.basket["Datafield"]) + more]]
    shown = director.rows("COUNT(*)", "FROM icinga_command_field")
    assert shown == [[len(restored.basket["Datafield"])]]


def test_the_uuids_are_those_of_the_basket_and_director_1_10_takes_none(restored: Restored) -> None:
    if not restored.has_uuids:
        assert restored.director.name != UNPACKED_AS
        before = restored.director.checksums()
        code, out = restored.director.attempt("basket", "restore", stdin=text_of(has_uuids=True))
        assert (code, "ERROR" in out) == (1, True), out
        assert restored.director.checksums() == before
        return
    tables = {
        "Command": ("icinga_command", "object_name"),
        "ServiceTemplate": ("icinga_service", "object_name"),
        "Datafield": ("director_datafield", "varname"),
        "DataList": ("director_datalist", "list_name"),
    }
    for kind, (table, name) in tables.items():
        kept = dict(restored.director.rows(f"{name}, LOWER(HEX(uuid))", f"FROM {table}"))
        wanted = {item[name]: item["uuid"].replace("-", "") for item in restored.basket[kind].values()}
        assert {key: kept.get(key) for key in wanted} == wanted


@BY_NAME
def test_the_director_has_the_command_as_it_was_written(restored: Restored, command: str) -> None:
    shown, wanted = restored.director.show("command", command), restored.basket["Command"][command]
    for key in ("arguments", "vars", "command", "methods_execute", "object_type"):
        assert shown[key] == wanted[key], key


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_director_has_the_template_as_it_was_written(restored: Restored, name: str) -> None:
    shown, wanted = restored.director.show("service", name), restored.basket["ServiceTemplate"][name]
    for key in wanted:
        if key not in ("uuid", "fields"):  # Director 1.10 shows numbers as text
            assert shown[key] in (wanted[key], str(wanted[key])), key
    assert wanted["check_command"] == TEMPLATES[name]


@BY_NAME
def test_the_director_shows_a_field_for_every_option(restored: Restored, command: str) -> None:
    rows = restored.director.rows(
        "f.id, f.varname, f.caption, f.description, f.datatype, c.category_name, cf.is_required",
        "FROM icinga_command_field cf JOIN icinga_command o ON o.id = cf.command_id"
        " JOIN director_datafield f ON f.id = cf.datafield_id"
        f" JOIN director_datafield_category c ON c.id = f.category_id WHERE o.object_name = '{command}'",
    )
    settings = restored.director.rows("datafield_id, setting_name, setting_value", "FROM director_datafield_setting")
    lists = dict(restored.director.rows("CAST(id AS CHAR), list_name", "FROM director_datalist"))
    shown = {}
    for number, variable, caption, description, datatype, category, is_required in rows:
        assert is_required == "n"
        kept = {key: value for field, key, value in settings if field == number}
        if "datalist_id" in kept:
            kept["datalist"] = lists[kept.pop("datalist_id")]
        shown[variable] = (caption, description, datatype, category, kept)
    wanted = {}
    for field in restored.basket["Command"][command]["fields"]:
        made = restored.basket["Datafield"][str(field["datafield_id"])]
        wanted[made["varname"]] = (
            *(made[key] for key in ("caption", "description", "datatype", "category")),
            made["settings"],
        )
    assert shown == wanted
    assert len(rows) == len(wanted)


def test_the_lists_have_their_entries(restored: Restored) -> None:
    rows = restored.director.rows(
        "l.list_name, e.entry_name", "FROM director_datalist l JOIN director_datalist_entry e ON e.list_id = l.id"
    )
    assert sorted(map(tuple, rows)) == sorted(
        (name, entry["entry_name"]) for name, made in restored.basket["DataList"].items() for entry in made["entries"]
    )


@pytest.mark.parametrize("name", TEMPLATES)
def test_icinga_webs_form_offers_every_field(restored: Restored, name: str) -> None:
    with restored.director.web() as page:
        form = page(f"/director/service?name={name}")
    labels = dict(re.findall(r'<label for="var_(\w+)"[^>]*>\s*([^<]+?)\s*<', form))
    inputs = dict(re.findall(r'<input type="text"[^>]* name="var_(\w+)(\[\])?"', form))
    selects = {
        variable: (is_list, [entry for entry in re.findall(r'<option value="([^"]*)"', options) if entry])
        for variable, is_list, options in re.findall(
            r'<select[^>]* name="var_(\w+)(\[\])?"[^>]*>(.*?)</select>', form, re.DOTALL
        )
    }
    fields = [
        restored.basket["Datafield"][str(field["datafield_id"])]
        for field in restored.basket["Command"][TEMPLATES[name]]["fields"]
    ]
    assert labels == {field["varname"]: field["caption"] for field in fields}
    for field in fields:
        variable, kind = field["varname"], field["datatype"].removeprefix(DATATYPE)
        if kind == "Boolean":
            assert selects[variable] == ("", ["y", "n"])
        elif kind == "Datalist":
            entries = [
                entry["entry_name"] for entry in restored.basket["DataList"][field["settings"]["datalist"]]["entries"]
            ]
            is_list = "[]" if field["settings"]["data_type"] == "array" else ""
            assert selects[variable] == (is_list, sorted(entries))
        else:
            assert inputs[variable] == ("[]" if kind == "Array" else "")
    assert len(inputs) + len(selects) == len(fields)


@pytest.fixture(scope="module")
def deployed(restored: Restored, plugin: Installation, servers: dict[str, int]) -> Deployed:
    """Have the Director deploy a host with a service of each kind; every service has been checked once."""
    options = plugin.home / "options.ini"
    options.write_text("[bastion]\nhandshakes=2\n")
    states = str(plugin.directory(f"states-{restored.director.name}"))
    services: dict[str, dict[str, object]] = {
        "healthy": {"port": servers["healthy"], "state_file": states},
        "throttled": {"port": servers["throttled"], "state_file": states},
        "six": {"port": servers["six"], "ipv6": True},
        "given": {"port": servers["fake"], "address": "localhost", "ipv4": True},
        "file": {"port": servers["fake"], "extra_opts": f"bastion@{options}", "verbose": False},
        "arrays": {
            "port": servers["fake"],
            "handshakes": 3,
            "timeout": "7.5",
            "depth": "banner",
            "warning": ["banner_p50=3", "connect_p50=@1:2.5"],
            "source": ["127.0.0.1", "127.0.0.2"],
            "remote_version": ["FakeSSH_1.0", "it's a $$HOME"],
            "all_addresses": True,
            "exempt": True,
            "verbose": False,
        },
    }
    director = restored.director
    director.create("host", icinga.NODE, **HOST)
    for name, variables in services.items():
        given = {"state_file": f"{states}/{name}", **variables}
        named = {f"ssh_exchange_{key}": value for key, value in given.items()}
        director.create("service", name, host=icinga.NODE, imports=["ssh-exchange-service"], vars=named)
    snapshot = plugin.home / f"snapshot-{director.name}"
    read = subprocess.run([plugin.local, "--collect"], env=ENVIRONMENT, capture_output=True, check=True, timeout=100)
    snapshot.write_bytes(read.stdout)
    local = {"only": ["memory", "processes"], "sudo": False, "snapshot": str(snapshot)}
    named = {f"sshd_local_{key}": value for key, value in local.items()}
    director.create("service", "local", host=icinga.NODE, imports=["sshd-local-service"], vars=named)
    made = director.deploy()
    assert made.status == 0, made.log
    director.check([*services, "local"])
    return made


def words(restored: Restored, name: str) -> list[str]:
    """Return the arguments that Icinga gave the plugin, without those of the state file."""
    given: list[str] = restored.director.services[name]["last_check_result"]["command"][1:]
    if "--state-file" in given:
        at = given.index("--state-file")
        del given[at : at + 2]
    return given


def printed_as(restored: Restored, plugin: Installation, name: str, program: str = "check_ssh_exchange") -> str:
    """Return the status line of a service, which Icinga has as the plugin printed it."""
    said = restored.director.services[name]["last_check_result"]
    printed = plugin.printed(said["command"][1:], program)
    assert said["output"].split("\n")[0] == f"{printed.text} "
    assert said["performance_data"] == printed.perfdata.split(" ")
    return printed.text


@pytest.mark.parametrize("name", ["healthy", "throttled"])
def test_a_service_of_the_template_has_the_state_of_its_server(
    restored: Restored, deployed: Deployed, plugin: Installation, name: str
) -> None:
    assert re.fullmatch(LINES[name], printed_as(restored, plugin, name), re.ASCII)
    service = restored.director.services[name]
    assert service["last_check_result"]["exit_status"] == STATES[name]
    template = restored.basket["ServiceTemplate"]["ssh-exchange-service"]
    for key in (
        "check_command",
        "check_interval",
        "retry_interval",
        "max_check_attempts",
        "check_timeout",
        "notes_url",
    ):
        assert service[key] == template[key], key


def test_a_service_for_the_host_itself_runs_there(restored: Restored, deployed: Deployed, plugin: Installation) -> None:
    line = printed_as(restored, plugin, "local", "check_sshd_local")
    assert line.startswith("SSHD ")
    assert restored.director.services["local"]["command_endpoint"] == icinga.NODE
    snapshot = f"{plugin.home}/snapshot-{restored.director.name}"
    assert words(restored, "local") == ["--only", "memory", "--only", "processes", "--snapshot", snapshot, "-v"]


def test_icinga_passes_the_values_of_the_fields(
    restored: Restored, deployed: Deployed, plugin: Installation, servers: dict[str, int]
) -> None:
    ports = {name: str(port) for name, port in servers.items()}
    assert words(restored, "healthy") == ["--hostname", HOST["address"], "--port", ports["healthy"], "-v"]
    assert words(restored, "six") == ["--hostname", HOST["address6"], "--port", ports["six"], "--use-ipv6", "-v"]
    assert words(restored, "given") == ["--hostname", "localhost", "--port", ports["fake"], "--use-ipv4", "-v"]
    options = f"--extra-opts=bastion@{plugin.home}/options.ini"
    assert words(restored, "file") == [options, "--hostname", HOST["address"], "--port", ports["fake"]]
    assert words(restored, "arrays") == [
        *("--all-addresses", "--depth", "banner", "--exempt", "--handshakes", "3", "--hostname", HOST["address"]),
        *("--port", ports["fake"], "--remote-version", "FakeSSH_1.0", "--remote-version", "it's a $HOME"),
        *("--source", "127.0.0.1", "--source", "127.0.0.2", "--timeout", "7.5"),
        *("--warning", "banner_p50=3", "--warning", "connect_p50=@1:2.5"),
    ]
    for name, asked in (("six", 5), ("given", 5), ("file", 2), ("arrays", 3)):
        assert f" {asked}/{asked} handshakes" in printed_as(restored, plugin, name)


def test_icinga_accepts_what_the_director_renders_and_would_not_accept_a_wrong_one(
    restored: Restored, deployed: Deployed
) -> None:
    director = restored.director
    code, output = director.icinga.validate()
    assert (code, re.findall(r"(?:warning|critical)/.*", output)) == (0, [])
    rendered = deployed.files["zones.d/director-global/commands.conf"]
    for command in restored.basket["Command"].values():
        assert f'object CheckCommand "{command["object_name"]}" {{' in rendered
        for word in command["arguments"]:
            assert f'"{word}" = {{' in rendered
    director.restore(restored.text.replace("PluginContribDir", "PluginContribDirs"))
    wrong = director.deploy()
    assert wrong.status == 1
    assert "Tried to access undefined script variable 'PluginContribDirs'" in wrong.log
    director.restore(restored.text)
