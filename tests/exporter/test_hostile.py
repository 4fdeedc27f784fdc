"""The exporter between clients and servers that mean no good: nothing that they say makes it fail."""

import json
import re
import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from check_ssh_exchange.ending import Ending
from tests.lab.fake_sshd import KEXINIT, FakeSshd, send

from .program import Program, Samples, openmetrics, running, wait_for

CONFIGURATION = """
modules:
  default: {handshakes: 2, exempt: true}
  quick: {handshakes: 2, exempt: true, timeout: 10s}
"""
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SECONDS = 60.0


@pytest.fixture(scope="module")
def program(sshd: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("http"), CONFIGURATION) as exporter:
        yield exporter
        assert "Traceback" not in exporter.log
        assert "msg=unhandled" not in exporter.log


def probe_of(target: str, module: str = "default") -> str:
    words = {"target": target, "module": module}
    return "/probe?" + "&".join(f"{name}={quote(word)}" for name, word in words.items())


def exchange(program: Program, request: bytes) -> bytes:
    """What comes back for these bytes until the exporter closes, or has nothing more to say for a while."""
    with socket.create_connection(("127.0.0.1", program.port), 30) as connection:
        received = b""
        try:
            connection.sendall(request)
            while data := connection.recv(65536):
                received += data
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            pass
        return received


def status_of(reply: bytes) -> int:
    found = re.match(rb"HTTP/[0-9]\.[0-9] (\d{3}) ", reply)
    assert found, reply[:200]
    return int(found[1])


# --- clients


ODD_HEADERS = [
    b"Accept: \xff\xfe\x80",
    b"Accept: text/plain;q=",
    b"Accept: text/plain;q=1e9;q=nan",
    b"Accept: */*;q=\xb2",
    b'Accept: application/openmetrics-text;version="',
    b"Accept: application/openmetrics-text;version=99999999999999999999",
    b"Accept: ;;;,,,;=;=,",
    b"Accept:",
    b"Accept: " + b",".join([b"a/b"] * 1500),
    b"Accept: " + b"x" * 8000,
    b"Accept: text/html\r\nAccept: \xe2\x98\x83",
    b"Accept-Encoding: \xff;q=\xff, gzip;q=q",
    b"Accept-Encoding: ;;;,,,=",
    b"X-Prometheus-Scrape-Timeout-Seconds: \xd9\xa3",
    b"X-Prometheus-Scrape-Timeout-Seconds: \xff",
    b"Content-Length: -1",
    b"Transfer-Encoding: gzip",
    b"Expect: the-unexpected",
    b"Range: bytes=9-1",
    b"Host: \xff",
    b"Cookie: =;=\xff",
    b"If-Modified-Since: never",
    b"A header without a colon",
    b"Nul: \0",
]


@pytest.mark.parametrize("header", ODD_HEADERS, ids=lambda header: repr(header[:40])[2:-1])
def test_no_header_makes_the_exporter_fail(program: Program, sshd: str, header: bytes) -> None:
    for path in (b"/metrics", probe_of(sshd).encode()):
        reply = exchange(program, b"GET " + path + b" HTTP/1.1\r\nConnection: close\r\n" + header + b"\r\n\r\n")
        assert status_of(reply) < 500
    assert program.get("/-/healthy").status == 200


