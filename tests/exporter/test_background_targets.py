"""Background targets: who is due when, what adds up, what a reload changes."""

import itertools
import random
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

import pytest

from check_ssh_exchange.diagnosis.evaluate import evaluate
from check_ssh_exchange.ending import Ending
from check_ssh_exchange.report import Report
from ssh_exchange_exporter.background.targets import BackgroundTarget, Fleet, TargetSpec
from ssh_exchange_exporter.configuration.module import Module
from ssh_exchange_exporter.configuration.target import parse_target
from ssh_exchange_exporter.probe_request import Origin
from ssh_exchange_exporter.recent_probes import RecentProbes
from ssh_exchange_exporter.result import Result

from ..reports import run

BOUNDS = (0.001, 0.01, 0.1)
MODULE = Module()


def spec(text: str, interval: float = 60.0, labels: Mapping[str, str] = MappingProxyType({})) -> TargetSpec:
    return TargetSpec(text, parse_target(text), tuple(sorted(labels.items())), "default", MODULE, interval)


def result(number: int, report: Report, origin: Origin = Origin.BACKGROUND) -> Result:
    outcome = evaluate(report, None, MODULE.expectations())
    return Result(number, "host", "default", origin, 1000.0, 0.1, outcome)


def fleet_of(count: int, interval: float = 60.0) -> Fleet:
    fleet = Fleet()
    fleet.replace([spec(f"192.0.2.{number}:22", interval) for number in range(count)], BOUNDS, 1000.0)
    return fleet


def walk(fleet: Fleet, until: float) -> list[tuple[float, BackgroundTarget]]:
    """Probe without delay whatever is due until then."""
    done = []
    while (due := fleet.next_due()) is not None and due < until:
        target = fleet.pop()
        done.append((due, target))
        fleet.again(target, due)
    return done


def test_first_probes_are_spread_over_the_interval() -> None:
    times = [due for due, _ in walk(fleet_of(250), 1060.0)][:250]
    by_tenth = Counter(int((due - 1000) // 6) for due in times)
    assert len(by_tenth) == 10
    assert max(by_tenth.values()) < 60


def test_each_target_has_its_turn_every_interval_and_no_two_rounds_are_alike() -> None:
    random.seed(7)  # by chance a mean of thirty jittered intervals is two seconds off, once in a thousand runs
    times: dict[int, list[float]] = {}
    for due, target in walk(fleet_of(50), 1000.0 + 60 * 30):
        times.setdefault(id(target), []).append(due)
    assert len(times) == 50
    for dues in times.values():
        gaps = [after - before for before, after in itertools.pairwise(dues)]
        assert all(54 <= gap <= 66 for gap in gaps)
        assert len(set(gaps)) == len(gaps)
        assert 58 < sum(gaps) / len(gaps) < 62


def test_turns_that_were_missed_are_not_made_up_for() -> None:
    fleet = fleet_of(1)
    target = fleet.pop()
    fleet.again(target, 5000.0)
    assert fleet.next_due() == 5000.0


def test_a_target_that_was_held_back_comes_back_when_the_budget_does() -> None:
    fleet = fleet_of(1)
    fleet.later(fleet.pop(), 2000.0, wait=3.0)
    assert fleet.next_due() == 2003.0
    fleet.later(fleet.pop(), 2003.0, wait=500.0)
    assert fleet.next_due() == 2063.0


def test_a_reload_keeps_counters_and_turns_and_drops_what_is_gone() -> None:
    fleet = Fleet()
    fleet.replace([spec("192.0.2.1:22"), spec("192.0.2.2:22")], BOUNDS, 1000.0)
    first, second = fleet.targets.values()
    first.add(result(1, run(Ending.COMPLETED, Ending.CLOSED)))
    due = first.due
    gone = fleet.replace([spec("192.0.2.1:22"), spec("192.0.2.3:22", labels={"site": "fra"})], BOUNDS, 1010.0)
    assert gone == [second]
    kept, new = fleet.targets.values()
    assert kept is first
    assert kept.due == due
    assert kept.counters.endings[Ending.CLOSED] == 1
    assert new.labels == {"target": "192.0.2.3:22", "site": "fra"}
    assert {target.spec.text for _, target in walk(fleet, 1080.0)} == {"192.0.2.1:22", "192.0.2.3:22"}


def test_other_buckets_begin_new_histograms_and_keep_the_counters() -> None:
    fleet = fleet_of(1)
    (target,) = fleet.targets.values()
    target.add(result(1, run(Ending.COMPLETED)))
    fleet.replace([target.spec], (1.0, 2.0), 1001.0)
    assert target.counters.endings[Ending.COMPLETED] == 1
    assert target.counters.distributions["banner"].counts == [0, 0, 0]


def test_a_shorter_interval_counts_at_once() -> None:
    fleet = Fleet()
    fleet.replace([spec("192.0.2.1:22", 3600.0)], BOUNDS, 1000.0)
    fleet.replace([spec("192.0.2.1:22", 5.0)], BOUNDS, 1000.0)
    due = fleet.next_due()
    assert due is not None
    assert due <= 1005.0
    assert len(walk(fleet, 1030.0)) >= 4


def test_histograms_hold_completed_handshakes_by_their_bucket() -> None:
    target = BackgroundTarget(spec("192.0.2.1:22"), BOUNDS)
    target.add(result(1, run(Ending.COMPLETED, Ending.COMPLETED, Ending.CLOSED_AFTER_BANNER, banner=0.01)))
    target.add(result(2, run(Ending.COMPLETED, banner=0.5)))
    banner = target.counters.distributions["banner"]
    assert banner.counts == [0, 2, 0, 1]
    assert banner.total == pytest.approx(0.52)


def test_history_keeps_failures_longer_and_each_targets_last() -> None:
    recent = RecentProbes(3)
    bad = result(1, run(Ending.CLOSED), Origin.PROBE)
    recent.add(bad)
    for number in range(2, 9):
        recent.add(result(number, run(Ending.COMPLETED), Origin.PROBE))
    assert [kept.number for kept in recent.recent()] == [8, 7, 6, 1]
    assert recent.find(1) is bad
    assert recent.find(2) is None
    for number in range(20, 30):
        recent.keep("one", result(number, run(Ending.COMPLETED)))
    assert recent.find(28) is None
    assert recent.find(29) is not None
    recent.forget("one")
    assert recent.find(29) is None
