"""The errors of a configuration file, word by word."""

from pathlib import Path

import pytest

from ssh_exchange_exporter.configuration.configuration import load
from ssh_exchange_exporter.configuration.file import MAX_ERRORS, ConfigurationError

from .configured import errors, write

THIRD = "modules:\n  first: {}\n  third:\n    depth: kex\n    "

MISTAKES = {
    # the module
    THIRD + "handshakes: 0": "5: modules.third.handshakes: must be at least 1",
    THIRD + "handshakes: 1001": "5: modules.third.handshakes: must be at most 1000",
    THIRD + "handshakes: '5'": "5: modules.third.handshakes: must be a whole number",
    THIRD + "handshakes: true": "5: modules.third.handshakes: must be a whole number",
    THIRD + "handshakes: 2.5": "5: modules.third.handshakes: must be a whole number",
    THIRD + "concurrency: 0": "5: modules.third.concurrency: must be at least 1",
    THIRD + "timout: 5s": "5: modules.third.timout: unknown key; did you mean timeout?",
    THIRD + "timeout: 10": "5: modules.third.timeout: must have a unit, as in 10s",
    THIRD + "timeout: 2.5": "5: modules.third.timeout: must have a unit, as in 2s500ms",
    THIRD + "timeout: 0.5s": "5: modules.third.timeout: must be whole numbers, as in 500ms",
    THIRD + "timeout: 0": "5: modules.third.timeout: must be at least 1ms",
    THIRD + "timeout: 601s": "5: modules.third.timeout: must be at most 10m",
    THIRD + "timeout: soon": "5: modules.third.timeout: must be a duration, as in 30s, 1h30m or 500ms",
    THIRD + "timeout: [10s]": "5: modules.third.timeout: must be a duration, as in 30s, 1h30m or 500ms",
    THIRD + "exempt: yes": "5: modules.third.exempt: must be true or false",
    THIRD + "ip_protocol: ipv4": "5: modules.third.ip_protocol: must be any, ip4, ip6 or all",
    THIRD + "source_addresses: 192.0.2.1": "5: modules.third.source_addresses: must be a list",
    THIRD + "source_addresses: [localhost]": "5: modules.third.source_addresses[0]: must be an IPv4 or IPv6 address",
    THIRD
    + "source_addresses: [127.0.0.1, 127.0.0.1]": "5: modules.third.source_addresses: must be different addresses",
    THIRD
    + "source_addresses: [127.0.0.1, '::1']": "5: modules.third.source_addresses: must be addresses of one family",
    THIRD + "source_addresses: [127.0.0.1, 127.0.0.2, 127.0.0.3]": (
        "5: modules.third.source_addresses: must have at most 2 entries"
    ),
    THIRD + "expected_version: 9.2": "5: modules.third.expected_version: must be a list",
    THIRD + "expected_version: [9.2]": "5: modules.third.expected_version[0]: must be text: put it in quotes",
    THIRD + "thresholds: {warning: {banner_p50: fast}}": (
        "5: modules.third.thresholds.warning.banner_p50: must be a Nagios range, as in 5, 1:5, ~:5, 5: or @1:5"
    ),
    THIRD + "thresholds:\n      critical:\n        failed: true": (
        "7: modules.third.thresholds.critical.failed: must be a Nagios range, as in 5, 1:5, ~:5, 5: or @1:5"
    ),
    THIRD + "thresholds: {warn: {}}": "5: modules.third.thresholds.warn: unknown key; did you mean warning?",
    THIRD + "states: {closed: red}": "5: modules.third.states.closed: must be ok, warning, critical or unknown",
    THIRD + "login: {key: x}": (
        "5: modules.third.login.key: unknown key; must be one of: user, identity_file, known_hosts_file"
    ),
    THIRD + "login: {identity_file: none}": (
        "5: modules.third.login.identity_file: cannot be read: no such file or directory"
    ),
    "modules:\n  a: {depth: login}": "2: modules.a: depth login needs login.user and login.identity_file",
    "modules:\n  a: {depth: deep}": "2: modules.a.depth: must be one of: banner, kexinit, hostkey, kex, login",
    "modules:\n  a: {source_addresses: [127.0.0.1], ip_protocol: ip6}": (
        "2: modules.a: source_addresses and ip_protocol must have an address family in common"
    ),
    "modules:\n  a: 5": "2: modules.a: must be a mapping of keys to values",
    "modules: [a]": "1: modules: must be a mapping of keys to values",
    'modules:\n  "a\\nb": {}': "2: modules.a / b: must be a name of 1 to 128 printable characters",
    # the groups
    "background:\n- module: third": "2: background[0].module: unknown module; must be one of: default",
    "background:\n- interval: 999ms": "2: background[0].interval: must be at least 1s",
    "background:\n- targets: a": "2: background[0].targets: must be a list",
    "background:\n- targets:\n  - a\n  - ssh://b": "4: background[0].targets[1]: leave out ssh:// and write b",
    "background:\n- targets: [22]": "2: background[0].targets[0]: must be text: put it in quotes",
    "background:\n- targets: [a, b]\n- targets: [c]\n- targets:\n  - a": (
        "5: background[2].targets[0]: duplicate target a with the same labels; first given in line 2"
    ),
    "background:\n- target_files: [a.txt]": "2: background[0].target_files[0]: must end in .json, .yml or .yaml",
    "background:\n- labels: {le: x}": ("2: background[0].labels.le: is reserved: the exporter sets this label itself"),
    "background:\n- labels: {__x: x}": "2: background[0].labels.__x: must not begin with __, which Prometheus reserves",
    "background:\n- labels: {a-b: x}": (
        "2: background[0].labels.a-b: must be a label name: "
        "at most 128 letters, digits and _, not beginning with a digit"
    ),
    "background:\n- labels:\n    rack: 12": "3: background[0].labels.rack: must be text: put it in quotes",
    "background: {targets: [a]}": "1: background: must be a list",
    # the rest
    "budget: {handshakes: 0}": "1: budget.handshakes: must be at least 1",
    "budget: {per_second: 0}": "1: budget.per_second: must be above 0",
    "budget: {per_second: .nan}": "1: budget.per_second: must be a finite number",
    "max_in_flight: 10001": "1: max_in_flight: must be at most 10000",
    "histogram_buckets: [1, 1]": "1: histogram_buckets: must be in ascending order; 1 comes after 1",
    "histogram_buckets: []": "1: histogram_buckets: must have 1 or more entries",
    "histogram_buckets:\n- 0\n- 1": "2: histogram_buckets[0]: must be above 0",
    f"histogram_buckets: {list(range(1, 66))}": "1: histogram_buckets: must have at most 64 entries",
    "allowed_targets: [10.0.0.1/8]": (
        "1: allowed_targets[0]: must not have bits set beyond its prefix; write 10.0.0.0/8"
    ),
    "\n\nmodule: {}": "3: module: unknown key; did you mean modules?",
    "- 1": "1: must be a mapping of keys to values",
    # YAML
    "modules:\n  a: {}\n  b: {}\n  a: {}": "4: modules.a: duplicate key; first given in line 2",
    "a: [1": "1: is not valid YAML: expected ',' or ']', but got '<stream end>' (while parsing a flow sequence)",
    "a: b: c": "1: is not valid YAML: mapping values are not allowed here",
    "budget: *x": "1: is not valid YAML: found undefined alias 'x'",
    "max_in_flight: !!python/object:os.system 1": (
        "1: max_in_flight: has an unsupported tag tag:yaml.org,2002:python/object:os.system"
    ),
    "budget: {}\n---\nbudget: {}": "2: must be a single YAML document; a second one begins",
    "budget: {}\n\x01": "2: contains a character that YAML does not allow",
    "[" * 5000: "1: is nested too deeply",
    "&a [*a]": "1: is nested too deeply",
    'background:\n- labels:\n    a: "\\ud800"': (
        "3: background[0].labels.a: contains an unpaired surrogate and cannot be encoded as UTF-8"
    ),
}


