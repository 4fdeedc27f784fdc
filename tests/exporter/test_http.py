"""The running exporter over HTTP: statuses, sentences, formats, timeouts, and several who ask at once."""

import asyncio
import gzip
import html
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from ssh_exchange_exporter.web.http_connection import HttpConnection
from tests.lab.fake_sshd import HEALTHY, FakeSshd, Peer

from .program import NEVER_SLOW, Program, Samples, openmetrics, running, wait_for

CONFIGURATION = f"""
modules:
  default: {{handshakes: 2, exempt: true, {NEVER_SLOW}}}
  patient: {{handshakes: 2, exempt: true, timeout: 1m}}
  quick: {{handshakes: 2, exempt: true, timeout: 1s}}
"""
HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
SECONDS = 60.0
MARGIN = 20.0  # seconds that a machine under load may be behind a timeout


@pytest.fixture(scope="module")
def program(sshd: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("http"), CONFIGURATION) as exporter:
        assert exporter.probe(sshd).value("probe_success") == 1  # there is a first probe for /history
        yield exporter
        assert "Traceback" not in exporter.log
        assert "msg=unhandled" not in exporter.log


def probe_of(target: str, module: str = "default", **more: str) -> str:
    words = {"target": target, "module": module, **more}
    return "/probe?" + "&".join(f"{name}={quote(word)}" for name, word in words.items())


# --- statuses and types


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/", 200, HTML),
        ("/probe?target=SSHD", 200, TEXT),
        ("/probe?target=SSHD&module=quick&debug=true", 200, PLAIN),
        ("/metrics", 200, TEXT),
        ("/history/1", 200, HTML),
        ("/runbook/", 200, HTML),
        ("/runbook/maxstartups", 200, HTML),
        ("/config", 200, PLAIN),
        ("/-/healthy", 200, PLAIN),
        ("/-/ready", 200, PLAIN),
        ("/probe", 400, PLAIN),
        ("/history/999999999", 404, PLAIN),
        ("/history/first", 404, PLAIN),
        ("/history/-1", 404, PLAIN),
        ("/runbook/maxstartup", 404, PLAIN),
        ("/runbook/README", 404, PLAIN),
        ("/runbook/..%2fcause", 404, PLAIN),
        ("/nothing", 404, PLAIN),
        ("/metrics/", 404, PLAIN),
        ("/-/reload", 405, PLAIN),
    ],
)
def test_a_page_has_its_status_and_type_by_get_and_by_head(
    program: Program, sshd: str, path: str, status: int, kind: str
) -> None:
    path = path.replace("SSHD", sshd)
    reply = program.get(path)
    assert (reply.status, reply.headers["content-type"]) == (status, kind)
    assert reply.body
    if status >= 400:
        assert reply.text.count("\n") == 1, "one sentence"
    head = program.get(path, method="HEAD")
    assert (head.status, head.headers["content-type"], head.body) == (status, kind, b"")


def test_an_unknown_cause_is_answered_with_a_sentence(program: Program) -> None:
    reply = program.get("/runbook/max%3Cb%3E")
    assert reply.text == 'unknown cause "max\\x3cb>"; /runbook/ lists the causes\n'


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/probe", "/metrics", "/config", "/-/healthy"])
def test_another_method_is_answered_with_405_and_what_is_allowed(program: Program, path: str, method: str) -> None:
    reply = program.get(path, method=method)
    assert (reply.status, reply.headers["allow"]) == (405, "GET,HEAD")
    assert reply.text == f"method {method} is not allowed; use GET, HEAD\n"


