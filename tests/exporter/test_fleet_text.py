"""The text of the fleet's series, read back by the library's own parsers."""

import subprocess
from shutil import which

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.report import Server
from ssh_exchange_exporter.background.targets import BackgroundTarget
from ssh_exchange_exporter.exposition.fleet_text import FAMILIES, FleetText

from ..reports import run
from .test_background_targets import BOUNDS, result, spec
from .test_series import KEY, deep

Read = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str, *, is_openmetrics: bool) -> Read:
    families = read_openmetrics(text + "# EOF\n") if is_openmetrics else read_text(text)  # type: ignore[no-untyped-call]
    return {(s.name, frozenset(s.labels.items())): float(s.value) for family in families for s in family.samples}


def probed(target: str = "192.0.2.1:22", **labels: str) -> BackgroundTarget:
    background = BackgroundTarget(spec(target, labels=labels), BOUNDS)
    report = run(Ending.COMPLETED, Ending.COMPLETED, Ending.CLOSED, Ending.TURNED_AWAY)
    background.add(result(7, deep(report)))
    return background


@pytest.mark.parametrize("is_openmetrics", [False, True])
def test_every_family_is_there_with_its_values(is_openmetrics: bool) -> None:
    read = samples(
        FleetText().write([probed(site="fra")], is_openmetrics=is_openmetrics), is_openmetrics=is_openmetrics
    )
    own = {"target": "192.0.2.1:22", "site": "fra"}

    def value(name: str, **labels: str) -> float:
        return read[name, frozenset({**own, **labels}.items())]

    for ending in Ending:
        expected = {"completed": 2, "closed": 1, "turned_away": 1}.get(ending, 0)
        assert value("ssh_exchange_handshakes_total", ending=ending) == expected
    assert sum(value("ssh_exchange_cause", cause=cause) for cause in Cause) == 1
    assert value("ssh_exchange_early_close_ratio") == 0.5
    assert value("ssh_exchange_state") in (1, 2)
    assert value("ssh_exchange_last_probe_timestamp_seconds") == 1000
    assert value("ssh_exchange_probes_deferred_total") == 0
    assert value("ssh_exchange_phase_duration_seconds_bucket", phase="banner", le="0.001") == 0
    assert value("ssh_exchange_phase_duration_seconds_bucket", phase="banner", le="0.01") == 2
    assert value("ssh_exchange_phase_duration_seconds_bucket", phase="banner", le="+Inf") == 2
    assert value("ssh_exchange_phase_duration_seconds_count", phase="banner") == 2
    assert value("ssh_exchange_phase_duration_seconds_sum", phase="banner") == pytest.approx(0.006)
    version = {"software": "OpenSSH_9.2p1", "protocol": "2.0", "comments": "Debian-2"}
    assert value("ssh_exchange_server_info", **version) == 1
    assert value("ssh_exchange_host_key_info", type=KEY.type, fingerprint="SHA256:x") == 1
    assert value("ssh_exchange_host_certificate_expiry_timestamp_seconds", type=KEY.type) == 2000
    assert value("ssh_exchange_post_quantum") == 0
    assert value("ssh_exchange_refused_clients_info", client="OpenSSH 8.8") == 1
    assert {name.removesuffix("_total").removesuffix("_info") for name, _ in read} >= set(FAMILIES) - {
        "ssh_exchange_phase_duration_seconds"
    }


def test_a_target_not_probed_yet_has_its_counters_at_zero() -> None:
    read = samples(
        FleetText().write([BackgroundTarget(spec("h:22"), BOUNDS)], is_openmetrics=False), is_openmetrics=False
    )
    assert set(read.values()) == {0.0}
    assert {name for name, _ in read} == {
        "ssh_exchange_handshakes_total",
        "ssh_exchange_phase_duration_seconds_bucket",
        "ssh_exchange_phase_duration_seconds_count",
        "ssh_exchange_phase_duration_seconds_sum",
        "ssh_exchange_probes_deferred_total",
    }


def test_lines_are_written_anew_after_a_probe_and_leave_with_their_target() -> None:
    text = FleetText()
    one, other = probed("192.0.2.1:22"), probed("192.0.2.2:22")
    text.write([one, other], is_openmetrics=False)
    one.add(result(8, run(Ending.REFUSED)))
    other.deferred += 1
    read = samples(text.write([one, other], is_openmetrics=False), is_openmetrics=False)
    own = frozenset({("target", "192.0.2.1:22"), ("ending", "refused")})
    assert read["ssh_exchange_handshakes_total", own] == 1
    assert read["ssh_exchange_probes_deferred_total", frozenset({("target", "192.0.2.2:22")})] == 1
    assert "192.0.2.2" not in text.write([one], is_openmetrics=False)


@given(st.dictionaries(st.sampled_from(["site", "a"]), st.text(max_size=20)), st.text(max_size=30))
def test_labels_come_back_as_they_were(labels: dict[str, str], software: str) -> None:
    target = BackgroundTarget(spec("192.0.2.1:22", labels=labels), BOUNDS)
    report = run(Ending.COMPLETED)._replace(server=Server("x", "2.0", software, ""))
    target.add(result(1, report))
    for is_openmetrics in (False, True):
        written = FleetText().write([target], is_openmetrics=is_openmetrics)
        if any(ord(letter) < 32 for letter in software + "".join(labels.values())):
            continue  # the parsers split lines at more than line feeds; configured and printable texts have none
        read = samples(written, is_openmetrics=is_openmetrics)
        own = {"target": "192.0.2.1:22", **labels}
        info = {**own, "software": software, "protocol": "2.0", "comments": ""}
        assert read["ssh_exchange_server_info", frozenset(info.items())] == 1


def test_promtool_finds_nothing_to_say() -> None:
    if which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    written = FleetText().write([probed(site='a"b\\c'), probed("[2001:db8::1]:22", site="é")], is_openmetrics=False)
    done = subprocess.run(["promtool", "check", "metrics"], input=written.encode(), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
