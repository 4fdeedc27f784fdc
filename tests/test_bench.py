import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import engine as engine_bench
from bench import loop, machine, pcap
from bench.__main__ import BENCHES
from tests.lab import busy_server as server

pytestmark = [pytest.mark.timing, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[1]
BENCH_SECONDS = 590.0  # a quick bench takes a minute
RESULTS = ROOT / "bench" / "RESULTS.md"
TITLES = [
    "CPU of a default run, 5 handshakes, whole process",
    "engine CPU per handshake, depth banner, 200 at once",
    "banner latency against a packet capture, 200 at once",
    "handshakes per CPU-second, /probe with 5 handshakes, depth banner",
    "background probing, 10000 targets x 5 handshakes each minute",
]
SPREAD = r"\d+\.\d \(\d+\.\d to \d+\.\d\)"


def bench(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=BENCH_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def cells(page: str, first: str) -> list[str]:
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {first} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    kept = tmp_path_factory.mktemp("bench") / "page.md"
    before = RESULTS.read_bytes() if RESULTS.exists() else None
    rows = [
        name for name in BENCHES if name != "icinga"
    ]  # that one takes a minute; tests/test_icinga_resident.py has it
    printed = bench(*rows, "--quick", "--output", str(kept))
    assert kept.read_text() == printed
    assert (RESULTS.read_bytes() if RESULTS.exists() else None) == before
    return printed


def test_the_page_says_when_and_where_it_was_taken(page: str) -> None:
    title, _, *facts = page.splitlines()[:6]
    assert title == "# Results of `make bench` (quick: figures mean nothing)"
    assert [fact.partition(":")[0] for fact in facts] == ["- date", "- machine", "- Python", "- versions"]
    assert re.fullmatch(r"- date: \d{4}-\d\d-\d\d \d\d:\d\d UTC", facts[0])


@pytest.mark.parametrize("title", TITLES)
def test_every_row_stands_in_the_first_table_and_ends_in_its_verdict(page: str, title: str) -> None:
    _, target, measured, result = cells(page, title)
    assert result in {"reached", "NOT reached", "not measured"}
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert section.rstrip().splitlines()[-1] == f"**{result}**: {measured} (target: {target})"


def test_the_process_table_has_every_program_with_its_figures_or_what_to_install(page: str) -> None:
    for program in ("python -c pass", "check_ssh_exchange, 5 handshakes"):
        _, cpu, wall, against, codes = cells(page, program)
        assert re.fullmatch(SPREAD, cpu)
        assert re.fullmatch(SPREAD, wall)
        assert re.fullmatch(r"\d+\.\d\dx", against)
        assert codes == "0"
    for program in ("check_ssh", "ssh-keyscan"):
        (cpu,) = re.findall(rf"^\| {program}(?:, 1 [a-z ]+?)? +\| (.+?) +\|", page, re.MULTILINE)
        assert re.fullmatch(f"{SPREAD}|not installed: apt-get install [a-z-]+", cpu)


def test_the_plugin_of_the_bench_has_loaded_neither_asyncio_nor_asyncssh(page: str) -> None:
    assert re.fullmatch(r"\d+\.\d\dx, neither loaded", cells(page, TITLES[0])[2])


def test_the_engine_table_sets_every_kind_against_the_loop(page: str) -> None:
    for kind in engine_bench.KINDS:
        _, cpu, against = cells(page, kind)
        assert re.fullmatch(SPREAD, cpu)
        assert re.fullmatch(r"\d+\.\d\dx", against)
    assert cells(page, next(iter(engine_bench.KINDS)))[2] == "1.00x"


def test_the_capture_has_seen_every_handshake_of_the_burst(page: str) -> None:
    if cells(page, TITLES[2])[3] == "not measured":
        pytest.skip(cells(page, TITLES[2])[2])
    assert cells(page, "all")[1] == "200"


def test_the_probe_table_sets_us_against_blackbox_exporter(page: str) -> None:
    if cells(page, TITLES[3])[3] == "not measured":
        pytest.skip(cells(page, TITLES[3])[2])
    ours, theirs = cells(page, "ssh_exchange_exporter"), cells(page, "blackbox_exporter")
    assert theirs[-1] == "1.00x"
    assert cells(page, TITLES[3])[2] == ours[-1]
    per_probe = [float(re.match(r"\d+", cell)[0]) for cell in (ours[2], theirs[2])]  # type: ignore[index]
    per_second = [float(re.match(r"\d+", cell)[0]) for cell in (ours[1], theirs[1])]  # type: ignore[index]
    assert per_second[0] * per_probe[0] == pytest.approx(5e6, rel=0.1)
    assert per_second[1] * per_probe[1] == pytest.approx(1e6, rel=0.1)


def test_every_background_target_was_probed_and_its_series_were_scraped_in_both_formats(page: str) -> None:
    targets = 500  # of a quick run, each probed every 3 s
    assert int(cells(page, "background probes in that time")[1]) >= targets / 2
    assert int(cells(page, "series on /metrics")[1]) > 70 * targets
    kinds = ("OpenMetrics, gzip (Prometheus 2.42)", "OpenMetrics", "text 0.0.4, gzip", "text 0.0.4")
    for causes, kind in itertools.product(("all", "current"), kinds):
        took, size = re.fullmatch(
            r"([\d.]+) s \([\d.]+ to [\d.]+\), ([\d.]+) MB", cells(page, f"/metrics, causes: {causes}, {kind}")[1]
        ).groups()  # type: ignore[union-attr]
        assert float(took) < 60
        assert (float(size) < 1.0) == ("gzip" in kind)
    for what in ("without", "with"):
        assert re.fullmatch(r"p50 \d+, p99 \d+ of [1-9]\d*", cells(page, f"banner {what} scrapes, us")[1])


def test_a_missing_program_is_a_row_that_says_what_to_install(tmp_path: Path) -> None:
    page = bench("--quick", "process", "capture", "probe", PATH=str(tmp_path))
    assert cells(page, "ssh-keyscan")[1] == "not installed: apt-get install openssh-client"
    assert cells(page, TITLES[2])[2:] == ["tcpdump is not installed: apt-get install tcpdump", "not measured"]
    blackbox = "prometheus-blackbox-exporter"
    assert cells(page, TITLES[3])[2:] == [f"{blackbox} is not installed: apt-get install {blackbox}", "not measured"]


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_engine_and_loop_make_the_same_system_calls_equally_often(tmp_path: Path) -> None:
    assert calls("engine", tmp_path) == calls("loop", tmp_path)


def calls(kind: str, directory: Path) -> dict[str, int]:
    """How often one round of 200 handshakes makes each system call that has to do with them."""
    counts = directory / kind
    with server.answering() as target:
        command = ["strace", "-c", "-o", str(counts), sys.executable, "-m", "bench.engine", kind]
        subprocess.run([*command, server.fresh_address(), str(target.port)], cwd=ROOT, check=True, timeout=60)
    found = {line.split()[-1]: int(line.split()[3]) for line in counts.read_text().splitlines()[2:-2]}
    names = ("socket", "setsockopt", "connect", "getsockname", "epoll_ctl", "getsockopt", "recvmsg", "sendto")
    return {name: found[name] for name in names}


def test_loop_and_engine_are_answered_by_the_same_server() -> None:
    with server.answering() as target:
        for handshakes in engine_bench.KINDS.values():
            handshakes((server.fresh_address(), target.port), 5)
        loop.handshakes((server.fresh_address(), target.port), 1)


def test_a_capture_is_read_segment_by_segment() -> None:
    ip = bytes.fromhex("4500003c00004000400600007f0000017f000002")
    tcp = bytes.fromhex("001604d2 00000000 00000000 5012 0000 0000 0000")
    frame = bytes(12) + b"\x08\x00" + ip + tcp + b"SSH-"
    head = (0xA1B23C4D).to_bytes(4, sys.byteorder) + bytes(16) + (1).to_bytes(4, sys.byteorder)
    record = b"".join(number.to_bytes(4, sys.byteorder) for number in (7, 9, len(frame), len(frame)))
    (segment,) = pcap.segments(head + record + frame)
    assert segment == pcap.Segment(
        7_000_000_009, (b"\x7f\0\0\1", 22), (b"\x7f\0\0\2", 1234), pcap.SYN | pcap.ACK, b"SSH-"
    )
    with pytest.raises(ValueError, match="no pcap file of Ethernet frames"):
        list(pcap.segments(bytes(24)))


def test_what_is_missing_is_named_with_its_package() -> None:
    assert [machine.remedy(name).split()[-1] for name in ("check_ssh", "ssh-keyscan", "tcpdump")] == [
        "monitoring-plugins-basic",
        "openssh-client",
        "tcpdump",
    ]
