"""Which exporter probes a target, and when: by hashes alone."""

import itertools
import random

import pytest

from check_ssh_exchange.plan import Target
from ssh_exchange_exporter.background.share import Shard, phase, seconds_until
from ssh_exchange_exporter.background.targets import Fleet, TargetSpec
from ssh_exchange_exporter.configuration.configuration import shard_of
from ssh_exchange_exporter.configuration.module import Module
from ssh_exchange_exporter.configuration.target import parse_target

TARGETS = [Target(f"server-{number}.example", 22) for number in range(10_000)]
VANTAGES = ("fra", "iad", "sin")
EPOCH = 1_800_000_000.0


def owners(shards: int) -> list[int]:
    """The shard of each target; every target has exactly one."""
    found = []
    for target in TARGETS:
        (owner,) = [number for number in range(1, shards + 1) if Shard(number, shards).holds(target)]
        found.append(owner)
    return found


@pytest.mark.parametrize("shards", [1, 2, 3, 10])
def test_each_target_belongs_to_one_shard_and_all_have_about_as_many(shards: int) -> None:
    counts = [owners(shards).count(number) for number in range(1, shards + 1)]
    fair = len(TARGETS) / shards
    # Four standard deviations of a binomial distribution.
    assert all(abs(count - fair) <= 4 * fair**0.5 for count in counts)


def test_one_more_shard_takes_its_share_and_moves_nothing_else() -> None:
    before, after = owners(4), owners(5)
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {new for _, new in moved} == {5}
    assert len(moved) == after.count(5)
    assert {old for old, _ in moved} == {1, 2, 3, 4}


def test_a_server_has_one_shard_however_it_is_written() -> None:
    for number in range(1, 8):
        shard = Shard(number, 7)
        assert shard.holds(parse_target("Bastion.example")) == shard.holds(parse_target("bastion.example:22"))


@pytest.mark.parametrize(("text", "shard"), [("1/1", Shard()), ("2/3", Shard(2, 3)), ("10/10", Shard(10, 10))])
def test_a_shard_is_written_as_one_of_many(text: str, shard: Shard) -> None:
    assert shard_of(text) == shard


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "a/b", "1/2/3", " 1/2", "-1/2", "\u0661/\u0662"])
def test_what_is_no_shard_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="must be I/N, from 1/N to N/N, as in 2/3 for the second of three"):
        shard_of(text)


def test_vantage_points_come_to_a_server_at_moments_of_their_own() -> None:
    moments = {vantage: [phase(target, vantage, 60.0) for target in TARGETS] for vantage in VANTAGES}
    for found in moments.values():
        assert all(0 <= moment < 60 for moment in found)
        # Spread over the interval: as many targets in each second.
        counts = [sum(second <= moment < second + 1 for moment in found) for second in range(60)]
        assert max(counts) <= 2 * min(counts)
    # Three at once would need all three within the half second of a run: by chance, four of 10,000 targets.
    together = sum(max(at) - min(at) < 0.5 for at in zip(*moments.values(), strict=True))
    assert together <= 10


def spec(vantage: str, interval: float = 60.0) -> TargetSpec:
    return TargetSpec("server.example", Target("server.example"), (), "default", Module(), interval, vantage)


def test_with_a_vantage_each_turn_is_at_its_moment_whatever_a_probe_takes() -> None:
    fleet = Fleet()
    moment = phase(Target("server.example"), "fra", 60.0)
    now, epoch = 1000.0, EPOCH
    fleet.replace([spec("fra")], (1.0,), now, epoch)
    turns = []
    for _ in range(50):
        due = fleet.next_due()
        assert due is not None
        turns.append(epoch + due - now)
        target = fleet.pop()
        took = random.uniform(0.0, 14.0)
        epoch, now = epoch + due - now + took, due + took
        fleet.again(target, now, epoch)
    assert [round(turn % 60.0, 3) for turn in turns] == [round(moment, 3)] * 50
    assert {round(later - turn) for turn, later in itertools.pairwise(turns)} == {60}


@pytest.mark.parametrize("step", [-3600.0, -1.0, -0.2, 0.0, 0.2, 1.0, 3600.0])
def test_a_clock_that_is_set_makes_no_turn_come_twice_or_late(step: float) -> None:
    fleet = Fleet()
    fleet.replace([spec("fra")], (1.0,), 1000.0, EPOCH)
    due = fleet.next_due()
    assert due is not None
    target = fleet.pop()
    after = due + 0.3
    fleet.again(target, after, EPOCH + (after - 1000.0) + step)
    again = fleet.next_due()
    assert again is not None
    assert 15.0 - 0.31 <= again - due <= 75.31


def test_without_a_vantage_turns_are_spread_by_chance() -> None:
    fleet = Fleet()
    specs = [TargetSpec(f"h{number}", Target(f"h{number}"), (), "default", Module(), 60.0) for number in range(1000)]
    fleet.replace(specs, (1.0,), 1000.0, EPOCH)
    due = sorted(target.due for target in fleet.targets.values())
    assert 1000.0 <= due[0] < 1003.0
    assert 1057.0 < due[-1] <= 1060.0


def test_seconds_until_are_less_than_an_interval() -> None:
    for at in (0.0, 59.999, 30.0):
        for epoch in (EPOCH, EPOCH + 59.9999, EPOCH + 0.5):
            left = seconds_until(at, 60.0, epoch)
            assert 0 <= left < 60
            assert round((epoch + left) % 60 - at, 6) in (0.0, 60.0, -60.0)
