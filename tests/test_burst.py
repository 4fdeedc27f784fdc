"""What a burst says of the server: whether we alone hit its limit, and how many others it holds."""

import math
import random

import pytest

from check_ssh_exchange.diagnosis import maxstartups
from check_ssh_exchange.diagnosis.budget import followups
from check_ssh_exchange.diagnosis.explain import diagnose
from check_ssh_exchange.diagnosis.maxstartups import MaxStartups
from check_ssh_exchange.plan import Followup, Plan
from check_ssh_exchange.report import Report
from tests.runs import EXCEEDED, run, shake

# --- our own burst


@pytest.mark.parametrize(
    ("report", "setting", "expected"),
    [
        # Random drops by others' load may well look like this once, and not twice.
        (run("SSSSt", "S", says=EXCEEDED, by="9.2"), None, False),
        (run("SSStt", "S", says=EXCEEDED, by="9.2"), None, False),
        (run("SSSSt", "S", again="SSSt", says=EXCEEDED, by="9.2"), None, True),
        (run("SSStt", "S", again="SStt", says=EXCEEDED, by="9.2"), None, True),
        (run("SSttt", "S", again="Sttt", says=EXCEEDED, by="9.2"), None, True),
        (run("Stttt", "S", again="tttt", says=EXCEEDED, by="9.2"), None, True),
        (run("SSStt", "S", again="SSSt", says=EXCEEDED, by="9.2"), None, False),
        (run("SSSStttt", "S", says=EXCEEDED, by="9.2"), None, True),
        # Ten are free at a default server, and of more only some are dropped.
        (run("S" * 11 + "tSStSS", "S", says=EXCEEDED, by="9.2"), None, True),
        (run("S" * 11 + "tSStSS", "t", says=EXCEEDED, by="9.2"), None, False),
        (run("SStSt", "S", says=EXCEEDED, by="9.2"), None, False),
        (run("tSSSt", "S", says=EXCEEDED, by="9.2"), None, False),
        (run("SSSSt", "t", says=EXCEEDED, by="9.2"), None, False),
        (run("SSSSt", says=EXCEEDED, by="9.2"), None, False),
        (run("SSSSt", "S", says=EXCEEDED, by="9.2"), "3:100:3", True),
        (run("SSSSt", "S", says=EXCEEDED, by="9.2"), "10:30:100", False),
        # Another limit than MaxStartups does not care for that number.
        (run("SSSSt", "S", second="S", says=EXCEEDED, by="9.2"), "10:30:100", True),
        (run("SSSSR", "S", by="9.2"), None, True),
        (run("SSSxx", "x", by="9.2"), None, False),
        (run("ttttt", says=EXCEEDED), None, False),
    ],
)
def test_a_limit_that_our_own_burst_hits_is_self_inflicted(report: Report, setting: str | None, expected: bool) -> None:
    known = maxstartups.parse(setting) if setting else None
    assert diagnose(report, known).self_inflicted is expected


DEFAULT = MaxStartups()


def drops(chance: random.Random, setting: MaxStartups, held: int) -> Report | None:
    """A default run, with the further tests that it calls for, while others hold `held` slots; None without a drop."""
    letters = simulate(chance, setting, held, 5)
    if "t" not in letters:
        return None
    report = run(letters, says=EXCEEDED, by="9.2")
    wanted = followups(report, Plan())
    alone = simulate(chance, setting, held, 1) if Followup.ALONE in wanted else ""
    once_more = Followup.SECOND_BURST in wanted and alone == "S"
    again = simulate(chance, setting, held, 5, baseline=False) if once_more else ""
    return run(letters, alone, again=again, says=EXCEEDED, by="9.2")


@pytest.mark.parametrize("held", [[10], [12], [15], [20], [30], [40], [*range(7, 41)]])
def test_throttling_by_others_is_hardly_ever_blamed_on_our_own_burst(held: list[int]) -> None:
    chance = random.Random(held[0])
    runs = [report for _ in range(3000) if (report := drops(chance, DEFAULT, chance.choice(held)))]
    wrong = sum(diagnose(report).self_inflicted for report in runs)
    assert len(runs) > 2000
    assert wrong / len(runs) <= 0.02, f"{wrong} of {len(runs)}"


