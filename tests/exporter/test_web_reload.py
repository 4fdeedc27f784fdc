"""A changed web configuration or certificate is used if it is valid; otherwise the last valid one stays."""

import os
import shutil
from pathlib import Path

import bcrypt
import pytest

from ssh_exchange_exporter.web.web_config import LiveWebConfig

from .certificates import Pair, authority, certificate

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"


def test_a_valid_change_is_used_and_an_invalid_one_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: {HASH}}}\nrate_limit: {{interval: 1s, burst: 2}}\n")
    live = LiveWebConfig(path)
    users, rate = live.users, live.rate
    live.look()
    path.write_text("basic_auth_users: {ann: oops}\n")
    live.look()
    assert live.users is users
    assert live.error is not None
    assert "basic_auth_users.ann" in caplog.text
    caplog.clear()
    live.look()
    assert not caplog.text  # logged once
    path.write_text(
        f"basic_auth_users: {{ann: {HASH}}}\nrate_limit: {{interval: 1s, burst: 2}}\n"
        "http_server_config: {headers: {X-Frame-Options: deny}}\n"
    )
    live.look()
    assert live.error is None
    assert live.headers == {"X-Frame-Options": "deny"}
    assert live.users is users  # and with them the remembered results
    assert live.rate is rate


def test_a_file_emptied_before_it_is_written_does_not_turn_off_authentication(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: {HASH}}}\n")
    live = LiveWebConfig(path)
    path.write_text("")
    live.look()
    assert live.users.hashes == {"ann": HASH}
    path.write_text("{}\n")
    live.look()
    assert live.users.hashes == {}


def put(file: Path, place: Path) -> None:
    """Put a copy there as another file: what is copied into the same one within the kernel's tick (4 ms) shows only by
    its size, and all keys have one size.
    """
    shutil.copy(file, place.with_suffix(".new"))
    place.with_suffix(".new").replace(place)


def copied(pair: Pair, name: str) -> None:
    for file, suffix in zip(pair, ("pem", "key"), strict=True):
        put(file, file.parent / f"{name}.{suffix}")


def test_certificates_are_read_again_when_they_change(tmp_path: Path) -> None:
    signer = authority(tmp_path)
    first, second = (certificate(tmp_path, name, signer, "DNS:localhost") for name in ("first", "second"))
    copied(first, "server")
    (tmp_path / "web.yml").write_text(TLS)
    live = LiveWebConfig(tmp_path / "web.yml")
    context = live.context
    live.look()
    assert live.context is context
    put(second.cert, tmp_path / "server.pem")  # before the key is replaced
    live.look()
    assert live.context is context
    assert live.error is not None
    put(second.key, tmp_path / "server.key")
    live.look()
    assert live.context is not context
    assert live.error is None


def test_a_link_to_another_file_is_a_change(tmp_path: Path) -> None:
    text = f"basic_auth_users: {{a: {HASH}}}\n"
    for name, same_size in (("old.yml", "#" * (len(text) - 1) + "\n"), ("new.yml", text)):
        (tmp_path / name).write_text(same_size)
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / "web.yml").symlink_to("old.yml")
    live = LiveWebConfig(tmp_path / "web.yml")
    (tmp_path / "web.yml").unlink()
    (tmp_path / "web.yml").symlink_to("new.yml")
    live.look()
    assert live.users.hashes == {"a": HASH}


def test_a_missing_certificate_is_read_once_it_exists(tmp_path: Path) -> None:
    pair = certificate(tmp_path, "first", authority(tmp_path), "DNS:localhost")
    (tmp_path / "web.yml").write_text("{}\n")
    live = LiveWebConfig(tmp_path / "web.yml")
    (tmp_path / "web.yml").write_text(TLS)
    live.look()
    assert live.context is None
    assert live.error is not None
    copied(pair, "server")
    live.look()
    assert live.context is not None