def test_a_link_to_a_probe_that_is_no_longer_kept_leads_to_the_targets_newest(tmp_path: Path) -> None:
    with FakeSshd(HEALTHY) as server:
        target = f"127.0.0.1:{server.port}"
        text = f"modules: {{default: {{exempt: true}}}}\nbackground: [{{targets: ['{target}'], interval: 1s}}]"
        with running(tmp_path, text) as own:
            wait_for(lambda: "history/" in own.get("/").text, SECONDS)
            (link,) = re.findall(r'href="(history/\d+\?[^"]+)"', own.get("/").text)
            link = html.unescape(link)
            wait_for(lambda: own.get(f"/{link}").status != 200, SECONDS)
            reply = own.get(f"/{link}")
            assert reply.status == 302
            newer = reply.headers["location"]
            assert int(newer.partition("?")[0]) > int(re.findall(r"\d+", link)[0])
            assert own.get(f"/history/{newer}").status in (200, 302)
            assert own.get("/history/999999999?target=other&module=default").status == 404


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "parameter target is missing: /probe?target=HOST[:PORT]"),
        ("target=", "parameter target is missing: /probe?target=HOST[:PORT]"),
        ("target=%20", "parameter target is missing: /probe?target=HOST[:PORT]"),
        ("Target=a", "parameter target is missing: /probe?target=HOST[:PORT]"),
        ("target=a&target=b", "target and module must be given at most once"),
        ("target=a&module=default&module=default", "target and module must be given at most once"),
        ("target=a&module=nope", 'unknown module "nope"; must be one of: default, patient, quick'),
        ("target=a&module=quik", 'unknown module "quik"; did you mean quick?'),
        ("target=a:0", "0 is not a valid port (1 to 65535)"),
        ("target=a:65536", "65536 is not a valid port (1 to 65535)"),
        ("target=a:ssh", "ssh is not a valid port (1 to 65535)"),
        ("target=[::1", "[::1 is not a valid [IPv6 address]:port"),
        ("target=ssh://a", "leave out ssh:// and write a"),
        ("target=root@a", "leave out the user root@ and write a"),
        ("target=a%20b", "the target contains a space or a control character"),
        ("target=a%0d%0aX:1", "the target contains a space or a control character"),
        ("target=a%00", "the target contains a space or a control character"),
        ("target=127.1", "127.1 is neither a valid host name nor an IPv4 address"),
        (f"target={'a' * 4000}", "the target is longer than 300 characters"),
    ],
)
def test_what_cannot_be_probed_is_answered_with_400_and_a_sentence(program: Program, query: str, sentence: str) -> None:
    reply = program.get(f"/probe?{query}")
    assert (reply.status, reply.text) == (400, f"{sentence}\n")


@pytest.mark.parametrize("value", ["", "abc", "0", "-1", "nan", "inf", "1e3", "1_0", "1" * 40, "1,5", "2 3"])
def test_a_scrape_timeout_that_is_none_is_answered_with_400(program: Program, sshd: str, value: str) -> None:
    reply = program.get(probe_of(sshd), {HEADER: value})
    assert (reply.status, reply.text) == (400, f"{HEADER} must be a number of seconds above 0\n")


def test_a_request_for_an_unknown_module_is_counted(program: Program, sshd: str) -> None:
    name = "ssh_exchange_exporter_module_unknown_total"
    before = program.metrics().value(name)
    assert program.get(probe_of(sshd, "a<b>\0")).text == (
        'unknown module "a\\x3cb>\\x00"; must be one of: default, patient, quick\n'
    )
    assert program.metrics().value(name) == before + 1


