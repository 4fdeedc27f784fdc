"""Which handshakes enter the latency figures."""

import pytest

from .lab.fake_sshd import FIN, IDENTIFICATION, KEXINIT, FakeSshd, hear, pause, send
from .lab.front_door import at, check

HEALTHY = [send(IDENTIFICATION), hear(1), send(KEXINIT), hear(4000)]
SLOW_AND_GONE = [pause(0.5), send(IDENTIFICATION), hear(1), FIN]


@pytest.mark.timing
def test_a_handshake_that_failed_after_its_banner_enters_no_latency_figure() -> None:
    with FakeSshd(HEALTHY, SLOW_AND_GONE, SLOW_AND_GONE, SLOW_AND_GONE, SLOW_AND_GONE, HEALTHY) as server:
        answer = check(*at(server), "-c", "banner_max=0.4", "-c", "early_close=~:", "-w", "early_close=~:")
    assert " closed_after_banner=4;" in answer.out
    assert answer.code == 0, answer.out
