"""The configuration file: what it may say, and the exact words of what is wrong with it."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from check_ssh_exchange.ending import Depth
from check_ssh_exchange.options import parse
from check_ssh_exchange.probe.plan import Login, Target
from ssh_exchange_exporter.configuration.allowed import Allowed
from ssh_exchange_exporter.configuration.configuration import Configuration, load
from ssh_exchange_exporter.configuration.duration import seconds_of, text_of
from ssh_exchange_exporter.configuration.fault import MAX_ERRORS, ConfigurationFault
from ssh_exchange_exporter.configuration.module import Module
from ssh_exchange_exporter.configuration.target import parse_target
from ssh_exchange_exporter.configuration.yaml_file import parse as parse_yaml
from ssh_exchange_exporter.configuration.yaml_file import read
from ssh_exchange_exporter.configuration.yaml_text import yaml_of

EXAMPLE = Path(__file__).parents[2] / "exporter" / "example.yml"


def write(directory: Path, text: str | bytes, name: str = "config.yml") -> str:
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def configured(directory: Path, text: str) -> Configuration:
    return load(write(directory, text))


def errors(directory: Path, text: str | bytes) -> list[str]:
    """The errors of a file, with its directory left out."""
    path = write(directory, text)
    with pytest.raises(ConfigurationFault) as caught:
        load(path)
    return [error.replace(path, "config.yml") for error in caught.value.errors]


# --- one mistake each

THIRD = "modules:\n  first: {}\n  third:\n    depth: kex\n    "

MISTAKES = {
    # the module
    THIRD + "handshakes: 0": "5: modules.third.handshakes: should be at least 1",
    THIRD + "handshakes: 1001": "5: modules.third.handshakes: should be at most 1000",
    THIRD + "handshakes: '5'": "5: modules.third.handshakes: should be a whole number",
    THIRD + "handshakes: true": "5: modules.third.handshakes: should be a whole number",
    THIRD + "handshakes: 2.5": "5: modules.third.handshakes: should be a whole number",
    THIRD + "concurrency: 0": "5: modules.third.concurrency: should be at least 1",
    THIRD + "timout: 5s": "5: modules.third.timout: is no key that is known here; timeout is",
    THIRD + "timeout: 10": "5: modules.third.timeout: should have a unit, as in 10s",
    THIRD + "timeout: 2.5": "5: modules.third.timeout: should have a unit, as in 2s500ms",
    THIRD + "timeout: 0.5s": "5: modules.third.timeout: should be whole numbers, as in 500ms",
    THIRD + "timeout: 0": "5: modules.third.timeout: should be at least 1ms",
    THIRD + "timeout: 601s": "5: modules.third.timeout: should be at most 10m",
    THIRD + "timeout: soon": "5: modules.third.timeout: should be a duration, as in 30s, 1h30m or 500ms",
    THIRD + "timeout: [10s]": "5: modules.third.timeout: should be a duration, as in 30s, 1h30m or 500ms",
    THIRD + "exempt: yes": "5: modules.third.exempt: should be true or false",
    THIRD + "ip_protocol: ipv4": "5: modules.third.ip_protocol: should be any, ip4, ip6 or all",
    THIRD + "source_addresses: 192.0.2.1": "5: modules.third.source_addresses: should be a list",
    THIRD + "source_addresses: [localhost]": "5: modules.third.source_addresses[0]: should be an IPv4 or IPv6 address",
    THIRD + "source_addresses: [127.0.0.1, 127.0.0.1]": "5: modules.third.source_addresses: has 127.0.0.1 twice",
    THIRD
    + "source_addresses: [127.0.0.1, '::1']": "5: modules.third.source_addresses: should be addresses of one family",
    THIRD + "source_addresses: [127.0.0.1, 127.0.0.2, 127.0.0.3]": (
        "5: modules.third.source_addresses: should have at most 2 entries"
    ),
    THIRD + "expected_version: 9.2": "5: modules.third.expected_version: should be a list",
    THIRD + "expected_version: [9.2]": "5: modules.third.expected_version[0]: should be a text: put it in quotes",
    THIRD + "thresholds: {warning: {banner_p50: fast}}": (
        "5: modules.third.thresholds.warning.banner_p50: 'fast' is no Nagios range, as in 5, 1:5, ~:5, 5: or @1:5"
    ),
    THIRD + "thresholds:\n      critical:\n        failed: true": (
        "7: modules.third.thresholds.critical.failed: should be a Nagios range, as in 5, 1:5, ~:5, 5: or @1:5"
    ),
    THIRD + "thresholds: {warn: {}}": "5: modules.third.thresholds.warn: is no key that is known here; warning is",
    THIRD + "states: {closed: red}": "5: modules.third.states.closed: should be ok, warning, critical or unknown",
    THIRD + "login: {key: x}": (
        "5: modules.third.login.key: is no key that is known here; these are: user, identity_file, known_hosts_file"
    ),
    THIRD + "login: {identity_file: none}": (
        "5: modules.third.login.identity_file: cannot be read: no such file or directory"
    ),
    "modules:\n  a: {depth: login}": "2: modules.a: depth login needs login.user and login.identity_file",
    "modules:\n  a: {depth: deep}": "2: modules.a.depth: should be banner, kexinit, kex or login",
    "modules:\n  a: {source_addresses: [127.0.0.1], ip_protocol: ip6}": (
        "2: modules.a: source_addresses and ip_protocol do not have one address family in common"
    ),
    "modules:\n  a: 5": "2: modules.a: should be a mapping of keys to values",
    "modules: [a]": "1: modules: should be a mapping of keys to values",
    'modules:\n  "a\\nb": {}': "2: modules.a / b: should be a name of 1 to 128 printable characters",
    # the groups
    "background:\n- module: third": "2: background[0].module: there is no module third",
    "background:\n- interval: 999ms": "2: background[0].interval: should be at least 1s",
    "background:\n- targets: a": "2: background[0].targets: should be a list",
    "background:\n- targets:\n  - a\n  - ssh://b": "4: background[0].targets[1]: leave out ssh:// and write b",
    "background:\n- targets: [22]": "2: background[0].targets[0]: should be a text: put it in quotes",
    "background:\n- targets: [a, b]\n- targets: [c]\n- targets:\n  - a": (
        "5: background[2].targets[0]: a is given twice with the same labels, first in line 2"
    ),
    "background:\n- target_files: [a.txt]": "2: background[0].target_files[0]: should end in .json, .yml or .yaml",
    "background:\n- labels: {le: x}": (
        "2: background[0].labels.le: is the name of a label that the exporter sets itself"
    ),
    "background:\n- labels: {__x: x}": "2: background[0].labels.__x: begins with __, which Prometheus keeps for itself",
    "background:\n- labels: {a-b: x}": (
        "2: background[0].labels.a-b: is no label name: letters, digits and _ only, at most 128, and no digit in front"
    ),
    "background:\n- labels:\n    rack: 12": "3: background[0].labels.rack: should be a text: put it in quotes",
    "background: {targets: [a]}": "1: background: should be a list",
    # the rest
    "budget: {handshakes: 0}": "1: budget.handshakes: should be at least 1",
    "budget: {per_second: 0}": "1: budget.per_second: should be above 0",
    "budget: {per_second: .nan}": "1: budget.per_second: should be a finite number",
    "max_in_flight: 10001": "1: max_in_flight: should be at most 10000",
    "histogram_buckets: [1, 1]": "1: histogram_buckets: should rise, and 1 comes after 1",
    "histogram_buckets: []": "1: histogram_buckets: should have at least 1 entries",
    "histogram_buckets:\n- 0\n- 1": "2: histogram_buckets[0]: should be above 0",
    f"histogram_buckets: {list(range(1, 66))}": "1: histogram_buckets: should have at most 64 entries",
    "allowed_targets: [10.0.0.1/8]": (
        "1: allowed_targets[0]: 10.0.0.1/8 has bits set behind its prefix, write 10.0.0.0/8"
    ),
    "\n\nmodule: {}": "3: module: is no key that is known here; modules is",
    "- 1": "1: should be a mapping of keys to values",
    # YAML
    "modules:\n  a: {}\n  b: {}\n  a: {}": "4: modules.a: is given twice, first in line 2",
    "a: [1": "1: is no valid YAML: expected ',' or ']', but got '<stream end>' (while parsing a flow sequence)",
    "a: b: c": "1: is no valid YAML: mapping values are not allowed here",
    "budget: *x": "1: is no valid YAML: found undefined alias 'x'",
    "max_in_flight: !!python/object:os.system 1": (
        "1: max_in_flight: has a tag, tag:yaml.org,2002:python/object:os.system, that is not for here"
    ),
    "budget: {}\n---\nbudget: {}": "2: a second document begins, only one is read",
    "budget: {}\n\x01": "2: holds a character that YAML does not allow",
    "[" * 5000: "1: is nested too deeply",
    "&a [*a]": "1: is nested too deeply",
    'background:\n- labels:\n    a: "\\ud800"': "3: background[0].labels.a: is no text: it has half a surrogate pair",
}


@pytest.mark.parametrize(("text", "sentence"), MISTAKES.items(), ids=[str(at) for at in range(len(MISTAKES))])
def test_a_mistake_is_named_with_file_line_path_and_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    assert errors(tmp_path, text) == [f"config.yml:{sentence}"]


@pytest.mark.parametrize("key", ["thresholds: {warning: {banner: 1}}", "states: {open: ok}"])
def test_a_word_that_is_none_of_ours_is_answered_with_all_of_ours(tmp_path: Path, key: str) -> None:
    (error,) = errors(tmp_path, THIRD + key)
    assert "; these are: " in error
    assert ("banner_p50" in error) != ("maxstartups" in error)


def test_a_threshold_on_the_window_is_refused_because_it_would_never_be_reached(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, "modules: {a: {thresholds: {warning: {early_close_window: 1}}}}")
    assert error.startswith("config.yml:1: modules.a.thresholds.warning.early_close_window: is no figure of a run")


@pytest.mark.parametrize("data", [b"budget: {}\n# \xff", b"\n# \xe9t\xe9", "\n# é".encode("utf-16-le") + b"\xff"])
def test_other_encodings_than_utf8_are_refused(tmp_path: Path, data: bytes) -> None:
    (error,) = errors(tmp_path, data)
    assert error.endswith((": is not UTF-8", ": holds a character that YAML does not allow"))


def test_a_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    assert load(write(tmp_path, b"\xef\xbb\xbfmax_in_flight: 9")).max_in_flight == 9


def test_a_missing_file_a_directory_and_a_large_file_are_refused(tmp_path: Path) -> None:
    large = write(tmp_path, b"#" * ((1 << 20) + 1))
    for path, sentence in (
        (str(tmp_path / "none.yml"), "cannot be read: no such file or directory"),
        (str(tmp_path), "cannot be read: is a directory"),
        ("a\0b", r"cannot be read: embedded null byte"),
        (large, "is larger than 1 MiB"),
    ):
        with pytest.raises(ConfigurationFault) as caught:
            load(path)
        assert caught.value.errors == (f"{path}: {sentence}".replace("\0", r"\x00"),)


# --- many mistakes at once


def test_all_errors_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """
modules:
  a: {handshakes: 0, thresholds: {warning: {nothing: 1}}}
  b: {depth: login}
  a: {timeout: 5}