def test_targets_that_are_not_allowed_are_answered_with_403(sshd: str, tmp_path: Path) -> None:
    modules = "modules: {default: {handshakes: 1, ip_protocol: ip4, exempt: true}}\n"
    port = sshd.rpartition(":")[2]
    here, name = f"127.0.0.1:{port}", f"localhost:{port}"
    expected = {  # of 127.0.0.1, and of localhost by name
        '["127.0.0.0/8"]': (200, 200),
        "[127.0.0.1]": (200, 200),
        '["127.0.0.2/31", "::/0"]': (403, 403),
        "[localhost]": (403, 200),
        '["*.localhost"]': (403, 403),
        '["elsewhere.example"]': (403, 403),
        "[]": (200, 200),
    }
    more = 0
    with running(tmp_path, modules) as program:
        for allowed, statuses in expected.items():
            (tmp_path / "config.yml").write_text(f"{modules}allowed_targets: {allowed}\n")
            assert program.get("/-/reload", method="POST").status == 200
            replies = [program.get(probe_of(target)) for target in (here, name)]
            assert tuple(reply.status for reply in replies) == statuses, allowed
            for reply, target in zip(replies, (here, name), strict=True):
                assert reply.status == 200 or reply.text == f"{target} is not among the allowed targets\n"
            if "/" not in allowed and allowed not in ("[]", "[127.0.0.1]"):  # no name server is asked for it
                assert program.get("/probe?target=nobody.invalid").status == 403
                more += 1
        refused = more + sum(status == 403 for statuses in expected.values() for status in statuses)
        assert program.metrics().value("ssh_exchange_exporter_target_forbidden_total") == refused


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_a_page_of_another_site_cannot_reload(program: Program, site: str, status: int) -> None:
    assert program.get("/-/reload", {"Sec-Fetch-Site": site}, method="POST").status == status


# --- formats


