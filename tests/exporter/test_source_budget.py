"""The budget of handshakes, against the arithmetic of OpenSSH's penalties."""

from hypothesis import given
from hypothesis import strategies as st

from ssh_exchange_exporter.budget.source_budget import GRACE, SourceBudget
from ssh_exchange_exporter.budget.wait_queue import MAX_WAITING


def test_fifteen_handshakes_at_once_and_then_one_a_second() -> None:
    budget = SourceBudget(15, 1)
    assert budget.covers(15, 100)
    budget.take(15, 100)
    budget.settle(0, 100)
    assert not budget.covers(1, 100.9)
    assert budget.covers(1, 101)
    assert not budget.covers(5, 104.9)
    assert budget.covers(5, 105)
    assert budget.wait_for(5, 102, "anybody", comes_back=False) == 3
    assert not budget.is_full(114.9)
    assert budget.is_full(115)


def test_the_bucket_gains_nothing_while_a_run_is_under_way() -> None:
    budget = SourceBudget(15, 1)
    budget.take(10, 0)
    assert budget.left(9) == 5
    budget.settle(0, 9)
    assert budget.left(9) == 5
    assert budget.left(10) == 6


def test_settle_puts_back_what_was_not_spent_and_takes_what_was_spent_besides() -> None:
    budget = SourceBudget(15, 1)
    budget.take(10, 0)
    budget.settle(8, 0)
    assert budget.left(0) == 13
    budget.take(5, 0)
    budget.settle(-3, 0)
    assert budget.left(0) == 5


def test_a_run_above_the_capacity_needs_a_full_bucket() -> None:
    budget = SourceBudget(15, 1)
    assert budget.covers(40, 0)
    budget.take(1, 0)
    budget.settle(0, 0)
    assert not budget.covers(40, 0.5)
    assert budget.covers(40, 1)


def spent() -> SourceBudget:
    budget = SourceBudget(15, 1)
    budget.take(15, 0)
    budget.settle(0, 0)
    return budget


def test_requests_are_served_in_the_order_in_which_they_came() -> None:
    budget = spent()
    assert budget.wait_for(5, 1, "large", comes_back=True) == 4
    assert budget.covers(2, 2)
    assert not budget.covers(2, 6.9, "small")
    assert budget.wait_for(2, 4, "small", comes_back=True) == 3
    assert budget.wait_for(5, 4, "large", comes_back=True) == 1
    assert budget.covers(5, 5, "large")
    assert budget.covers(2, 7, "small")
    budget.take(5, 7, "large")
    budget.settle(0, 7)
    assert budget.covers(2, 7, "small")


def test_a_repeated_request_reserves_handshakes_for_twice_its_interval() -> None:
    budget = spent()
    budget.wait_for(5, 0, "scrape", comes_back=False)
    assert budget.covers(2, 2, "small")
    budget.wait_for(5, 3, "scrape", comes_back=False)
    assert not budget.covers(2, 6, "small")
    assert budget.covers(2, 6, "scrape")
    assert budget.covers(2, 9.1, "small")


def test_a_requester_that_does_not_return_keeps_no_other_waiting_forever() -> None:
    budget = spent()
    assert budget.wait_for(15, 0, "gone", comes_back=True) == 15
    assert not budget.covers(1, 15 + GRACE, "here")
    assert budget.covers(1, 16 + GRACE, "here")
    for number in range(2 * MAX_WAITING):
        budget.wait_for(15, 50, number, comes_back=True)
    assert budget.covers(1, 50, MAX_WAITING)
    assert not budget.covers(1, 50, MAX_WAITING + 1)


def test_a_resize_keeps_what_was_spent() -> None:
    budget = SourceBudget(15, 1)
    budget.take(10, 0)
    budget.settle(0, 0)
    budget.resize(12, 2, now=0)
    assert budget.left(0) == 2
    assert budget.left(1) == 4


def test_a_large_run_that_puts_back_what_it_did_not_spend_leaves_the_capacity_as_it_was() -> None:
    budget = SourceBudget(15, 1)
    budget.take(20, 0)
    assert not budget.covers(1, 0)
    budget.resize(10, 1, 0)
    budget.resize(15, 1, 0)
    budget.settle(19, 0)
    assert budget.left(0) == 14


# The server's side of it (srclimit.c): each handshake adds a second when it ends, a second is forgiven each second, and
# the address is refused above 15.
@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 20), st.floats(0, 10)), max_size=60))
def test_no_pattern_of_requests_ever_earns_a_penalty(requests: list[tuple[float, int, float]]) -> None:
    budget = SourceBudget(15, 1)
    now = penalty_until = 0.0
    for pause, handshakes, length in requests:
        now += pause
        handshakes = min(handshakes, 15)  # a larger run is refused after its baseline (diagnosis/budget.py)
        if not budget.covers(handshakes, now):
            continue
        budget.take(handshakes, now)
        # The server books each when it ends, at the latest when the run does.
        for made in range(handshakes):
            ended = now + length * made / handshakes
            penalty_until = max(penalty_until, ended) + 1
            assert penalty_until - ended <= 15 + 1e-6
        now += length
        budget.settle(0, now)