@pytest.mark.parametrize("setting", ["1:100:1", "2:100:2", "3:100:3"])
def test_a_limit_below_our_own_burst_is_known_for_what_it_is(setting: str) -> None:
    report = drops(random.Random(1), maxstartups.parse(setting), 0)
    assert report is not None
    assert diagnose(report).self_inflicted


def test_where_one_burst_cannot_tell_both_explanations_are_named() -> None:
    diagnosis = diagnose(run("SSStt", "S", says=EXCEEDED, by="9.2"))
    assert diagnosis.startups is not None
    assert "a limit of 2 at once would explain it too, with our own burst alone" in diagnosis.evidence


@pytest.mark.parametrize(
    ("report", "plan", "expected"),
    [
        (run("SSStt", by="9.2"), Plan(), True),
        (run("SSStt", by="10.0"), Plan(), True),
        (run("SStSt", by="9.2"), Plan(), False),
        (run("tSSSt", by="9.2"), Plan(), False),
        (run("SSSSx", by="9.2"), Plan(), False),
        (run("St", by="9.2"), Plan(handshakes=2), False),
        # Fifteen handshakes are what OpenSSH 9.8 and later tolerate.
        (run("SSSSSSStt", by="10.0"), Plan(handshakes=9), False),
        (run("SSSSSSStt", by="9.2"), Plan(handshakes=9), True),
        (run("SSSSSSStt", by="10.0"), Plan(handshakes=9, exempt=True), True),
    ],
)
def test_the_burst_is_made_once_more_where_that_tells_and_the_budget_has_room(
    report: Report, plan: Plan, expected: bool
) -> None:
    assert (Followup.SECOND_BURST in followups(report, plan)) is expected


# --- how many others there are


@pytest.mark.parametrize(("setting", "held"), [("10:30:100", 25), ("10:30:60", 13), ("5:30:20", 8), ("3:100:3", 3)])
def test_the_interval_holds_the_true_number_nineteen_times_of_twenty(setting: str, held: int) -> None:
    chance, known = random.Random(7), maxstartups.parse(setting)
    found = total = 0
    for _ in range(400):
        letters = simulate(chance, known, held, 9)
        if "t" not in letters:
            continue
        report = run(letters, simulate(chance, known, held, 1), says=EXCEEDED, by="9.2")
        diagnosis = diagnose(report, known)
        if diagnosis.self_inflicted:  # this run alone reaches the limit: no estimate of others
            continue
        estimate = diagnosis.startups
        assert estimate is not None, letters
        found += estimate.low <= held <= estimate.high
        total += 1
    assert total >= 100
    assert found / total >= 0.95, f"{found} of {total}"


def simulate(chance: random.Random, setting: MaxStartups, held: int, count: int, *, baseline: bool = True) -> str:
    """Return the endings of a baseline and a burst while others hold `held` slots."""
    letters, own = "", 0
    for number in range(not baseline, count):
        dropped = chance.randrange(100) < maxstartups.drop_percent(held + own, setting)
        letters += "t" if dropped else "S"
        own += number > 0 and not dropped
    return letters


def test_an_estimate_is_made_for_maxstartups_only() -> None:
    assert diagnose(run("SSSSt", "S", second="S", says=EXCEEDED, by="9.2")).startups is None
    assert diagnose(run("ccccc")).startups is None
    assert diagnose(run("SStSt", "S", says=EXCEEDED, by="9.2")).startups is not None


