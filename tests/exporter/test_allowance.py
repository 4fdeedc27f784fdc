"""The account of handshakes, against the arithmetic of OpenSSH's penalties."""

from hypothesis import given
from hypothesis import strategies as st

from ssh_exchange_exporter.allowance import Allowance


def test_fifteen_may_be_made_at_once_and_then_one_each_second() -> None:
    allowance = Allowance(15, 1, now=100)
    assert allowance.covers(15, 100)
    allowance.take(15, 100)
    allowance.settle(0, 100)
    assert not allowance.covers(1, 100.9)
    assert allowance.covers(1, 101)
    assert not allowance.covers(5, 104.9)
    assert allowance.covers(5, 105)
    assert allowance.wait(5, 102) == 3
    assert not allowance.is_full(114.9)
    assert allowance.is_full(115)


def test_nothing_comes_back_while_a_run_is_under_way() -> None:
    allowance = Allowance(15, 1, now=0)
    allowance.take(10, 0)
    assert allowance.left(9) == 5
    allowance.settle(0, 9)
    assert allowance.left(9) == 5
    assert allowance.left(10) == 6


def test_what_was_not_spent_comes_back_and_what_was_spent_besides_is_taken() -> None:
    allowance = Allowance(15, 1, now=0)
    allowance.take(10, 0)
    allowance.settle(8, 0)
    assert allowance.left(0) == 13
    allowance.take(5, 0)
    allowance.settle(-3, 0)
    assert allowance.left(0) == 5


def test_a_run_larger_than_the_account_needs_all_of_it() -> None:
    allowance = Allowance(15, 1, now=0)
    assert allowance.covers(40, 0)
    allowance.take(1, 0)
    allowance.settle(0, 0)
    assert not allowance.covers(40, 0.5)
    assert allowance.covers(40, 1)


def test_another_size_keeps_what_was_spent() -> None:
    allowance = Allowance(15, 1, now=0)
    allowance.take(10, 0)
    allowance.settle(0, 0)
    allowance.resize(12, 2, now=0)
    assert allowance.left(0) == 2
    assert allowance.left(1) == 4


# The server's side of it (srclimit.c): each handshake adds a second when it ends, a second is forgiven each second, and
# the address is shut out when more than 15 are on the account.
@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 20), st.floats(0, 10)), max_size=60))
def test_no_pattern_of_questions_ever_earns_a_penalty(questions: list[tuple[float, int, float]]) -> None:
    allowance = Allowance(15, 1, now=0)
    now = penalty_until = 0.0
    for pause, handshakes, length in questions:
        now += pause
        handshakes = min(handshakes, 15)  # a larger run is refused after its baseline (diagnosis/budget.py)
        if not allowance.covers(handshakes, now):
            continue
        allowance.take(handshakes, now)
        # The server books each when it ends, at the latest when the run does.
        for made in range(handshakes):
            ended = now + length * made / handshakes
            penalty_until = max(penalty_until, ended) + 1
            assert penalty_until - ended <= 15 + 1e-6
        now += length
        allowance.settle(0, now)
