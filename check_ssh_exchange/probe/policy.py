"""What a run must ask before it goes on."""

from collections.abc import Callable

from ..report import Followup, Report, Server
from ..values import NamedTuple


class Policy(NamedTuple):
    """What the run asks its owner: pure judgements, made elsewhere.

    `refusal` tells why the plan must not be carried out against a server at so many addresses, None when it may;
    `followups` which further tests the burst calls for.
    """

    refusal: Callable[[Server | None, int], str | None]
    followups: Callable[[Report], tuple[Followup, ...]]