def test_waves_are_not_counted_as_one_burst() -> None:
    # Nine waves of four; one of the third was dropped: at most three of this run were in progress then.
    shakes = [shake(0, "S", role="baseline")]
    shakes += [shake(n, "t" if n == 10 else "S", text=EXCEEDED)._replace(wave=1 + (n - 1) // 4) for n in range(1, 30)]
    report = run("S", by="9.2")._replace(handshakes=(*shakes, shake(30, "S", role="recheck")), asked=30)
    diagnosis = diagnose(report, MaxStartups(10, 30, 100))
    assert not diagnosis.self_inflicted
    assert diagnosis.startups is not None
    assert diagnosis.startups.likeliest >= 9


# --- arithmetic of large runs


def exact(tries: list[tuple[int, bool]], setting: MaxStartups) -> tuple[int, int, int]:
    """The estimate by its definition, try by try: the likeliest number and the ends of the 95 % interval."""

    def chance(held: int, own: int) -> float:
        return maxstartups.drop_percent(held + own, setting) / 100

    def likelihood(held: int) -> float:
        return math.prod(chance(held, own) if dropped else 1 - chance(held, own) for own, dropped in tries)

    def at_most(held: int, most: int) -> float:
        chances = [1.0]
        for own, _ in tries:
            drop = chance(held, own)
            pairs = zip([*chances, 0.0], [0.0, *chances], strict=True)
            chances = [kept * (1 - drop) + dropped * drop for kept, dropped in pairs]
        return sum(chances[: most + 1])

    held = range(setting.full + 1)
    dropped = sum(dropped for _, dropped in tries)
    likeliest = max(held, key=likelihood)
    low = next(n for n in held if 1 - at_most(n, dropped - 1) >= 0.025 and likelihood(n) > 0)
    above = (n for n in held if n >= likeliest and at_most(n, dropped) > 0.025 and likelihood(n) > 0)
    high = max(above, default=likeliest)
    return likeliest, min(low, likeliest), high


@pytest.mark.parametrize("seed", range(20))
def test_the_estimate_is_that_of_its_definition(seed: int) -> None:
    chance = random.Random(seed)
    setting = maxstartups.parse(chance.choice(["10:30:100", "10:30:60", "5:30:20"]))
    held = chance.randrange(setting.start, setting.full)
    tries = [
        (own, chance.randrange(100) < maxstartups.drop_percent(held + own, setting)) for own in [0] + [*range(8)] * 3
    ]
    if any(dropped for _, dropped in tries):
        assert maxstartups.estimate(tries, setting) == exact(tries, setting)


def work_of(tries: list[tuple[int, bool]], setting: maxstartups.MaxStartups) -> tuple[maxstartups.Estimate | None, int]:
    """The estimate, and how often the drop formula was evaluated for it: a measure of work that no load changes."""
    original, calls = maxstartups.drop_percent, 0

    def counted(startups: int, setting: maxstartups.MaxStartups) -> int:
        nonlocal calls
        calls += 1
        return original(startups, setting)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maxstartups, "drop_percent", counted)
        return maxstartups.estimate(tries, setting), calls


# What is tried here says nothing of a server with 10:30:100: it would have dropped far more.
@pytest.mark.parametrize(
    ("setting", "is_found"), [("10:30:100", False), ("10:30:20000", True), ("5000:10:20000", True)]
)
def test_the_work_of_an_estimate_does_not_grow_with_the_number_of_tries(setting: str, is_found: bool) -> None:
    known, counts = maxstartups.parse(setting), []
    for tries in (1000, 10_000):
        chance = random.Random(3)
        found, count = work_of([(n % 200, chance.random() < 0.4) for n in range(tries)], known)
        assert (found is not None) == is_found
        counts.append(count)
    assert counts[1] <= 1.2 * counts[0]
    assert counts[1] < 150_000


@pytest.mark.parametrize(
    ("setting", "tries", "served"),
    [("20000", 10_000, 9_999), ("1000", 1_000, 999), ("1000:30:1100", 10_000, 1_050), ("1:1:20000", 10_000, 5_000)],
)
def test_the_work_of_an_estimate_does_not_grow_with_the_setting(setting: str, tries: int, served: int) -> None:
    known = maxstartups.parse(setting)
    made = [*((own, False) for own in range(served)), *[(served, True)] * (tries - served)]
    found, count = work_of(made, known)
    assert found is not None
    assert found.low <= found.likeliest <= found.high
    assert count < 150_000


def test_a_single_number_leaves_one_answer_where_the_burst_meets_it() -> None:
    made = [*((own, False) for own in range(7)), (7, True), (7, True)]
    assert maxstartups.estimate(made, maxstartups.parse("12")) == (5, 5, 5)