@pytest.mark.parametrize(("text", "sentence"), MISTAKES.items(), ids=[str(at) for at in range(len(MISTAKES))])
def test_a_mistake_is_named_with_file_line_path_and_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    assert errors(tmp_path, text) == [f"config.yml:{sentence}"]


@pytest.mark.parametrize("key", ["thresholds: {warning: {speed: 1}}", "states: {sleepy: ok}"])
def test_an_unknown_word_is_answered_with_all_known_ones(tmp_path: Path, key: str) -> None:
    (error,) = errors(tmp_path, THIRD + key)
    assert "; must be one of: " in error
    assert ("banner_p50" in error) != ("maxstartups" in error)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("thresholds: {warning: {early_closed: 1}}", "unknown perfdata label; did you mean early_close?"),
        ("states: {max_startups: ok}", "unknown ending or cause; did you mean maxstartups?"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest_known_one(tmp_path: Path, key: str, sentence: str) -> None:
    (error,) = errors(tmp_path, THIRD + key)
    assert error.endswith(sentence)


def test_a_threshold_on_the_window_is_refused_because_the_exporter_has_none(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, "modules: {a: {thresholds: {warning: {early_close_window: 1}}}}")
    path = "modules.a.thresholds.warning.early_close_window"
    assert error == f"config.yml:1: {path}: unknown perfdata label; did you mean early_close?"


@pytest.mark.parametrize("data", [b"budget: {}\n# \xff", b"\n# \xe9t\xe9", "\n# é".encode("utf-16-le") + b"\xff"])
def test_other_encodings_than_utf8_are_refused(tmp_path: Path, data: bytes) -> None:
    (error,) = errors(tmp_path, data)
    assert error.endswith((": is not valid UTF-8", ": contains a character that YAML does not allow"))


def test_a_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    assert load(write(tmp_path, b"\xef\xbb\xbfmax_in_flight: 9")).max_in_flight == 9


def test_a_missing_file_a_directory_and_a_large_file_are_refused(tmp_path: Path) -> None:
    large = write(tmp_path, b"#" * ((1 << 20) + 1))
    for path, sentence in (
        (str(tmp_path / "none.yml"), "cannot be read: no such file or directory"),
        (str(tmp_path), "cannot be read: is a directory"),
        ("a\0b", r"cannot be read: embedded null byte"),
        (large, "must be at most 1 MiB"),
    ):
        with pytest.raises(ConfigurationError) as caught:
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
        "config.yml:2: budget: duplicate key; first given in line 1",
        "config.yml:6: modules.a.depth: duplicate key; first given in line 5",
        "config.yml:7: budget: duplicate key; first given in line 1",
    ]


def test_errors_are_printable_for_any_content_of_the_file(tmp_path: Path) -> None:
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
    assert errors(tmp_path, text) == ["config.yml: repeats too much by aliases"]
