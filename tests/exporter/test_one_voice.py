"""Both configuration files report the same mistake in the same sentence."""

from pathlib import Path

import pytest

from ssh_exchange_exporter.configuration import configuration
from ssh_exchange_exporter.configuration.file import ConfigurationError
from ssh_exchange_exporter.web import web_config

# The mistake in the configuration file, in the web configuration file, and both errors: line, path, sentence.
MISTAKES = {
    "unknown_key": (
        "budget:\n  per_secnd: 1",
        "tls_server_config:\n  min_versoin: TLS12",
        ("2: budget.per_secnd: unknown key; did you mean per_second?",
         "2: tls_server_config.min_versoin: unknown key; did you mean min_version?"),
    ),
    "unknown_key_without_value": ("modles:", "rate_limits:",
        ("1: modles: unknown key; did you mean modules?", "1: rate_limits: unknown key; did you mean rate_limit?")),
    "unlike_any_key": (
        "budget: {x: 1}",
        "rate_limit: {x: 1}",
        ("1: budget.x: unknown key; must be one of: handshakes, per_second",
         "1: rate_limit.x: unknown key; must be one of: interval, burst"),
    ),
    "duplicate_key": ("budget: {}\nbudget: {}", "rate_limit: {}\nrate_limit: {}",
        ("2: budget: duplicate key; first given in line 1", "2: rate_limit: duplicate key; first given in line 1")),
    "mapping": ("budget: 5", "rate_limit: 5",
        ("1: budget: must be a mapping of keys to values", "1: rate_limit: must be a mapping of keys to values")),
    "whole_mapping": ("- 1", "- 1", ("1: must be a mapping of keys to values",) * 2),
    "list": (
        "background:\n- targets: a",
        "tls_server_config:\n  cipher_suites: a",
        ("2: background[0].targets: must be a list", "2: tls_server_config.cipher_suites: must be a list"),
    ),
    "text": (
        "modules: {a: {expected_version: [[]]}}",
        "tls_server_config: {cipher_suites: [[]]}",
        ("1: modules.a.expected_version[0]: must be text", "1: tls_server_config.cipher_suites[0]: must be text"),
    ),
    "flag": (
        "modules: {a: {exempt: maybe}}",
        "http_server_config: {http2: maybe}",
        ("1: modules.a.exempt: must be true or false", "1: http_server_config.http2: must be true or false"),
    ),
    "whole_number": ("budget: {handshakes: many}", "rate_limit: {burst: many}",
        ("1: budget.handshakes: must be a whole number", "1: rate_limit.burst: must be a whole number")),
    "duration": (
        "modules: {a: {timeout: soon}}",
        "rate_limit: {interval: soon}",
        ("1: modules.a.timeout: must be a duration, as in 30s, 1h30m or 500ms",
         "1: rate_limit.interval: must be a duration, as in 30s, 1h30m or 500ms"),
    ),
    "duration_without_unit": (
        "modules: {a: {timeout: 90}}",
        "rate_limit: {interval: 90, burst: 1}",
        ("1: modules.a.timeout: must have a unit, as in 1m30s",
         "1: rate_limit.interval: must have a unit, as in 1m30s"),
    ),
    "too_long": (
        "modules: {a: {timeout: 25h}}",
        "rate_limit: {interval: 25h, burst: 1}",
        ("1: modules.a.timeout: must be at most 10m", "1: rate_limit.interval: must be at most 24h"),
    ),
    "surrogate": (
        'modules: {a: {login: {user: "\\ud800"}}}',
        'http_server_config: {headers: {X-XSS-Protection: "\\ud800"}}',
        ("1: modules.a.login.user: contains an unpaired surrogate and cannot be encoded as UTF-8",
         "1: http_server_config.headers.X-XSS-Protection: "
         "contains an unpaired surrogate and cannot be encoded as UTF-8"),
    ),
    "tag": (
        "modules: !!python/name:os {}",
        "rate_limit: !!python/name:os {}",
        ("1: modules: has an unsupported tag tag:yaml.org,2002:python/name:os",
         "1: rate_limit: has an unsupported tag tag:yaml.org,2002:python/name:os"),
    ),
}  # fmt: skip

# Mistakes that are none of one key: the same text, and the same error but for the name of the file.
SYNTAX = [
    "a: [1",
    "a: b: c",
    "a:\n\t- b",
    "{}\n---\n{}",
    "a: *x",
    "? [a]\n: b",
    "&a [*a]",
    "[" * 5000,
    "a: 1\n\x01",
    b"a: \xff",
    "#" * ((1 << 20) + 1),
    "a0: &a0 [x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 20)),
]


def errors_of_both(directory: Path, text: str | bytes, web_text: str | bytes) -> list[str]:
    """Return the errors of the configuration file and of the web configuration file, without their names."""
    found = []
    for load, name, content in ((configuration.load, "config.yml", text), (web_config.load, "web.yml", web_text)):
        path = directory / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(ConfigurationError) as caught:
            load(str(path))
        found += [error.removeprefix(f"{path}:") for error in caught.value.errors]
    return found


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_same_mistake_has_the_same_sentence_in_both_files(tmp_path: Path, mistake: str) -> None:
    text, web_text, errors = MISTAKES[mistake]
    assert errors_of_both(tmp_path, text, web_text) == list(errors)


@pytest.mark.parametrize("text", SYNTAX, ids=range(len(SYNTAX)))
def test_a_file_that_cannot_be_parsed_has_the_same_error_as_either_file(tmp_path: Path, text: str | bytes) -> None:
    first, second = errors_of_both(tmp_path, text, text)
    assert first == second


def test_a_missing_file_has_the_same_error_as_either_file(tmp_path: Path) -> None:
    sentences: list[str] = []
    for load in (configuration.load, web_config.load):
        with pytest.raises(ConfigurationError) as caught:
            load(str(tmp_path / "none.yml"))
        sentences += caught.value.errors
    assert sentences == [f"{tmp_path}/none.yml: cannot be read: no such file or directory"] * 2


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [("yes", "http2", True), ("Off", "http2", False)],
)
def test_only_the_scalars_differ_the_web_file_reads_flags_as_go_does(
    tmp_path: Path, text: str, key: str, value: bool
) -> None:
    (tmp_path / "web.yml").write_text(f"http_server_config: {{{key}: {text}}}")
    assert web_config.load(tmp_path / "web.yml").file.http_server_config.http2 is value
    (tmp_path / "config.yml").write_text(f"modules: {{a: {{exempt: {text}}}}}")
    with pytest.raises(ConfigurationError, match="must be true or false"):
        configuration.load(str(tmp_path / "config.yml"))
