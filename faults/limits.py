"""The limits of OpenSSH and dropbear: MaxStartups, PerSourceMaxStartups, penalties, dropbear's five."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from check_ssh_exchange.diagnosis.cause import Cause
from tests.lab import zoo

from .holding import OTHER, SECOND_SOURCE, held, hurry
from .scenario import Scenario, Target

OURS = "127.0.0.1"
ALONE, WITH_SECOND_SOURCE = ("-S", OURS), ("-S", OURS, "-S", SECOND_SOURCE)
OPENSSH = ("openssh-8.4", "openssh-9.2", "openssh-10.0", "openssh-10.6")
WITH_PER_SOURCE = OPENSSH[1:]
WITH_PENALTIES = OPENSSH[2:]
DROPBEAR = ("dropbear-2020.81", "dropbear-2022.83", "dropbear-2025.89", "dropbear-2026.94")


@contextmanager
def limited(
    name: str,
    options: Mapping[str, str],
    runs: tuple[tuple[str, ...], ...] = (ALONE,),
    slots: int = 0,
    source: str = OTHER,
) -> Iterator[Target]:
    """A server with these settings, of which somebody holds some slots."""
    with zoo.server(name, options=options) as server, held(server, slots, source):
        yield Target(server.address, server.port, ("-t", "4"), runs=runs)


@contextmanager
def penalised(name: str, options: tuple[str, ...]) -> Iterator[Target]:
    """A server that has a penalty against us.

    By default a handshake adds a second, which a slow machine takes as well: it might never shut us out.
    """
    with zoo.server(name, options={"PerSourcePenalties": "noauth:100"}) as server:
        hurry(server, OURS)
        yield Target(server.address, server.port, ("-t", "4", *options))


def full(name: str) -> Iterator[Scenario]:
    """MaxStartups with all slots held by somebody else."""
    place = partial(limited, name, {"MaxStartups": "3:100:3"}, slots=3)
    # Since 9.8 both limits send the same text, and neither serves any handshake of this address.
    plain = (Cause.MAXSTARTUPS, Cause.PENALTY) if name in WITH_PENALTIES else (Cause.MAXSTARTUPS,)
    yield Scenario(f"MaxStartups full, {name}", plain, place, says="MaxStartups", local=Cause.MAXSTARTUPS)
    yield Scenario(
        f"MaxStartups full, two sources, {name}", (Cause.MAXSTARTUPS,), partial(place, (WITH_SECOND_SOURCE,))
    )


def random_drops(name: str) -> Iterator[Scenario]:
    """MaxStartups that drops a third of all connections; each run comes from an address of its own."""
    setting, causes = "10:30:60", (Cause.MAXSTARTUPS,)
    runs = tuple(("-S", f"127.0.5.{number}", "-n", "8", "--max-startups", setting) for number in range(1, 4))
    # All eight may be dropped, and then nothing tells it from a penalty.
    plain = (*causes, Cause.PENALTY) if name in WITH_PENALTIES else causes
    place = partial(limited, name, {"MaxStartups": setting}, runs, 13)
    yield Scenario(
        f"MaxStartups drops at random, {name}",
        plain,
        place,
        strikes_at_random=True,
        self_inflicted=False,
        local=Cause.MAXSTARTUPS,
    )
    # Of twelve at once hardly ever the first few are served and none after them: Answer.is_cut.
    many = ("-S", "127.0.5.9", "-S", "127.0.6.9", "-n", "12", "--concurrency", "11")
    two = partial(limited, name, {"MaxStartups": setting}, (many,), 13)
    yield Scenario(f"MaxStartups drops at random, two sources, {name}", causes, two, strikes_at_random=True)


def per_source(name: str) -> Iterator[Scenario]:
    """PerSourceMaxStartups, hit by our own burst and by others from our address."""
    two = {"PerSourceMaxStartups": "2"}
    limit, either = Cause.PER_SOURCE_LIMIT, (Cause.PER_SOURCE_LIMIT, Cause.MAXSTARTUPS)
    from_two_sources = partial(limited, name, two, (WITH_SECOND_SOURCE,))
    yield Scenario(f"PerSourceMaxStartups 2, two sources, {name}", (limit,), from_two_sources, self_inflicted=True)
    yield Scenario(f"PerSourceMaxStartups 2, {name}", either, partial(limited, name, two), says="PerSourceMaxStartups")
    # Both our addresses are one source for this server.
    block = two | {"PerSourceNetBlockSize": "24:128"}
    shared = partial(limited, name, block, (WITH_SECOND_SOURCE,))
    yield Scenario(f"PerSourceMaxStartups 2 for a /24, two sources in it, {name}", either, shared)
    used_up = partial(limited, name, two, (WITH_SECOND_SOURCE,), slots=2, source=OURS)
    # From 9.8 a penalty against one of two addresses looks so, too.
    causes = (limit, Cause.PENALTY) if name in WITH_PENALTIES else (limit,)
    yield Scenario(f"PerSourceMaxStartups 2, all used up, two sources, {name}", causes, used_up)


def penalty(name: str) -> Iterator[Scenario]:
    """A penalty that runs against us."""
    yield Scenario(f"penalty, two sources, {name}", (Cause.PENALTY,), partial(penalised, name, WITH_SECOND_SOURCE))
    yield Scenario(f"penalty, {name}", (Cause.PENALTY,), partial(penalised, name, ALONE))


def five(name: str) -> Iterator[Scenario]:
    """Dropbear's five for each address, of which others at our address hold some."""
    limit = Cause.PER_SOURCE_LIMIT
    some = partial(limited, name, {}, slots=3, source=OURS)
    yield Scenario(f"dropbear's limit, 3 of 5 held, {name}", (limit,), some)
    every = partial(limited, name, {}, slots=5, source=OURS)
    yield Scenario(
        f"dropbear's limit, 5 of 5 held, two sources, {name}", (limit,), partial(every, (WITH_SECOND_SOURCE,))
    )
    # Without a byte nothing says that it is dropbear.
    yield Scenario(f"dropbear's limit, 5 of 5 held, {name}", (limit, Cause.SERVER_FAULT), every, says="dropbear")


def scenarios() -> Iterator[Scenario]:
    """Yield all of them."""
    for name in OPENSSH:
        yield from full(name)
        ours = partial(limited, name, {"MaxStartups": "3:100:3"})
        yield Scenario(f"MaxStartups 3, all ours, {name}", (Cause.MAXSTARTUPS,), ours, self_inflicted=True)
        yield from random_drops(name)
    for name in WITH_PER_SOURCE:
        yield from per_source(name)
    for name in WITH_PENALTIES:
        yield from penalty(name)
    for name in DROPBEAR:
        yield from five(name)
