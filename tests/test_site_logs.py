"""The lines of docs/costs.md that keep probes out of the log: what sshd really logs, and a real rsyslog."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from check_ssh_exchange.wire.exchange import DISCONNECT
from tests.lab import zoo
from tests.lab.front_door import NEVER_SLOW, check, wait_until
from tests.site.blocks import DOCS, blocks_of

PAGE = DOCS / "costs.md"
RSYSLOG, SYSTEMD = (block.body for block in blocks_of(PAGE) if block.name == "tests/test_site_logs.py")


def test_the_filters_name_the_words_of_our_disconnect() -> None:
    words = DISCONNECT[1].decode()
    assert re.findall(r'^:msg, contains, "(.*)" stop$', RSYSLOG, re.MULTILINE) == [words]
    assert re.findall(r"^LogFilterPatterns=~(.*)$", SYSTEMD, re.MULTILINE) == [words]


@pytest.mark.real
@pytest.mark.usefixtures("complete_zoo")
@pytest.mark.parametrize("name", ["openssh-8.4", "openssh-10.6"])
def test_sshd_logs_these_words(name: str) -> None:
    with zoo.server(name) as server:
        assert check("-H", server.address, "-p", str(server.port), *NEVER_SLOW).code == 0
        wait_until(lambda: server.log().count(DISCONNECT[1].decode()) == 5)


@pytest.mark.real
def test_rsyslog_leaves_out_what_the_line_names(tmp_path: Path) -> None:
    daemon, logger = shutil.which("rsyslogd", path="/usr/sbin:/sbin"), shutil.which("logger")
    if os.geteuid() != 0 or daemon is None or logger is None:
        pytest.skip("rsyslogd and logger are not installed: apt-get install rsyslog bsdutils")
    out, entry, pid = tmp_path / "out", tmp_path / "log", tmp_path / "pid"
    (tmp_path / "rsyslog.conf").write_text(
        f'module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" Socket="{entry}")\n{RSYSLOG}\n*.* {out}\n'
    )
    command = [daemon, "-n", "-f", str(tmp_path / "rsyslog.conf"), "-i", str(pid)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(entry.exists)
        for line in ("before", "Received disconnect from 192.0.2.7 port 1:11: check_ssh_exchange: probe done", "after"):
            subprocess.run([logger, "-u", str(entry), "-t", "sshd", line], check=True)
        wait_until(lambda: out.exists() and "after" in out.read_text())
        assert "before" in out.read_text()
        assert "probe done" not in out.read_text()
    finally:
        process.terminate()
        process.wait(60)
