"""The configuration file: its keys, its defaults, and the plans made from it."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from check_ssh_exchange.ending import Depth
from check_ssh_exchange.plan import Login
from check_ssh_exchange.remote.options import parse
from ssh_exchange_exporter.configuration.configuration import Configuration, load
from ssh_exchange_exporter.configuration.module import Module
from ssh_exchange_exporter.configuration.schedulers import Gearman, NagiosSpool
from ssh_exchange_exporter.configuration.yaml_document import dump
from ssh_exchange_exporter.configuration.yaml_document import parse as parse_yaml

from .configured import EXAMPLE, configured, errors, write


def test_without_a_file_with_an_empty_one_or_empty_keys_the_defaults_apply(tmp_path: Path) -> None:
    default = load(None)
    assert default == Configuration()
    assert configured(tmp_path, "") == default
    assert configured(tmp_path, "# nothing\n---\n") == default
    empty = "modules:\n  default:\n    timeout:\n    login:\nbackground:\nbudget:\n  handshakes:\n"
    assert configured(tmp_path, empty) == default
    assert list(default.modules) == ["default"]
    assert default.budget.handshakes == 15
    assert default.budget.per_second == 1.0
    assert default.max_in_flight == 256


def test_the_default_module_always_exists_and_can_be_changed(tmp_path: Path) -> None:
    assert configured(tmp_path, "modules: {a: {handshakes: 2}}").modules == {
        "default": Module(),
        "a": Module(handshakes=2),
    }
    assert configured(tmp_path, "modules: {default: {handshakes: 2}}").modules == {"default": Module(handshakes=2)}


def test_a_default_module_does_what_the_plugin_does_without_options() -> None:
    plugin = parse(["-H", "host"])
    assert Module().plan(10.0) == plugin.plan
    ours, theirs = Module().expectations(), plugin.expectations
    assert (ours.states, ours.versions) == (theirs.states, theirs.versions)
    assert ours.thresholds.critical == theirs.thresholds.critical
    in_both = {label: spec for label, spec in theirs.thresholds.warning.items() if label != "early_close_window"}
    assert ours.thresholds.warning == in_both


def test_a_module_becomes_a_plan_and_expectations(tmp_path: Path) -> None:
    write(tmp_path, "", "key")
    module = configured(
        tmp_path,
        """
modules:
  a:
    handshakes: 9
    concurrency: 3
    depth: login
    timeout: 1m500ms
    ip_protocol: all
    source_addresses: [127.0.0.1, 127.0.0.2]
    exempt: true
    expected_version: OpenSSH_9.2p1
    thresholds: {warning: {banner_p50: "0:2.5", failed: 10}, critical: {early_close: "~:"}}
    states: {closed: OK, maxstartups: critical}
    login: {user: probe, identity_file: key}
