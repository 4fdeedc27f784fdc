"""The plans and expectations of modules, made once: to make them anew for each probe takes as long as a handshake."""

from collections import OrderedDict
from collections.abc import Hashable

from check_ssh_exchange.diagnosis.verdict import Expectations
from check_ssh_exchange.plan import Plan

from .probe_request import Origin, ProbeRequest, Recipe

MOST = 256  # plans, and as many expectations; a configuration has a few modules


class Recipes:
    """Plans and expectations of the modules in use. A check's own command line is used once, so it is not kept."""

    def __init__(self) -> None:
        # Each entry keeps its recipe, so that no other one can get the same id.
        self._plans: OrderedDict[Hashable, tuple[Recipe, Plan]] = OrderedDict()
        self._expectations: OrderedDict[Hashable, tuple[Recipe, Expectations]] = OrderedDict()

    def plan(self, request: ProbeRequest, seconds: float) -> Plan:
        """Return the plan of a run that takes at most `seconds`."""
        recipe = request.module
        if request.origin is Origin.CHECK:
            return recipe.plan(seconds, trace=request.trace)
        key = (id(recipe), seconds, request.trace)
        found = self._plans.get(key)
        if found is None:
            found = self._plans[key] = recipe, recipe.plan(seconds, trace=request.trace)
            if len(self._plans) > MOST:
                self._plans.popitem(last=False)
        return found[1]

    def expectations(self, request: ProbeRequest) -> Expectations:
        """Return what the result is judged by."""
        recipe = request.module
        found = self._expectations.get(id(recipe))
        if found is not None:
            return found[1]
        made = recipe.expectations()
        # Known hosts are a file, which may change at any time.
        if request.origin is not Origin.CHECK and made.known_hosts is None:
            self._expectations[id(recipe)] = recipe, made
            if len(self._expectations) > MOST:
                self._expectations.popitem(last=False)
        return made
