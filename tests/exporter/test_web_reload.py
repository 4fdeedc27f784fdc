"""A changed web configuration or certificate is taken over, a bad one is not."""

import os
import shutil
from pathlib import Path

import bcrypt
import pytest

from ssh_exchange_exporter.web.web_config import LiveWebConfig

from .certificates import Pair, authority, certificate

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"


def test_a_change_is_taken_over_and_a_bad_one_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: {HASH}}}\nrate_limit: {{interval: 1s, burst: 2}}\n")
    live = LiveWebConfig(path)
    users, rate = live.users, live.rate
    live.look()
    path.write_text("basic_auth_users: {ann: oops}\n")
    live.look()
    assert live.users is users
    assert live.fault is not None
    assert "basic_auth_users.ann" in caplog.text
    caplog.clear()
    live.look()
    assert not caplog.text  # said once
    path.write_text(
        f"basic_auth_users: {{ann: {HASH}}}\nrate_limit: {{interval: 1s, burst: 2}}\n"
        "http_server_config: {headers: {X-Frame-Options: deny}}\n"
    )
    live.look()
    assert live.fault is None
    assert live.headers == {"X-Frame-Options": "deny"}
    assert live.users is users  # and with them the verdicts that are remembered
    assert live.rate is rate


def test_a_file_emptied_on_the_way_to_its_new_content_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: {HASH}}}\n")
    live = LiveWebConfig(path)
    path.write_text("")
    live.look()
    assert live.users.hashes == {"ann": HASH}
    path.write_text("{}\n")
    live.look()
    assert live.users.hashes == {}


def copied(pair: Pair, name: str) -> None:
    for file, suffix in zip(pair, ("pem", "key"), strict=True):
        shutil.copy(file, file.parent / f"{name}.{suffix}")


def test_certificates_are_read_again_when_they_change(tmp_path: Path) -> None:
    signer = authority(tmp_path)
    first, second = (certificate(tmp_path, name, signer, "DNS:localhost") for name in ("first", "second"))
    copied(first, "server")
    (tmp_path / "web.yml").write_text(TLS)
    live = LiveWebConfig(tmp_path / "web.yml")
    context = live.context
    live.look()
    assert live.context is context
    shutil.copy(second.cert, tmp_path / "server.pem")  # the key is still to follow
    live.look()
    assert live.context is context
    assert live.fault is not None
    shutil.copy(second.key, tmp_path / "server.key")
    live.look()
    assert live.context is not context
    assert live.fault is None


def test_a_file_behind_another_link_is_a_changed_file(tmp_path: Path) -> None:
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


def test_a_file_that_was_missing_is_looked_for(tmp_path: Path) -> None:
    pair = certificate(tmp_path, "first", authority(tmp_path), "DNS:localhost")
    (tmp_path / "web.yml").write_text("{}\n")
    live = LiveWebConfig(tmp_path / "web.yml")
    (tmp_path / "web.yml").write_text(TLS)
    live.look()
    assert live.context is None
    assert live.fault is not None
    copied(pair, "server")
    live.look()
    assert live.context is not None
