"""The token bucket by itself."""

from hypothesis import given
from hypothesis import strategies as st

from ssh_exchange_exporter.budget.token_bucket import TokenBucket


def test_a_bucket_gives_its_capacity_and_then_one_token_each_interval() -> None:
    bucket = TokenBucket(3, 0.5)
    assert [bucket.take(1, 100.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(1, 101.5)
    assert bucket.take(1, 102.0)
    assert not bucket.take(1, 102.1)
    assert not bucket.take(1, 50.0)  # a clock that goes back gives nothing
    assert [bucket.take(1, 1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_refused_take_takes_nothing() -> None:
    bucket = TokenBucket(3, 1)
    assert not bucket.take(4, 0)
    assert bucket.level(0) == 3


def test_the_time_to_wait_is_that_of_the_missing_tokens_and_at_most_of_the_capacity() -> None:
    bucket = TokenBucket(10, 2)
    assert bucket.take(10, 0)
    assert bucket.seconds_until(4, 0) == 2
    assert bucket.seconds_until(4, 1.5) == 0.5
    assert bucket.seconds_until(100, 0) == 5


def test_a_paused_bucket_gains_nothing_and_keeps_its_overdraft_until_it_resumes() -> None:
    bucket = TokenBucket(5, 1)
    bucket.overdraw(8, 0)
    bucket.pause(0)
    assert bucket.level(60) == -3
    assert not bucket.is_full(60)
    bucket.resume(0, 60)
    assert bucket.level(60) == 0
    assert bucket.level(62) == 2


def test_a_paused_bucket_may_be_resized() -> None:
    bucket = TokenBucket(5, 1)
    bucket.overdraw(8, 0)
    bucket.pause(0)
    bucket.resize(15, 2, 10)
    bucket.resume(7, 10)
    assert bucket.level(10) == 14


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4)), max_size=80), st.integers(1, 10), st.floats(0.1, 20))
def test_no_stretch_of_time_gives_more_than_capacity_and_gain(
    takes: list[tuple[float, int]], capacity: int, per_second: float
) -> None:
    bucket = TokenBucket(capacity, per_second)
    now, given = 0.0, 0
    for pause, tokens in takes:
        now += pause
        given += tokens if bucket.take(tokens, now) else 0
        assert given <= capacity + now * per_second + 1e-6
