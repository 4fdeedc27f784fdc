"""The web configuration file: promtool accepts what the exporter accepts, and all errors are reported at once."""

import shutil
import ssl
import subprocess
from pathlib import Path

import bcrypt
import pytest

from ssh_exchange_exporter.configuration.file import ConfigurationError
from ssh_exchange_exporter.web.tls import is_allowed
from ssh_exchange_exporter.web.web_config import WebConfig, load

from .certificates import authority, certificate

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("web")
    certificate(where, "server", authority(where), "DNS:localhost")
    authority(where, "stranger")
    subprocess.run(
        ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", "server.key", "-out", "locked.key"],
        cwd=where,
        check=True,
        capture_output=True,
    )
    return where


# promtool and the exporter accept and refuse the same.
SAME = {
    "empty": "",
    "null": "null\n",
    "comment": "# nothing\n",
    "mapping": "{}\n",
    "list": "[]\n",
    "word": "hello\n",
    "unknown": "x: 1\n",
    "not_yaml": "a: [\n",
    "tabs": "a:\n\t- b\n",
    "tls_empty": "tls_server_config: {}\n",
    "tls_null": "tls_server_config:\n",
    "tls_list": "tls_server_config: [a]\n",
    "tls": TLS,
    "no_key": "tls_server_config: {cert_file: server.pem}\n",
    "no_cert": "tls_server_config: {key_file: server.key}\n",
    "ca_alone": "tls_server_config: {client_ca_file: authority.pem}\n",
    "auth_alone": "tls_server_config: {client_auth_type: NoClientCert}\n",
    "auth_empty": "tls_server_config: {client_auth_type: ''}\n",
    "version_alone": "tls_server_config: {min_version: TLS12}\n",
    "missing_file": "tls_server_config: {cert_file: none.pem, key_file: server.key}\n",
    "swapped": "tls_server_config: {cert_file: server.key, key_file: server.pem}\n",
    "foreign_key": "tls_server_config: {cert_file: server.pem, key_file: stranger.key}\n",
    "locked_key": "tls_server_config: {cert_file: server.pem, key_file: locked.key}\n",
    "unknown_tls_key": TLS + "  foo: 1\n",
    "tls13": TLS + "  min_version: TLS13\n  max_version: TLS13\n",
    "tls14": TLS + "  min_version: TLS14\n",
    "version_empty": TLS + "  min_version: ''\n",
    "version_null": TLS + "  min_version:\n",
    "auth_given": TLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: authority.pem\n",
    "auth_required": TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: authority.pem\n",
    "auth_system_ca": TLS + "  client_auth_type: RequireAndVerifyClientCert\n",
    "auth_unknown": TLS + "  client_auth_type: Foo\n",
    "ca_without_auth": TLS + "  client_ca_file: authority.pem\n",
    "ca_missing": TLS + "  client_ca_file: none.pem\n  client_auth_type: RequireAndVerifyClientCert\n",
    "ciphers": TLS + "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]\n",
    "cipher_tls13": TLS + "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n",
    "cipher_none": TLS + "  cipher_suites: []\n",
    "cipher_insecure": TLS + "  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\n",
    "cipher_openssl_name": TLS + "  cipher_suites: [ECDHE-RSA-AES128-GCM-SHA256]\n",
    "cipher_word": TLS + "  cipher_suites: TLS_AES_128_GCM_SHA256x\n",
    "curve": TLS + "  curve_preferences: [CurveP256]\n",
    "curve_unknown": TLS + "  curve_preferences: [secp256k1]\n",
    "prefer_yes": TLS + "  prefer_server_cipher_suites: yes\n",
    "prefer_off": TLS + "  prefer_server_cipher_suites: Off\n",
    "prefer_text": TLS + "  prefer_server_cipher_suites: 'true'\n",
    "prefer_number": TLS + "  prefer_server_cipher_suites: 1\n",
    "http2": "http_server_config: {http2: false}\n",
    "http2_word": "http_server_config: {http2: maybe}\n",
    "http_unknown": "http_server_config: {http3: true}\n",
    "frame": "http_server_config: {headers: {X-Frame-Options: deny}}\n",
    "frame_sameorigin": "http_server_config: {headers: {X-Frame-Options: sameorigin}}\n",
    "frame_upper": "http_server_config: {headers: {X-Frame-Options: DENY}}\n",
    "header_lower": "http_server_config: {headers: {x-frame-options: deny}}\n",
    "nosniff": "http_server_config: {headers: {X-Content-Type-Options: nosniff}}\n",
    "nosniff_empty": "http_server_config: {headers: {X-Content-Type-Options: ''}}\n",
    "cache_control": "http_server_config: {headers: {Cache-Control: no-store}}\n",
    "xss_number": "http_server_config: {headers: {X-XSS-Protection: 1}}\n",
    "hsts": "http_server_config: {headers: {Strict-Transport-Security: max-age=1}}\n",
    "csp": "http_server_config: {headers: {Content-Security-Policy: \"default-src 'self'\"}}\n",
    "headers_list": "http_server_config: {headers: [a]}\n",
    "users": f"basic_auth_users: {{a: {HASH}, b: '{HASH}'}}\n",
    "users_null": "basic_auth_users:\n",
    "users_list": "basic_auth_users: [a]\n",
    "user_twice": f"basic_auth_users: {{a: {HASH}, a: {HASH}}}\n",
    "user_number": f"basic_auth_users: {{1: {HASH}}}\n",
    "user_colon": f"basic_auth_users: {{'a:b': {HASH}}}\n",
    "hash_2y": f"basic_auth_users: {{a: {HASH.replace('$2b', '$2y')}}}\n",
    "hash_2a": f"basic_auth_users: {{a: {HASH.replace('$2b', '$2a')}}}\n",
    "hash_3b": f"basic_auth_users: {{a: {HASH.replace('$2b', '$3b')}}}\n",
    "hash_short": f"basic_auth_users: {{a: {HASH[:58]}}}\n",
    "hash_plain": "basic_auth_users: {a: secret}\n",
    "hash_null": "basic_auth_users: {a: }\n",
    "cost_03": f"basic_auth_users: {{a: {HASH.replace('$04$', '$03$')}}}\n",
    "cost_40": f"basic_auth_users: {{a: {HASH.replace('$04$', '$40$')}}}\n",
    "key_twice": "http_server_config: {http2: true}\nhttp_server_config: {http2: true}\n",
}

