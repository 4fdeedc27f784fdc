"""Basic authentication: right, wrong and malformed credentials, at the same cost for known and unknown users."""

import asyncio
import base64
import statistics
import time
from collections.abc import Iterator

import bcrypt
import pytest

from ssh_exchange_exporter.web.users import MAX_REMEMBERED, MAX_WAITING, Users, is_hash


def hashed(password: bytes, cost: int = 4) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


def basic(user: str | bytes, password: str | bytes) -> str:
    parts = (part if isinstance(part, bytes) else part.encode() for part in (user, password))
    return "Basic " + base64.b64encode(b":".join(parts)).decode()


@pytest.fixture
def users() -> Iterator[Users]:
    made = Users({"ann": hashed(b"secret"), "bob": hashed(b"x" * 72), "zoë": hashed("päss:wörd".encode())})
    yield made
    made.close()


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Record the hashes that bcrypt compares with."""
    seen: list[bytes] = []
    compare = bcrypt.checkpw

    def noted(password: bytes, against: bytes) -> bool:
        seen.append(against)
        return compare(password, against)

    monkeypatch.setattr(bcrypt, "checkpw", noted)
    return seen


def verdict(users: Users, header: str | None) -> bool:
    return asyncio.run(users.admits(header))


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        (basic("ann", "secret"), True),
        (basic("ann", "secret").replace("Basic", "bASIC"), True),
        (basic("ann", "secret").replace(" ", "   "), True),
        (basic("zoë", "päss:wörd"), True),
        (basic("bob", "x" * 72), True),
        (basic("ann", "Secret"), False),
        (basic("ann", ""), False),
        (basic("ann", "secret\0"), False),
        (basic("ann", "secret\0more"), False),
        (basic("ann\0", "secret"), False),
        (basic("Ann", "secret"), False),
        (basic("", "secret"), False),
        (basic("", ""), False),
        (basic("eve", "secret"), False),
        (basic("bob", "x" * 73), False),
        (basic("bob", "x" * 6000), False),
        (basic(b"ann\xff", b"secret"), False),
        (basic("ann", b"\xff\xfe"), False),
        ("Basic " + base64.b64encode(b"ann").decode(), False),
        ("Basic YW5uOnNlY3JldA", False),  # without its padding
        ("Basic YW5u!OnNlY3JldA==", False),
        ("Basic äöü", False),
        ("Basic \udcff", False),
        ("Basic", False),
        ("Basic ", False),
        ("Bearer abc", False),
        ("", False),
        (None, False),
        (" " + basic("ann", "secret"), False),
        (basic("ann", "secret") + "\n", False),
    ],
)
def test_only_a_user_with_the_password_is_admitted(users: Users, header: str | None, admitted: bool) -> None:
    assert verdict(users, header) is admitted


def test_without_users_every_request_is_admitted() -> None:
    assert verdict(Users({}), None)
    assert verdict(Users({}), "nonsense")


def test_an_unusable_hash_admits_nobody() -> None:
    assert not verdict(Users({"ann": "$2b$04$" + "!" * 53}), basic("ann", "secret"))


def test_an_unknown_user_costs_one_comparison_at_the_highest_cost(comparisons: list[bytes]) -> None:
    users = Users({"ann": hashed(b"secret", 4), "bob": hashed(b"secret", 5)})
    assert not verdict(users, basic("eve", "secret"))
    assert not verdict(users, basic("bob", "wrong"))
    assert [against[:7] for against in comparisons] == [b"$2b$05$", b"$2b$05$"]
    assert is_hash(comparisons[0].decode())


def test_an_unknown_user_takes_as_long_as_a_known_one() -> None:
    users = Users({"ann": hashed(b"secret", 8)})

    def seconds(user: str, password: str) -> float:
        begun = time.process_time()  # of all threads: what else runs on the machine does not count
        verdict(users, basic(user, password))
        return time.process_time() - begun

    pairs = [(seconds("ann", f"wrong{number}"), seconds("eve", f"wrong{number}")) for number in range(9)]
    known, unknown = (statistics.median(each) for each in zip(*pairs, strict=True))
    assert 0.3 < known / unknown < 3


def test_right_and_wrong_credentials_are_remembered(users: Users, comparisons: list[bytes]) -> None:
    for header in (basic("ann", "secret"), basic("ann", "wrong"), basic("eve", "secret")) * 3:
        verdict(users, header)
    assert len(comparisons) == 3


def test_guesses_do_not_displace_right_credentials(users: Users, comparisons: list[bytes]) -> None:
    assert verdict(users, basic("ann", "secret"))
    for number in range(MAX_REMEMBERED + 1):
        assert not verdict(users, basic("ann", f"guess {number}"))
    done = len(comparisons)
    assert verdict(users, basic("ann", "secret"))
    assert len(comparisons) == done
    assert not verdict(users, basic("ann", "guess 0"))  # the oldest guess was forgotten
    assert len(comparisons) == done + 1


def test_the_same_credentials_at_once_are_compared_once(users: Users, comparisons: list[bytes]) -> None:
    async def many() -> list[bool]:
        return await asyncio.gather(*(users.admits(basic("ann", "secret")) for _ in range(20)))

    assert asyncio.run(many()) == [True] * 20
    assert len(comparisons) == 1


def test_the_number_of_waiting_requests_is_limited(users: Users, comparisons: list[bytes]) -> None:
    async def many() -> list[bool]:
        guesses = [asyncio.create_task(users.admits(basic("ann", f"wrong {number}"))) for number in range(500)]
        await asyncio.gather(*guesses)
        return [await users.admits(basic("ann", "secret"))]

    assert asyncio.run(many()) == [True]
    assert len(comparisons) == MAX_WAITING + 1


def test_the_event_loop_runs_while_passwords_are_compared() -> None:
    users = Users({"ann": hashed(b"secret", 11)})

    async def ticks_meanwhile() -> int:
        comparing = asyncio.create_task(users.admits(basic("ann", "wrong")))
        ticks = 0
        while not comparing.done():
            await asyncio.sleep(0)
            ticks += 1
        return ticks

    assert asyncio.run(ticks_meanwhile()) > 10


def test_a_cancelled_request_does_not_block_the_next(users: Users) -> None:
    async def given_up() -> bool:
        waiting = [asyncio.create_task(users.admits(basic("ann", f"wrong {number}"))) for number in range(10)]
        await asyncio.sleep(0)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return await users.admits(basic("ann", "secret"))

    assert asyncio.run(given_up())


def test_after_close_only_remembered_credentials_are_admitted(users: Users) -> None:
    assert verdict(users, basic("ann", "secret"))
    users.close()
    assert verdict(users, basic("ann", "secret"))
    assert not verdict(users, basic("zoë", "päss:wörd"))
