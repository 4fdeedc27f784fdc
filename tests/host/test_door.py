"""The door: every answer bounded, timed and recorded."""

import json
import os
import time
from pathlib import Path

from check_ssh_exchange.host.door import Door
from check_ssh_exchange.host.snapshot import Snapshot
from check_ssh_exchange.host.sources import processes

SOON = 20.0  # seconds; a program that is killed after one has ended long before


def seen(door: Door) -> Snapshot:
    """What a door recorded, written and read as a snapshot is."""
    document = {"schema": 1, "program": "check_sshd_local", **door.document}
    return Snapshot.of_document(json.loads(json.dumps(document)))


def test_a_file_is_read_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"0123456789" + b"\xff\x00\x1b")
    path = str(tmp_path / "log")
    door = Door()
    assert door.read(path, 4) == "0123"
    assert door.read(path, 4, start=2) == "2345"
    assert door.read(path, 5, from_end=True) == "89\udcff\x00\x1b"
    assert seen(door).text(path) == "89\udcff\x00\x1b"


def test_what_cannot_be_read_is_recorded_with_its_error(tmp_path: Path) -> None:
    door = Door()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name, error in [("absent", "ENOENT"), ("fifo", "EINVAL"), ("link", "ELOOP"), (".", "EINVAL")]:
        path = str(tmp_path / name)
        assert door.read(path) is None
        assert door.document["files"][path]["error"] in (error, "EISDIR"), name
        assert seen(door).text(path) is None
    assert door.list(str(tmp_path / "absent")) == []
    assert door.link(str(tmp_path / "fifo")) is None
    assert door.stat(str(tmp_path / "absent")) is None


def test_programs_run_at_once_and_without_a_shell_or_our_environment() -> None:
    os.environ["OF_THE_CALLER"] = "x"
    door = Door()
    door.want("env", key="environment")
    door.want("echo", "$HOME;id")
    door.want("cat", given=b"to read", key="input")
    door.want("sleep", "0.3")
    door.want("sleep", "0.31")
    begun = time.monotonic()
    door.run()
    assert time.monotonic() - begun < SOON
    told = seen(door)
    assert "OF_THE_CALLER" not in told.command("environment").out
    assert "LC_ALL=C\n" in told.command("environment").out
    assert told.command("echo", "$HOME;id").out == "$HOME;id\n"
    assert told.command("input").out == "to read"
    assert told.command("sleep", "0.3").is_good


def test_a_program_that_hangs_never_ends_or_is_not_there_is_an_answer_too() -> None:
    door = Door()
    door.want("sh", "-c", "sleep 60 & sleep 60", key="hangs", seconds=0.3)
    door.want("yes", key="endless", limit=1000)
    door.want("no-such-program")
    door.want("false")
    begun = time.monotonic()
    door.run()
    assert time.monotonic() - begun < SOON
    told = seen(door)
    assert told.command("hangs").error == "ETIMEDOUT"
    assert told.command("endless").error == "EFBIG"
    assert len(told.command("endless").out) == 1000
    assert told.command("no-such-program").is_absent
    assert told.command("false").code == 1


def test_the_same_program_is_run_once() -> None:
    door = Door()
    door.want("date", "+%N", key="now")
    door.run()
    first = seen(door).command("now").out
    door.want("date", "+%N", key="now")
    door.run()
    assert seen(door).command("now").out == first


def test_while_programs_run_something_else_is_looked_at(tmp_path: Path) -> None:
    looks: list[float] = []
    go = tmp_path / "go"

    def look() -> float | None:
        looks.append(time.monotonic())
        if len(looks) == 4:
            go.touch()
        return 0.01

    door = Door()
    door.want("sh", "-c", f"until test -e {go}; do sleep 0.01; done", key="waits")
    door.run(look)
    assert seen(door).command("waits").is_good
    assert len(looks) > 3


def test_the_space_of_a_file_system_is_told() -> None:
    door = Door()
    door.space("/")
    door.space("/no/such/place")
    found = seen(door).stat("space:/")
    assert found is not None
    assert found["blocks"] > found["free"] > 0
    assert seen(door).stat("space:/no/such/place") is None


def test_of_a_long_table_the_wanted_lines_are_kept_wherever_they_stand(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    rows = [f"{number}: 0100007F:0016 0100007F:8000 06 00000000:00000000" for number in range(50_000)]
    rows[40_000] = "40000: 00000000:0016 00000000:0000 0A 00000000:00000000"
    table.write_text("  sl  local_address rem_address   st tx_queue\n" + "\n".join(rows) + "\n")
    door = Door()
    door.read_lines(str(table), processes._is_open, 4096)
    assert door.document["files"][str(table)]["text"] == (
        "  sl  local_address rem_address   st tx_queue\n40000: 00000000:0016 00000000:0000 0A 00000000:00000000\n"
    )
    door.read_lines(str(table), lambda _: True, 4096)
    assert 4000 < len(door.document["files"][str(table)]["text"]) <= 4096
    door.read_lines(str(tmp_path / "none"), lambda _: True)
    assert door.document["files"][str(tmp_path / "none")] == {"error": "ENOENT"}
