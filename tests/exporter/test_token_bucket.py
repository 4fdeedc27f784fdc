"""The account of handshakes, against the arithmetic of OpenSSH's penalties."""

from hypothesis import given
from hypothesis import strategies as st

from ssh_exchange_exporter.budget.token_bucket import LATE, Allowance
from ssh_exchange_exporter.budget.wait_queue import MOST


def test_fifteen_may_be_made_at_once_and_then_one_each_second() -> None:
    allowance = Allowance(15, 1, now=100)
    assert allowance.covers(15, 100)
    allowance.take(15, 100)
    allowance.settle(0, 100)
    assert not allowance.covers(1, 100.9)
    assert allowance.covers(1, 101)
    assert not allowance.covers(5, 104.9)
    assert allowance.covers(5, 105)
    assert allowance.claim(5, 102, "anybody", comes_back=False) == 3
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


def spent() -> Allowance:
    allowance = Allowance(15, 1, now=0)
    allowance.take(15, 0)
    allowance.settle(0, 0)
    return allowance


def test_who_asked_first_is_served_first() -> None:
    allowance = spent()
    assert allowance.claim(5, 1, "large", comes_back=True) == 4
    assert allowance.covers(2, 2)
    assert not allowance.covers(2, 6.9, "small")
    assert allowance.claim(2, 4, "small", comes_back=True) == 3
    assert allowance.claim(5, 4, "large", comes_back=True) == 1
    assert allowance.covers(5, 5, "large")
    assert allowance.covers(2, 7, "small")
    allowance.take(5, 7, "large")
    allowance.settle(0, 7)
    assert allowance.covers(2, 7, "small")


def test_a_request_claims_when_it_comes_again_and_until_it_should_have_come_once_more() -> None:
    allowance = spent()
    allowance.claim(5, 0, "scrape", comes_back=False)
    assert allowance.covers(2, 2, "small")
    allowance.claim(5, 3, "scrape", comes_back=False)
    assert not allowance.covers(2, 6, "small")
    assert allowance.covers(2, 6, "scrape")
    assert allowance.covers(2, 9.1, "small")


def test_who_does_not_come_back_keeps_nobody_waiting_for_ever() -> None:
    allowance = spent()
    assert allowance.claim(15, 0, "gone", comes_back=True) == 15
    assert not allowance.covers(1, 15 + LATE, "here")
    assert allowance.covers(1, 16 + LATE, "here")
    for number in range(2 * MOST):
        allowance.claim(15, 50, number, comes_back=True)
    assert allowance.covers(1, 50, MOST)
    assert not allowance.covers(1, 50, MOST + 1)


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