""",
    ).modules["a"]
    plan = module.plan(30.0, trace=True)
    assert (plan.handshakes, plan.concurrency, plan.depth, plan.timeout) == (9, 3, Depth.LOGIN, 30.0)
    assert (plan.family, plan.all_addresses) == ("ipv4", True)  # the sources' family
    assert plan.sources == ("127.0.0.1", "127.0.0.2")
    assert (plan.exempt, plan.trace) == (True, True)
    assert plan.login == Login("probe", str(tmp_path / "key"), None)
    assert module.plan(1000.0).timeout == 60.5
    expected = module.expectations()
    assert expected.thresholds.warning == {"early_close": "0", "banner_p50": "0:2.5", "failed": "10"}
    assert expected.thresholds.critical == {"early_close": "~:", "banner_p50": "5"}
    assert expected.states == {"closed": "ok", "maxstartups": "critical"}
    assert expected.versions == ("OpenSSH_9.2p1",)
    # What is the default was not asked for; it is softened where our own burst explains a run.
    assert expected.explicit == {"failed", "early_close", "banner_p50"}
    assert Module.model_validate({}).expectations().explicit == frozenset()
    assert expected.slow_after == 2.5


@pytest.mark.parametrize(
    ("spec", "seconds"), [("1", 1.0), (0.25, 0.25), ("~:3", 3.0), ("1:4", 4.0), ("@1:4", 1.0), ("2:", 1.0), ("~:", 1.0)]
)
def test_slow_begins_where_the_warning_range_of_the_median_banner_ends(spec: object, seconds: float) -> None:
    module = Module.model_validate({"thresholds": {"warning": {"banner_p50": spec}}})
    assert module.expectations().slow_after == seconds


@pytest.mark.parametrize(
    ("word", "family", "is_all"),
    [("any", "any", False), ("ip4", "ipv4", False), ("ip6", "ipv6", False), ("all", "any", True)],
)
def test_ip_protocol_picks_the_family(word: str, family: str, is_all: bool) -> None:
    plan = Module.model_validate({"ip_protocol": word}).plan(1.0)
    assert (plan.family, plan.all_addresses) == (family, is_all)


def test_an_identity_is_used_at_the_depths_that_need_it() -> None:
    login = {"user": "u", "identity_file": "/i", "known_hosts_file": "/k"}
    used = {depth: Module.model_validate({"depth": depth, "login": login}).plan(1.0).login for depth in Depth}
    assert used == {
        Depth.BANNER: Login(),
        Depth.KEXINIT: Login(),
        Depth.HOSTKEY: Login(known_hosts="/k"),
        Depth.KEX: Login(known_hosts="/k"),
        Depth.LOGIN: Login("u", "/i", "/k"),
    }


def test_many_handshakes_are_valid_and_limited_by_the_budget() -> None:
    assert Module(handshakes=1000).plan(1.0).handshakes == 1000


def test_relative_paths_start_at_the_directory_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "etc [x]"
    odd.mkdir()
    write(odd, "", "key")
    write(odd, "modules: {a: {login: {identity_file: key}}}\nbackground: [{target_files: [t/*.json, /srv/a.yml]}]\n")
    monkeypatch.chdir(tmp_path)
    found = load("etc [x]/config.yml")
    assert found.modules["a"].login.identity_file == str(odd / "key")
    assert found.background[0].target_files == (str(tmp_path / "etc [[]x]" / "t/*.json"), "/srv/a.yml")


def test_anchors_and_merges_share_what_modules_have_in_common(tmp_path: Path) -> None:
    text = "modules:\n  a: &a {handshakes: 3, depth: kex}\n  b:\n    <<: *a\n    handshakes: 4\n  c: *a\n"
    modules = configured(tmp_path, text).modules
    assert (modules["b"].handshakes, modules["b"].depth) == (4, Depth.KEX)
    assert modules["c"] == modules["a"]
    wrong = "modules:\n  a: &a\n    handshakes: 0\n  b:\n    <<: *a\n"
    assert errors(tmp_path, wrong) == [
        "config.yml:3: modules.a.handshakes: must be at least 1",
        "config.yml:3: modules.b.handshakes: must be at least 1",
    ]


def test_yaml_is_that_of_version_1_2() -> None:
    document = parse_yaml(
        "x", "a: yes\nb: 017\nc: 0o17\nd: 1e3\ne: 2024-01-01\nf: .inf\ng: ~\nh: 0x1f\n12: 1\n'<<': 5\n"
    )
    infinite = float("inf")
    assert document.value == {
        "a": "yes", "b": 17, "c": 15, "d": 1000.0, "e": "2024-01-01", "f": infinite, "g": None, "h": 31, "12": 1,
        "<<": 5,
    }  # fmt: skip


def test_a_document_knows_the_line_of_each_path_or_of_its_nearest_parent() -> None:
    document = parse_yaml("x", "a:\n  b:\n    - 1\n    - c: 2\n")
    assert document.value == {"a": {"b": [1, {"c": 2}]}}
    assert [document.line(place) for place in (("a",), ("a", "b"), ("a", "b", 0), ("a", "b", 1, "c", "d"), ())] == [
        1, 2, 3, 4, 1,
    ]  # fmt: skip


def test_a_target_may_be_given_twice_with_different_labels(tmp_path: Path) -> None:
    text = "background:\n- {targets: [a], labels: {x: '1'}}\n- {targets: [a], labels: {x: '2'}}\n- {targets: [a]}\n"
    assert len(configured(tmp_path, text).background) == 3


def example(tmp_path: Path) -> Configuration:
    (tmp_path / "keys").mkdir()
    write(tmp_path, "", "keys/id_ed25519")
    write(tmp_path, "", "keys/known_hosts")
    write(tmp_path, "a secret\n", "keys/mod_gearman")
    (tmp_path / "spool").mkdir()
    return configured(tmp_path, EXAMPLE.read_text())


def test_the_example_loads_and_names_every_key(tmp_path: Path) -> None:
    found = example(tmp_path)
    assert len(found.modules) == 5
    assert found.modules["default"] == Module(concurrency=4)
    assert [group.interval for group in found.background] == [60.0, 120.0]
    text = EXAMPLE.read_text()
    parts: list[type[BaseModel]] = [
        Configuration,
        Module,
        type(found.budget),
        type(found.background[0]),
        type(found.modules["login"].login),
        type(found.series),
        Gearman,
        NagiosSpool,
    ]
    missing = [key for part in parts for key in part.model_fields if f"{key}:" not in text]
    assert missing == []
    assert found.histogram_buckets == Configuration().histogram_buckets
    assert (found.budget, found.max_in_flight) == (Configuration().budget, Configuration().max_in_flight)


def test_the_effective_configuration_loads_as_an_equal_one(tmp_path: Path) -> None:
    found = example(tmp_path)
    (tmp_path / "other").mkdir()
    assert load(write(tmp_path / "other", found.to_yaml())) == found  # from another directory
    assert load(write(tmp_path, Configuration().to_yaml())) == Configuration()
    assert "timeout: 10s\n" in Configuration().to_yaml()


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_dumped_values_are_parsed_as_equal_ones(value: dict[str, object]) -> None:
    text = dump(value)
    assert text.replace("\n", "").isprintable()
    assert parse_yaml("x", text).value == value


def test_a_module_name_of_any_printable_characters_is_written_and_read(tmp_path: Path) -> None:
    for name in ("\U0001f512" * 127 + ":", "\U0001f512" * 127, "\u00fc: #"):
        found = Configuration.model_validate({"modules": {name: {"handshakes": 2, "expected_version": "\u202e"}}})
        assert configured(tmp_path, found.to_yaml()) == found
        assert found.to_yaml().replace("\n", "").isprintable()


def test_two_thousand_modules_are_read_and_shown_in_time(tmp_path: Path) -> None:
    begun = time.process_time()
    found = configured(
        tmp_path, "modules:\n" + "".join(f"  m{n}: {{handshakes: 5, depth: kex}}\n" for n in range(2000))
    )
    found.to_yaml()
    assert len(found.modules) == 2001
    assert time.process_time() - begun < 30
