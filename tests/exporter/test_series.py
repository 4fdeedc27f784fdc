"""The text of `/probe`, read back by Prometheus' own library."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from check_ssh_exchange.diagnosis.cause import Cause
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.report import Algorithms, Certificate, HostKey, Report, Server
from ssh_exchange_exporter.exposition.series import FAMILIES, probe_text
from ssh_exchange_exporter.probe_response import ProbeResponse

from ..reports import run
from .test_background_targets import result

HOSTILE = Server("SSH-2.0-x", "2.0", 'a"b\\c%s', "{d=\\x0a} 1%")


OFFERED = Algorithms(("diffie-hellman-group14-sha1",), ("ssh-rsa",), ("aes128-ctr",), ("hmac-sha1",))
KEY = HostKey("ssh-rsa-cert-v01@openssh.com", "SHA256:x", Certificate("id", 1, (), 0, 2000, "SHA256:ca"))


def deep(report: Report) -> Report:
    """Return the report with a host certificate and an offer that new clients refuse."""
    first, *others = report.handshakes
    return report._replace(algorithms=OFFERED, handshakes=(first._replace(host_key=KEY), *others))


def families(server: Server | None, *endings: Ending, is_openmetrics: bool) -> dict[str, dict[tuple[str, ...], float]]:
    report = run(*endings, banner=0.004)._replace(server=server, resolve=0.25)
    report = deep(report) if server else report._replace(algorithms=None)
    found = result(1, report)
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
    infos = {name for name, (kind, _) in FAMILIES.items() if kind == "info"}
    named = {name if is_openmetrics else f"{name}_info" for name in infos}
    assert set(found) == set(FAMILIES) - infos | named
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
    assert single["ssh_exchange_post_quantum",] == 0
    keys = [sample for family, samples in found.items() if "host_key" in family for sample in samples]
    assert keys == [("ssh_exchange_host_key_info", "SHA256:x", KEY.type)]
    name = "ssh_exchange_host_certificate_expiry_timestamp_seconds"
    assert found[name] == {(name, KEY.type): 2000}
    clients = {key[1] for name in found if "refused" in name for key in found[name]}
    assert {"OpenSSH 8.8", "OpenSSH 10.x"} <= clients
    assert "OpenSSH 7.4" not in clients
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