@pytest.mark.parametrize(
    "line",
    [
        b"GET /probe?target=%ff%fe&module=%80 HTTP/1.1",
        b"GET /probe?target=\xff\xfe HTTP/1.1",
        b"GET /probe?target=%00%0a HTTP/1.1",
        b"GET /probe?target=a&module=%ud800 HTTP/1.1",
        b"GET /probe?target=%F0%9F%90%8D HTTP/1.1",
        b"GET /probe?target=" + b"a" * 7000 + b" HTTP/1.1",
        b"GET /probe?target=" + b"a" * 200_000 + b" HTTP/1.1",
        b"GET /probe?" + b"&".join([b"a=b"] * 1800) + b" HTTP/1.1",
        b"GET /history/" + b"9" * 5000 + b" HTTP/1.1",
        b"GET /history/%D9%A3 HTTP/1.1",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
        b"GET //// HTTP/1.1",
        b"GET http://[::1/ HTTP/1.1",
        b"GET * HTTP/1.1",
        b"CONNECT example.com:443 HTTP/1.1",
        b"G\xcb\x88T / HTTP/1.1",
        b"GET / HTTP/9.9",
        b"GET /",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2",
    ],
    ids=lambda line: repr(line[:40])[2:-1],
)
def test_no_request_line_makes_the_exporter_fail(program: Program, line: bytes) -> None:
    reply = exchange(program, line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert not reply or status_of(reply) < 500
    assert program.get("/-/healthy").status == 200


# --- servers


MARKUP = b"<script>alert(1)</script>"
HOSTILE = {
    "quotes": b'SSH-2.0-a"b\\c"} 1 # {x="y" \'"\\"\r\n',
    "markup": b"SSH-2.0-x" + MARKUP + b" </title>" + MARKUP + b"\"'><img src=x onerror=alert(1)>\r\n",
    "bytes": b"SSH-2.0-\xff\xfe\xc3\x28\xed\xa0\x80 \xe2\x80\xae\xf4\x90\x80\x80\r\n",
    "controls": b"SSH-2.0-a\0b\x1b[31mc \x07\x7f\x85\x9b\t\r\n",
    "lines before": MARKUP + b"\r\nHELP ssh_exchange_state 1\n\xff\x1b]0;x\x07\r\nSSH-2.0-late\r\n",
    "line end inside": b"SSH-2.0-a\rb\x0bc\x0cd\xe2\x80\xa8e\r\nSSH-2.0-f\n",
    "long": b"SSH-2.0-" + b"A" * 200 + b" " + b"\xf0\x9f\x90\x8d" * 10 + b"\r\n",
    "endless": b"SSH-2.0-" + b"A" * 100_000,
    "another protocol": b"HTTP/1.0 400 Bad\r\n\r\n" + MARKUP,
    "nothing of it": bytes(range(256)) * 4,
}


class Elements(HTMLParser):
    """The names of the elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(name for name, _ in attrs)}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_server_says_every_output_can_be_parsed(name: str, tmp_path: Path) -> None:
    with FakeSshd([send(HOSTILE[name]), send(KEXINIT)]) as server:
        target = f"127.0.0.1:{server.port}"
        text = CONFIGURATION + f"background: [{{targets: ['{target}'], module: quick, interval: 2s}}]\n"
        with running(tmp_path, text, "--log.format=json", "--log.level=debug") as program:
            probed = program.probe(target, "quick")
            assert sum(probed.values("ssh_exchange_handshakes")) == 2
            assert len(probed.values("ssh_exchange_handshakes")) == len(Ending)
            wait_for(lambda: program.metrics().values("ssh_exchange_state"), SECONDS)
            for path in (probe_of(target, "quick"), "/metrics"):
                reply = program.get(path, {"Accept": OPENMETRICS})
                assert openmetrics(reply.text)
                (info,) = Samples(program.get(path).text).labels("ssh_exchange_server_info") or [{}]
                assert all(label.isprintable() and len(label) <= 300 for label in info.values()), info
            told = program.get(probe_of(target, "quick") + "&debug=true").text
            assert "\x1b" not in told
            json.loads(told.partition("Report\n------\n")[2].partition("\n\nMetrics\n")[0])
            landing = program.get("/").text
            kept = re.findall(r"(?<=href=\")/?history/[0-9]+", landing)[
                -1
            ]  # a recent one: those of targets are replaced
            for path in ("/", f"/{kept.lstrip('/')}"):
                reply = program.get(path)
                assert reply.status == 200
                names = Elements(reply.text).names
                assert not names & {"script", "img", "onerror"}, path
                assert "\x1b" not in reply.text
            assert program.stop() == 0
        lines = (tmp_path / "exporter.log").read_text().splitlines()
        assert {json.loads(line)["msg"] for line in lines} >= {"listening", "started", "probe", "stopped"}
        assert not any("exception" in json.loads(line) for line in lines)