# promtool accepts these and the exporter does not (with the reason).
STRICTER = {
    "tls10": (TLS + "  min_version: TLS10\n", "current OpenSSL does not support it"),
    "tls11": (TLS + "  max_version: TLS11\n", "current OpenSSL does not support it"),
    "min_above_max": (TLS + "  min_version: TLS13\n  max_version: TLS12\n", "nobody could connect"),
    "unverified": (TLS + "  client_auth_type: RequestClientCert\n", "Python cannot accept it unverified"),
    "unverified_any": (TLS + "  client_auth_type: RequireAnyClientCert\n", "Python cannot accept it unverified"),
    "unverified_old": (TLS + "  client_auth_type: RequireClientCert\n", "Python cannot accept it unverified"),
    "ca_without_pem": (
        TLS + "  client_ca_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n",
        "nobody could connect",
    ),
    "curves": (TLS + "  curve_preferences: [CurveP256, X25519]\n", "Python can set one"),
    "tls12_without_cipher": (
        TLS + "  max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]\n",
        "no cipher left",
    ),
    "second_document": ("{}\n---\n{}\n", "it would not be read"),
    "hash_2z": (f"basic_auth_users: {{a: {HASH.replace('$2b', '$2z')}}}\n", "nobody could log in"),
    "hash_long": (f"basic_auth_users: {{a: {HASH}xxx}}\n", "nobody could log in"),
    "header_lines": ('http_server_config: {headers: {X-XSS-Protection: "1\\r\\nA: b"}}\n', "it would end the header"),
}
# Newer than the promtool of Debian 12.
NEWER = {
    "rate": "rate_limit: {interval: 1s, burst: 3}\n",
    "sans": TLS
    + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: authority.pem\n  client_allowed_sans: [a]\n",
}


def promtool_accepts(directory: Path, text: str) -> bool:
    (directory / "web.yml").write_text(text)
    return subprocess.run(["promtool", "check", "web-config", "web.yml"], cwd=directory, timeout=30).returncode == 0


def errors(directory: Path, text: str) -> tuple[str, ...]:
    (directory / "web.yml").write_text(text)
    try:
        load(directory / "web.yml").context()
    except ConfigurationError as error:
        return tuple(line.removeprefix(f"{directory}/") for line in error.errors) or ("an error without a sentence",)
    return ()


needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")


@needs_promtool
@pytest.mark.parametrize("name", SAME)
def test_promtool_and_the_exporter_agree(directory: Path, name: str) -> None:
    assert (errors(directory, SAME[name]) == ()) == promtool_accepts(directory, SAME[name])


@pytest.mark.parametrize("is_possible", [True, False])
def test_a_curve_that_this_python_cannot_set_is_an_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch, *, is_possible: bool
) -> None:
    def set_ecdh_curve(_: ssl.SSLContext, name: str) -> None:
        assert name == "X25519"
        if not is_possible:
            raise ssl.SSLError("unknown group")

    monkeypatch.setattr(ssl.SSLContext, "set_ecdh_curve", set_ecdh_curve)
    said = "web.yml:4: tls_server_config.curve_preferences: this Python cannot set X25519; leave it out"
    assert errors(directory, TLS + "  curve_preferences: [X25519]\n") == (() if is_possible else (said,))


@needs_promtool
@pytest.mark.parametrize("name", STRICTER)
def test_promtool_accepts_what_the_exporter_cannot_use(directory: Path, name: str) -> None:
    text, _ = STRICTER[name]
    assert errors(directory, text)
    assert promtool_accepts(directory, text)