@pytest.mark.parametrize("path", ["/probe", "/metrics"])
@pytest.mark.parametrize(("accept", "kind"), [("text/plain", TEXT), (OPENMETRICS, OPENMETRICS), ("image/png", TEXT)])
@pytest.mark.parametrize(
    ("encoding", "is_packed"), [("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("identity", False)]
)
def test_an_exposition_comes_as_it_is_asked_for(
    program: Program, sshd: str, path: str, accept: str, kind: str, encoding: str, is_packed: bool
) -> None:
    where = probe_of(sshd) if path == "/probe" else path
    reply = program.get(where, {"Accept": accept, "Accept-Encoding": encoding})
    assert (reply.status, reply.headers["content-type"]) == (200, kind)
    assert (reply.headers.get("content-encoding") == "gzip") == is_packed
    text = (gzip.decompress(reply.body) if is_packed else reply.body).decode()
    if kind == OPENMETRICS:
        assert text.endswith("# EOF\n")
        assert openmetrics(text)
    else:
        assert Samples(text).all
        assert "# EOF" not in text


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_metrics_say_how_long_they_are_and_leave_the_connection_open(
    program: Program, method: str, encoding: str
) -> None:
    reply = program.get("/metrics", {"Accept-Encoding": encoding}, method)
    assert int(reply.headers["content-length"]) > 1000
    assert len(reply.body) == (int(reply.headers["content-length"]) if method == "GET" else 0)
    assert "transfer-encoding" not in reply.headers
    assert reply.headers.get("connection") != "close"


def test_debug_has_the_log_the_report_the_metrics_and_the_module(program: Program, sshd: str) -> None:
    reply = program.get(probe_of(sshd, debug="true"))
    titles = ["Log of the probe", "Report", "Metrics", "Module default"]
    pattern = "\n".join(rf"{title}\n-+\n(.*)" for title in titles)
    found = re.fullmatch(pattern, reply.text, re.DOTALL)
    assert found, reply.text
    log, report, metrics, module = found.groups()
    assert "FakeSSH_1.0" in log
    told = json.loads(report)
    assert (told["schema"], told["state"], len(told["handshakes"])) == (1, "ok", 2)
    assert Samples(metrics).value("ssh_exchange_handshakes", ending="completed") == 2
    assert json.loads(module)["handshakes"] == 2


# --- time


@pytest.mark.parametrize(
    ("module", "header", "limit"),
    [
        ("patient", "3", 2.5),
        ("patient", "1.75", 1.25),
        ("patient", "0.4", 0.4),
        ("quick", "50", 1.0),
        ("quick", None, 1.0),
    ],
)
def test_a_silent_server_is_given_up_in_time_for_the_scrape(
    program: Program, module: str, header: str | None, limit: float
) -> None:
    with FakeSshd([]) as silent:
        begun = time.monotonic()
        samples = program.probe(f"127.0.0.1:{silent.port}", module, {HEADER: header} if header else {})
        took = time.monotonic() - begun
    assert samples.value("probe_timeout_seconds") == pytest.approx(limit)
    assert samples.value("probe_success") == 0
    assert 0.5 * limit < took < limit + MARGIN
    # A machine that stands still as the probe begins may leave it no time to connect.
    name = "ssh_exchange_handshakes"
    endings = {one["ending"] for one in samples.labels(name) if samples.value(name, **one)}
    assert endings
    assert endings <= {"banner_timeout", "connect_timeout"}


def test_the_offset_is_the_flags(tmp_path: Path) -> None:
    with running(tmp_path, CONFIGURATION, "--timeout-offset=8") as program, FakeSshd([]) as silent:
        samples = program.probe(f"127.0.0.1:{silent.port}", "patient", {HEADER: "9.5"})
        assert samples.value("probe_timeout_seconds") == pytest.approx(1.5)


# --- several at once


def test_identical_requests_share_one_probe_and_an_impatient_one_is_answered_in_its_time(program: Program) -> None:
    go = threading.Event()
    shared = "ssh_exchange_exporter_probes_shared_total"

    def hold(peer: Peer) -> None:
        go.wait(SECONDS)

    before = program.metrics().value(shared)
    with FakeSshd([hold, *HEALTHY]) as server, ThreadPoolExecutor() as pool:
        target = f"127.0.0.1:{server.port}"
        try:
            answers = [pool.submit(program.probe, target, "patient") for _ in range(5)]
            wait_for(lambda: program.metrics().value(shared) == before + 4, SECONDS)
            hasty = program.probe(target, "patient", {HEADER: "1"})
            assert hasty.value("probe_success") == 0
            assert not any(answer.done() for answer in answers)
        finally:
            go.set()
        assert [answer.result().value("probe_success") for answer in answers] == [1] * 5
        assert len(server.peers) == 2
    assert program.metrics().value(shared) == before + 4  # a shorter run would be another one, and had to wait


def test_a_client_that_goes_away_leaves_its_probe_to_the_next_one(program: Program) -> None:
    go = threading.Event()

    def hold(peer: Peer) -> None:
        go.wait(SECONDS)

    with FakeSshd([hold, *HEALTHY]) as server, ThreadPoolExecutor() as pool:
        target = f"127.0.0.1:{server.port}"
        try:
            with socket.create_connection(("127.0.0.1", program.port), 30) as connection:
                connection.sendall(f"GET {probe_of(target, 'patient')} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                wait_for(lambda: server.peers, SECONDS)
            before = program.metrics().value("ssh_exchange_exporter_probes_shared_total")
            answer = pool.submit(program.probe, target, "patient")
            wait_for(
                lambda: program.metrics().value("ssh_exchange_exporter_probes_shared_total") == before + 1, SECONDS
            )
        finally:
            go.set()
        assert answer.result().value("probe_success") == 1
        assert len(server.peers) == 2


def test_what_a_library_does_not_understand_is_a_bad_request(monkeypatch: pytest.MonkeyPatch) -> None:
    # aiohttp 3.11 on `GET http://[ HTTP/1.1`; newer ones answer it by themselves.
    def raising(*_: object) -> None:
        raise ValueError("Invalid IPv6 URL")

    class Kept(asyncio.Transport):
        sent = b""
        is_closed = False

        def write(self, data: bytes | bytearray | memoryview) -> None:
            self.sent += bytes(data)

        def close(self) -> None:
            self.is_closed = True

    async def served() -> Kept:
        connection = HttpConnection(web.Server(raising), loop=asyncio.get_running_loop())  # type: ignore[arg-type]
        transport = Kept()
        connection.connection_made(transport)
        monkeypatch.setattr(web.RequestHandler, "data_received", raising)
        connection.data_received(b"GET http://[ HTTP/1.1\r\n\r\n")
        connection.connection_lost(None)
        return transport

    transport = asyncio.run(served())
    assert transport.sent.startswith(b"HTTP/1.1 400 ")
    assert transport.is_closed
