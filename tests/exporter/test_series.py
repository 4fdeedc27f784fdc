"""The text of `/probe`, read back by Prometheus' own library."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.report import Server
from ssh_exchange_exporter.exposition.series import FAMILIES, probe_text
from ssh_exchange_exporter.probe_response import ProbeResponse

from ..reports import run
from .test_background_targets import result

HOSTILE = Server("SSH-2.0-x", "2.0", 'a"b\\c', "{d=\\x0a} 1")


def families(server: Server | None, *endings: Ending, is_openmetrics: bool) -> dict[str, dict[tuple[str, ...], float]]:
    found = result(1, run(*endings, banner=0.004)._replace(server=server, resolve=0.25))
    text = probe_text(ProbeResponse(found, age=3.5), 0.75, 9.5, is_openmetrics=is_openmetrics)
    assert text.endswith("# EOF\n") == is_openmetrics
    return {
        family.name: {(s.name, *s.labels.values()): float(s.value) for s in family.samples}
        for family in (read_openmetrics if is_openmetrics else read_text)(text)
    }


@pytest.mark.parametrize("is_openmetrics", [False, True])
def test_the_library_reads_back_every_family_and_what_a_hostile_server_said(is_openmetrics: bool) -> None:
    found = families(HOSTILE, Ending.COMPLETED, Ending.CLOSED, is_openmetrics=is_openmetrics)
    info = "ssh_exchange_server" if is_openmetrics else "ssh_exchange_server_info"
    assert set(found) == set(FAMILIES) - {"ssh_exchange_server"} | {info}
    assert found[info] == {("ssh_exchange_server_info", HOSTILE.comments, "2.0", HOSTILE.software): 1}
    handshakes = {ending: found["ssh_exchange_handshakes"]["ssh_exchange_handshakes", ending] for ending in Ending}
    assert handshakes == {ending: ending in (Ending.COMPLETED, Ending.CLOSED) for ending in Ending}
    assert len(found["ssh_exchange_cause"]) == len(Cause)
    assert sum(found["ssh_exchange_cause"].values()) == 1
    name = "ssh_exchange_phase_seconds"
    banner = {key: value for key, value in found[name].items() if key[1] == "banner"}
    assert {key: value for key, value in banner.items() if len(key) == 3} == {
        (name, "banner", fraction): 0.004 for fraction in ("0", "0.5", "0.9", "1")
    }
    assert banner[f"{name}_count", "banner"] == 1
    assert banner[f"{name}_sum", "banner"] == 0.004
    single = {key: value for samples in found.values() for key, value in samples.items() if len(key) == 1}
    assert single["probe_success",] == 1
    assert single["probe_duration_seconds",] == 0.75
    assert single["probe_timeout_seconds",] == 9.5
    assert single["probe_dns_lookup_time_seconds",] == 0.25
    assert single["ssh_exchange_early_close_ratio",] == 0.5
    assert single["ssh_exchange_result_age_seconds",] == 3.5


def test_what_was_not_measured_has_no_sample() -> None:
    found = families(None, Ending.REFUSED, is_openmetrics=True)
    assert "ssh_exchange_early_close_ratio" not in found
    assert found["ssh_exchange_server"] == found["ssh_exchange_phase_seconds"] == {}
