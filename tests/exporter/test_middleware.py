"""Who comes in: users, rate, headers, TLS and client certificates, over real sockets."""

import asyncio
import base64
import logging
import shutil
import ssl
from pathlib import Path

import bcrypt
import pytest

from ssh_exchange_exporter.web.http_connection import Deadlines

from .served import (
    TLS,
    Served,
    ask,
    client,
    comes_in,
    configured,
    is_dropped,
    run,
    serving,
    tls,
    until,
)


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


USERS = f"basic_auth_users: {{ann: {bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}}}\n"
HEADERS = "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: default-src 'self'}}\n"


def test_only_users_come_in_whatever_they_ask_for(tmp_path: Path) -> None:
    live = configured(tmp_path, USERS + HEADERS)

    async def test() -> None:
        async with serving(live) as served:
            for path in ("/", "/-/healthy", "/nowhere"):
                answer = await served.get(path)
                assert answer.status == 401
                assert "WWW-Authenticate: Basic\r\n" in answer.head
                assert "X-Frame-Options: deny\r\n" in answer.head
            for odd in ("Authorization: ", "Authorization: Basic \xff", "Authorization: Basic ====", basic("ann", "x")):
                assert (await served.get("/", odd)).status == 401
            assert served.handled == []
            assert (await served.get("/", basic("ann", "secret"))).body == b"hello"

    run(test)


def test_configured_headers_are_on_every_response(tmp_path: Path) -> None:
    live = configured(tmp_path, HEADERS)

    async def test() -> None:
        async with serving(live) as served:
            for path, status in (("/", 200), ("/nowhere", 404), ("/broken", 502)):
                answer = await served.get(path)
                assert answer.status == status
                assert "X-Frame-Options: deny\r\n" in answer.head
                assert "Content-Security-Policy: default-src 'self'\r\n" in answer.head

    run(test)


def test_above_the_rate_limit_comes_429(tmp_path: Path) -> None:
    live = configured(tmp_path, USERS + "rate_limit: {interval: 1h, burst: 2}\n")

    async def test() -> None:
        async with serving(live) as served:
            statuses = [(await served.get("/", basic("ann", "secret"))).status for _ in range(4)]
            assert statuses == [200, 200, 429, 429]

    run(test)


VERIFIED = "  client_auth_type: {}\n  client_ca_file: ours.pem\n"


def test_new_certificates_need_no_restart(tmp_path: Path, signed: Path) -> None:
    live = tls(tmp_path, signed, TLS)

    async def serial(served: Served) -> str:
        streams = await served.connect(client(signed))
        shown = streams[1].get_extra_info("peercert")
        assert (await ask(streams)).body == b"hello"
        streams[1].close()
        return str(shown["serialNumber"])

    async def test() -> None:
        async with serving(live) as served:
            held = await served.connect(client(signed))
            before = await serial(served)
            for suffix in ("pem", "key"):
                shutil.copy(signed / f"renewed.{suffix}", tmp_path / f"server.{suffix}")
            await asyncio.to_thread(live.look)
            assert await serial(served) != before
            assert (await ask(held)).status == 200  # what was open stays so
            held[1].close()

    run(test)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("mode", "name", "admitted"),
    [
        ("RequireAndVerifyClientCert", "prometheus", True),
        ("RequireAndVerifyClientCert", None, False),
        ("RequireAndVerifyClientCert", "foreign", False),
        ("RequireAndVerifyClientCert", "server", False),  # a certificate, but none for clients
        ("VerifyClientCertIfGiven", "prometheus", True),
        ("VerifyClientCertIfGiven", None, True),
        ("VerifyClientCertIfGiven", "foreign", False),
    ],
)
def test_a_client_comes_in_by_its_certificate(
    tmp_path: Path, signed: Path, version: ssl.TLSVersion, mode: str, name: str | None, admitted: bool
) -> None:
    live = tls(tmp_path, signed, TLS + VERIFIED.format(mode))

    async def test() -> None:
        async with serving(live) as served:
            assert await comes_in(served, client(signed, name, version)) is admitted
            assert len(served.handled) == int(admitted)
            await until(lambda: served.listener.open == 0)

    run(test)


@pytest.mark.parametrize(("name", "admitted"), [("prometheus", True), ("someone", False)])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_an_allowed_name_comes_in(
    tmp_path: Path, signed: Path, version: ssl.TLSVersion, name: str, admitted: bool
) -> None:
    allowed = "  client_allowed_sans: [prometheus.example]\n"
    live = tls(tmp_path, signed, TLS + VERIFIED.format("RequireAndVerifyClientCert") + allowed)

    async def test() -> None:
        async with serving(live) as served:
            assert await comes_in(served, client(signed, name, version)) is admitted
            assert len(served.handled) == int(admitted)
            await until(lambda: served.listener.open == 0)

    run(test)


def test_a_failed_handshake_is_no_news(tmp_path: Path, signed: Path, caplog: pytest.LogCaptureFixture) -> None:
    live = tls(tmp_path, signed, TLS)

    async def test() -> None:
        async with serving(live) as served:
            for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(300), b""):
                streams = await served.connect()
                streams[1].write(sent)
                if sent:
                    assert await is_dropped(streams)
                streams[1].close()
            strict = ssl.create_default_context()  # does not know our authority
            assert not await comes_in(served, strict)
            await until(lambda: served.listener.open == 0)
            assert await comes_in(served, client(signed))

    with caplog.at_level(logging.INFO):
        run(test)
    assert caplog.text == ""


def test_a_handshake_has_its_deadline(tmp_path: Path, signed: Path) -> None:
    live = tls(tmp_path, signed, TLS)

    async def test() -> None:
        async with serving(live, deadlines=Deadlines(handshake=0.2)) as served:
            assert await is_dropped(await served.connect())
            await until(lambda: served.listener.open == 0)

    run(test)