background:
  - module: c
    interval: 1
    targets: [x, "", x]
    labels: {phase: a}
budgets: {}
"""
    found = errors(tmp_path, text)
    assert [error.split(": ")[:2] for error in found] == [
        ["config.yml:3", "modules.a.handshakes"],
        ["config.yml:3", "modules.a.thresholds.warning.nothing"],
        ["config.yml:4", "modules.b"],
        ["config.yml:5", "modules.a"],
        ["config.yml:7", "background[0].module"],
        ["config.yml:8", "background[0].interval"],
        ["config.yml:9", "background[0].targets[2]"],
        ["config.yml:9", "background[0].targets[1]"],
        ["config.yml:10", "background[0].labels.phase"],
        ["config.yml:11", "budgets"],
    ]


def test_every_duplicate_key_is_located(tmp_path: Path) -> None:
    assert errors(tmp_path, "budget: {}\nbudget: {}\nmodules:\n  a:\n    depth: kex\n    depth: kex\nbudget: {}") == [
        "config.yml:2: budget: is given twice, first in line 1",
        "config.yml:6: modules.a.depth: is given twice, first in line 5",
        "config.yml:7: budget: is given twice, first in line 1",
    ]


def test_errors_are_printable_whatever_the_file_says(tmp_path: Path) -> None:
    found = errors(tmp_path, 'modules: {"\\e[2J\\n": {"é\\x9b": 1, timeout: "\\u202e"}}\nbackground: [{module: "\\r"}]')
    assert len(found) == 4
    assert all(error.isascii() and error.isprintable() for error in found)


def test_thousands_of_errors_are_counted_and_not_shown(tmp_path: Path) -> None:
    found = errors(tmp_path, f"background:\n- targets: [{', '.join(['a@b'] + [f'{n}@b' for n in range(999)])}]")
    assert len(found) == MAX_ERRORS + 1
    assert found[-1] == f"{1000 - MAX_ERRORS} more errors are not shown"


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 20)
)
MERGE_BOMB = "m0: &m0 {handshakes: 1}\n" + "".join(f"m{n}: &m{n}\n  <<: [*m{n - 1}, *m{n - 1}]\n" for n in range(1, 30))


@pytest.mark.parametrize("text", [BOMB, MERGE_BOMB])
def test_aliases_that_grow_exponentially_are_refused(tmp_path: Path, text: str) -> None:
    assert errors(tmp_path, text) == ["config.yml: aliases repeat too much"]


# --- what is read


def test_without_a_file_an_empty_file_or_empty_keys_the_defaults_stand(tmp_path: Path) -> None:
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


def test_the_default_module_is_there_beside_others_and_can_be_changed(tmp_path: Path) -> None:
    assert configured(tmp_path, "modules: {a: {handshakes: 2}}").modules == {
        "default": Module(),
        "a": Module(handshakes=2),
    }
    assert configured(tmp_path, "modules: {default: {handshakes: 2}}").modules == {"default": Module(handshakes=2)}


def test_a_default_module_does_what_the_plugin_does_without_options() -> None:
    plugin = parse(["-H", "host"])
    assert Module().plan(10.0) == plugin.plan
    ours, theirs = Module().expectations(), plugin.expected
    assert (ours.critical, ours.states, ours.versions) == (theirs.critical, theirs.states, theirs.versions)
    assert ours.warning == {label: spec for label, spec in theirs.warning.items() if label != "early_close_window"}


def test_a_module_becomes_the_plan_and_the_expectations_that_it_says(tmp_path: Path) -> None:
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
    assert expected.warning == {"early_close": "0", "banner_p50": "2.5", "failed": "10"}
    assert expected.critical == {"early_close": "~:", "banner_p50": "5"}
    assert expected.states == {"closed": "ok", "maxstartups": "critical"}
    assert expected.versions == ("OpenSSH_9.2p1",)
    assert "failed" in expected.explicit
    assert module.slow_after == 2.5


@pytest.mark.parametrize(
    ("spec", "seconds"), [("1", 1.0), (0.25, 0.25), ("~:3", 3.0), ("1:4", 4.0), ("@1:4", 1.0), ("2:", 1.0), ("~:", 1.0)]
)
def test_slow_begins_where_the_warning_range_of_the_median_banner_ends(spec: object, seconds: float) -> None:
    module = Module.model_validate({"thresholds": {"warning": {"banner_p50": spec}}})
    assert module.slow_after == seconds


@pytest.mark.parametrize(
    ("word", "family", "is_all"),
    [("any", "any", False), ("ip4", "ipv4", False), ("ip6", "ipv6", False), ("all", "any", True)],
)
def test_ip_protocol_picks_the_family(word: str, family: str, is_all: bool) -> None:
    plan = Module.model_validate({"ip_protocol": word}).plan(1.0)
    assert (plan.family, plan.all_addresses) == (family, is_all)


def test_an_identity_is_used_at_the_depths_that_have_a_use_for_it() -> None:
    login = {"user": "u", "identity_file": "/i", "known_hosts_file": "/k"}
    used = {depth: Module.model_validate({"depth": depth, "login": login}).plan(1.0).login for depth in Depth}
    assert used == {
        Depth.BANNER: Login(),
        Depth.KEXINIT: Login(),
        Depth.KEX: Login(known_hosts="/k"),
        Depth.LOGIN: Login("u", "/i", "/k"),
    }


def test_many_handshakes_are_legal_and_left_to_the_budget() -> None:
    assert Module(handshakes=1000).plan(1.0).handshakes == 1000


def test_paths_begin_at_the_directory_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        "config.yml:3: modules.a.handshakes: should be at least 1",
        "config.yml:3: modules.b.handshakes: should be at least 1",
    ]


def test_yaml_is_that_of_version_1_2() -> None:
    value, _ = parse_yaml(
        "x", "a: yes\nb: 017\nc: 0o17\nd: 1e3\ne: 2024-01-01\nf: .inf\ng: ~\nh: 0x1f\n12: 1\n'<<': 5\n"
    )
    infinite = float("inf")
    assert value == {
        "a": "yes", "b": 17, "c": 15, "d": 1000.0, "e": "2024-01-01", "f": infinite, "g": None, "h": 31, "12": 1,
        "<<": 5,
    }  # fmt: skip


def test_read_returns_the_value_and_knows_the_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a:\n  b:\n    - 1\n    - c: 2\n")
    value, locator = read(path)
    assert value == {"a": {"b": [1, {"c": 2}]}}
    assert [locator.line(place) for place in (("a",), ("a", "b"), ("a", "b", 0), ("a", "b", 1, "c", "d"), ())] == [
        1, 2, 3, 4, 1,
    ]  # fmt: skip


def test_the_same_target_may_come_twice_with_other_labels(tmp_path: Path) -> None:
    text = "background:\n- {targets: [a], labels: {x: '1'}}\n- {targets: [a], labels: {x: '2'}}\n- {targets: [a]}\n"
    assert len(configured(tmp_path, text).background) == 3


def example(tmp_path: Path) -> Configuration:
    (tmp_path / "keys").mkdir()
    write(tmp_path, "", "keys/id_ed25519")
    write(tmp_path, "", "keys/known_hosts")
    return configured(tmp_path, EXAMPLE.read_text())


def test_the_example_loads_and_names_every_key(tmp_path: Path) -> None:
    found = example(tmp_path)
    assert len(found.modules) == 4
    assert found.modules["default"] == Module(concurrency=4)
    assert [group.interval for group in found.background] == [60.0, 120.0]
    text = EXAMPLE.read_text()
    parts: list[type[BaseModel]] = [
        Configuration,
        Module,
        type(found.budget),
        type(found.background[0]),
        type(found.modules["login"].login),
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
def test_what_is_written_as_yaml_is_read_as_it_was(value: dict[str, object]) -> None:
    text = yaml_of(value)
    assert text.replace("\n", "").isprintable()
    assert parse_yaml("x", text)[0] == value


def test_a_module_name_of_any_printable_letters_is_written_and_read(tmp_path: Path) -> None:
    name = "\U0001f512" * 127 + ":"
    found = Configuration.model_validate({"modules": {name: {"handshakes": 2}}})
    assert configured(tmp_path, found.to_yaml()) == found


def test_two_thousand_modules_are_read_and_shown_in_time(tmp_path: Path) -> None:
    begun = time.process_time()
    found = configured(
        tmp_path, "modules:\n" + "".join(f"  m{n}: {{handshakes: 5, depth: kex}}\n" for n in range(2000))
    )
    found.to_yaml()
    assert len(found.modules) == 2001
    assert time.process_time() - begun < 30


# --- durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), (0, 0), (0.0, 0), ("0s", 0), ("500ms", 0.5), ("10s", 10), ("1h30m", 5400), ("1d", 86400), ("1w", 604800),
     ("1y", 31536000), ("1m1ms", 60.001), ("90s", 90)],
)  # fmt: skip
def test_a_duration_is_read_as_prometheus_reads_it(text: object, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [(text, "should be a duration, as in 30s, 1h30m or 500ms")
     for text in ("", "s", "1s1m", "-1s", "1 s", "1S", "10s\n", "\u0661s", "1" * 20 + "s",
                  None, True, float("inf"), -1)]
    + [("5", "as in 5s"), (90, "as in 1m30s"), ("0.5s", "as in 500ms"), ("1.5h", "as in 1h30m"),
       ("0.0001s", "as in 1ms"), (0.25, "as in 250ms")],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_what_would_be_one(text: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        seconds_of(text)


@settings(deadline=None)
@given(st.integers(0, 10**12))
def test_a_duration_written_is_the_duration_read(milliseconds: int) -> None:
    assert seconds_of(text_of(milliseconds / 1000)) == milliseconds / 1000


def test_durations_are_written_in_their_largest_units() -> None:
    texts = [text_of(seconds) for seconds in (0, 0.5, 1, 90, 5400, 86400, 604800, 31536000, 86401, 2.0004)]
    assert texts == ["0s", "500ms", "1s", "1m30s", "1h30m", "1d", "1w", "1y", "1d1s", "2s"]


# --- targets


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("host", "host", 22), ("Host.example.:2222", "Host.example.", 2222), ("192.0.2.1", "192.0.2.1", 22),
     ("192.0.2.1:1", "192.0.2.1", 1), ("[2001:db8::1]:65535", "2001:db8::1", 65535), ("[::1]", "::1", 22),
     ("::1", "::1", 22), ("2001:db8::1:22", "2001:db8::1:22", 22), ("fe80::1%eth0", "fe80::1%eth0", 22),
     ("[fe80::1%en.7]:23", "fe80::1%en.7", 23), ("b\u00fccher.example:22", "b\u00fccher.example", 22),
     ("_ssh._tcp.a", "_ssh._tcp.a", 22),
     ("3com.example", "3com.example", 22), ("a" * 63, "a" * 63, 22)],
)  # fmt: skip
def test_a_target_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert parse_target(text) == Target(host, port)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the target is empty"),
        (" a", "the target has a space or a control character in it"),
        ("a\n", "the target has a space or a control character in it"),
        ("a\0b", "the target has a space or a control character in it"),
        ("a\u202eb", "the target has a space or a control character in it"),
        ("a\ud800b", "the target has a space or a control character in it"),
        ("ssh://a:22", "leave out ssh:// and write a:22"),
        ("root@a:22", "leave out the user root@ and write a:22"),
        ("a:", "nothing is no port from 1 to 65535"),
        ("a:0", "0 is no port from 1 to 65535"),
        ("a:65536", "65536 is no port from 1 to 65535"),
        ("a:-1", "-1 is no port from 1 to 65535"),
        ("a:+1", "+1 is no port from 1 to 65535"),
        ("a:\u0662", r"\xd9\xa2 is no port from 1 to 65535"),
        ("a:000022", "000022 is no port from 1 to 65535"),
        ("a:ssh", "ssh is no port from 1 to 65535"),
        (":22", ":22 names no host"),
        ("[a]:22", "[a]:22 is no [IPv6 address]:port"),
        ("[::1", "[::1 is no [IPv6 address]:port"),
        ("[::1]22", "[::1]22 is no [IPv6 address]:port"),
        ("[::1]:", "nothing is no port from 1 to 65535"),
        ("[:]", ": is no host, host:port or IPv6 address"),
        ("a:1:2", "a:1:2 is no host, host:port or IPv6 address"),
        ("1::2::3", "1::2::3 is no host, host:port or IPv6 address"),
        ("fe80::1%", "nothing is no scope id of an IPv6 address"),
        ("fe80::1%" + "x" * 16, f"{'x' * 16} is no scope id of an IPv6 address"),
        ("a..b", "a..b is no valid host name"),
        ("-a", "-a is no valid host name"),
        ("a/b", "a/b is no valid host name"),
        ("a,b", "a,b is no valid host name"),
        ("a" * 64, f"{'a' * 64} is no valid host name"),
        ("\u00fc" * 64, None),
        ("127.1", "127.1 is no host name and no IPv4 address"),
        ("2130706433", "2130706433 is no host name and no IPv4 address"),
        ("0x7f000001", "0x7f000001 is no host name and no IPv4 address"),
        ("127.0.0.01", "127.0.0.01 is no host name and no IPv4 address"),
        ("300.1.1.1", "300.1.1.1 is no host name and no IPv4 address"),
        (".".join(["abcdefg"] * 32), "the host name is longer than 253 characters"),
        ("a" * 1_000_000, "the target is longer than 300 characters"),
    ],
    ids=str,
)
def test_what_is_no_target_is_refused_in_a_sentence(text: str, sentence: str | None) -> None:
    with pytest.raises(ValueError) as caught:
        parse_target(text)
    assert sentence is None or str(caught.value) == sentence
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("a1.:[]%@/-_", max_size=20))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    try:
        host, port = parse_target(text)
    except ValueError as error:
        assert str(error).isprintable()  # noqa: PT017  # any text may be refused, and need not
    else:
        assert host
        assert 0 < port < 65536


# --- allowed targets


def test_without_entries_everything_is_allowed() -> None:
    allowed = Allowed([])
    assert (allowed.is_everything, allowed.has_networks) == (True, False)
    assert allowed.names("anything")
    assert allowed.holds("192.0.2.1")


def test_entries_allow_by_name_suffix_address_and_network() -> None:
    allowed = Allowed(
        ["Bastion.Example.", "*.internal.example", "192.0.2.0/24", "2001:db8::1", "b\u00fccher.example", "10.1.2.3"]
    )
    assert not allowed.is_everything
    assert allowed.has_networks
    for host in (
        "bastion.example", "BASTION.example.", "a.internal.example", "a.b.INTERNAL.example", "192.0.2.77",
        "2001:db8::1", "2001:DB8:0::1", "2001:db8::1%eth0", "::ffff:192.0.2.1", "xn--bcher-kva.example",
        "B\u00dcCHER.example", "10.1.2.3",
    ):  # fmt: skip
        assert allowed.names(host), host
    for host in (
        "example", "x.bastion.example", "internal.example", "xinternal.example", "192.0.3.1", "2001:db8::2", "10.1.2.4",
        "::ffff:192.0.3.1", "", "*.internal.example", "192.0.2",
    ):  # fmt: skip
        assert not allowed.names(host), host
    assert allowed.holds("192.0.2.1")
    assert allowed.holds("::ffff:192.0.2.1")
    assert not allowed.holds("192.0.3.1")
    assert not allowed.holds("bastion.example")


def test_mapped_addresses_and_networks_are_those_of_ipv4() -> None:
    assert Allowed(["::ffff:10.0.0.0/104"]).holds("10.9.9.9")
    assert not Allowed(["::ffff:10.0.0.0/104"]).holds("11.0.0.0")
    assert not Allowed(["::/0"]).holds("::ffff:10.0.0.1")
    assert Allowed(["0.0.0.0/0"]).holds("::ffff:10.0.0.1")
    assert not Allowed(["a"]).has_networks


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("10.0.0.1/8", "10.0.0.1/8 has bits set behind its prefix, write 10.0.0.0/8"),
        ("10.0.0.0/33", "10.0.0.0/33 is no network, as in 10.0.0.0/8 or 2001:db8::/32"),
        ("host:22", "host:22 is no network, as in 10.0.0.0/8 or 2001:db8::/32"),
        ("fe80::1%eth0", "fe80::1%eth0 has a scope id, which networks do not have"),
        ("*", "* has its * elsewhere than in front, as in *.example.com"),
        ("a.*.b", "a.*.b has its * elsewhere than in front, as in *.example.com"),
        ("", " is no network, address, name or *.suffix"),
        ("10.1", "10.1 is no network, address, name or *.suffix"),
        ("a b", "a b is no network, address, name or *.suffix"),
    ],
)
def test_what_is_no_entry_is_refused_in_a_sentence(entry: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Allowed(["ok", entry])
    assert str(caught.value) == sentence


def test_a_file_through_a_pipe_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"max_in_flight: 3")
    os.close(writing)
    try:
        assert load(f"/dev/fd/{reading}").max_in_flight == 3
    finally:
        os.close(reading)