@pytest.mark.parametrize("name", NEWER)
def test_keys_newer_than_the_promtool_of_debian_are_accepted(directory: Path, name: str) -> None:
    assert errors(directory, NEWER[name]) == ()


def test_all_errors_are_reported_at_once_with_their_lines(directory: Path) -> None:
    text = (
        "tls_server_config:\n  cert_file: server.pem\n  min_version: TLS9\n  nonsense: 1\n"
        "http_server_config:\n  http2: maybe\n  headers:\n    X-Frame-Options: DENY\n"
        "basic_auth_users:\n  ann: not-a-hash\n  ann: again\nrate_limit: {interval: 5, burst: many}\n"
    )
    found = errors(directory, text)
    assert [error.partition(": ")[2].partition(": ")[0] for error in found] == [
        "tls_server_config.min_version",
        "tls_server_config.nonsense",
        "http_server_config.http2",
        "http_server_config.headers.X-Frame-Options",
        "basic_auth_users.ann",
        "basic_auth_users.ann",
        "rate_limit.interval",
        "rate_limit.burst",
    ]
    lines = [int(error.split(":")[1]) for error in found]
    assert lines == [3, 4, 6, 8, 10, 11, 12, 12]
    assert "not-a-hash" not in "".join(found)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (TLS + "  client_auth_type: RequestClientCert\n", "cannot accept a certificate unverified"),
        (
            "tls_server_config: {cert_file: none.pem, key_file: no.key}\n",
            "key_file: cannot be read: no such file",
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: locked.key}\n",
            "key_file: must not be encrypted",
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: stranger.key}\n",
            "does not match the certificate",
        ),
        (TLS + "  client_allowed_sans: [a]\n", "client_allowed_sans: needs client_auth_type"),
        (TLS + "  client_allowed_sans: []\n", "client_allowed_sans: must not be empty"),
        (TLS + "  cert: x\n", "cert: must not be given together with cert_file"),
        ("rate_limit: {interval: 1s}\n", "rate_limit.burst: must be at least 1"),
        ("a: &a [*a]\n", "is nested too deeply"),
        ("? [a]\n: b\n", "has a key that is not text"),
    ],
)
def test_an_error_says_what_is_wrong(directory: Path, text: str, sentence: str) -> None:
    assert sentence in "\n".join(errors(directory, text))


def test_a_missing_file_and_one_that_is_not_utf8_are_errors(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigurationError, match=r"web\.yml:1: is not valid UTF-8"):
        load(tmp_path / "web.yml")
    with pytest.raises(ConfigurationError, match="cannot be read: no such file"):
        load(tmp_path / "other.yml")


def loaded(directory: Path, text: str) -> WebConfig:
    (directory / "web.yml").write_text(text)
    return load(directory / "web.yml")


def test_certificates_may_be_in_the_file_itself(directory: Path) -> None:
    def block(name: str) -> str:
        return "|\n" + "".join(f"    {line}\n" for line in (directory / name).read_text().splitlines())

    text = f"tls_server_config:\n  cert: {block('server.pem')}  key: {block('server.key')}"
    config = loaded(directory, text)
    assert isinstance(config.context(), ssl.SSLContext)
    assert config.files == (directory / "web.yml",)


def test_the_context_is_as_configured(directory: Path) -> None:
    context = loaded(
        directory,
        TLS + "  min_version: TLS12\n  max_version: TLS12\n  prefer_server_cipher_suites: false\n"
        "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n"
        "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: authority.pem\n",
    ).context()
    assert context is not None
    assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_2
    assert not context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    assert [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"] == [
        "ECDHE-ECDSA-AES256-GCM-SHA384"
    ]
    assert context.verify_mode == ssl.CERT_OPTIONAL
    assert len(context.get_ca_certs()) == 1


def test_ciphers_of_tls_1_3_alone_turn_tls_1_2_off(directory: Path) -> None:
    context = loaded(directory, TLS + "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n").context()
    assert context is not None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1.0), ("1m30s", 90.0), ("250ms", 0.25), ("1.5h", 5400.0), ("0", 0.0)]
)
def test_an_interval_is_read_as_in_go(directory: Path, text: str, seconds: float) -> None:
    assert loaded(directory, f"rate_limit: {{interval: {text}, burst: 1}}\n").rate_limit.interval == seconds


@pytest.mark.parametrize(
    ("kind", "name", "allowed"),
    [
        ("DNS", "prometheus.example", True),
        ("DNS", "PROMETHEUS.example", False),
        ("email", "a@b.example", True),
        ("URI", "spiffe://x/y", True),
        ("IP Address", "127.0.0.1", True),
        ("IP Address", "0:0:0:0:0:0:0:1", True),
        ("DirName", "prometheus.example", False),
        ("IP Address", "not an address", False),
    ],
)
def test_a_client_is_allowed_by_an_exact_alternative_name(kind: str, name: str, allowed: bool) -> None:
    names = ["prometheus.example", "a@b.example", "spiffe://x/y", "127.0.0.1", "::1"]
    assert is_allowed({"subjectAltName": ((kind, name),)}, names) is allowed
    assert not is_allowed({}, names)
