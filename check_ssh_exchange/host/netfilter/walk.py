"""A new connection on its way through every chain of a hook, and what becomes of it."""

from collections.abc import Iterable, Iterator

from ...values import NamedTuple
from .model import (
    Chain,
    Choice,
    Known,
    Limit,
    Packet,
    Recent,
    Rule,
    Table,
    Test,
    Untrack,
    Verdict,
    answer_of,
    any_of,
    fits,
)
from .recent import Lists

MOST_STEPS = 200_000  # rules that are looked at for one packet; kube-proxy has some 10,000
DEEPEST = 16  # jumps within each other (nf_tables.h: NFT_JUMP_STACK_SIZE)
REFUSING = ("drop", "reject")


class Because(NamedTuple):
    """What led to a verdict: the table, the rule (None: a policy), what of it names the address or a list."""

    table: Table
    chain: str
    rule: Rule | None
    is_on_port: bool = False
    set_name: str = ""
    names_address: bool = False
    recent: Recent | None = None
    limit: Limit | None = None

    @property
    def words(self) -> str:
        """The rule in its own words, with where it stands."""
        said = self.rule.words if self.rule else "policy drop"
        return f"{self.table.title}, chain {self.chain}: {said}"


class Fate(NamedTuple):
    """What may become of the packet in one hook's chain: each kind of verdict with its first reason."""

    reasons: "dict[str, Because]"

    @property
    def refused(self) -> Because | None:
        """Why it is refused whatever holds of what is not known; None where it may be accepted."""
        if any(kind not in REFUSING for kind in self.reasons):
            return None
        return next(iter(self.reasons.values()), None)


class Walk:
    """Takes one packet through the tables. `limits` are met on the way, `doubts` may refuse it."""

    def __init__(self, tables: Iterable[Table], packet: Packet, lists: Lists) -> None:
        self.packet = packet
        self.limits: list[Because] = []
        self.doubts: list[Because] = []
        self._tables = tuple(tables)
        self._lists = lists
        self._left = MOST_STEPS

    def refused(self) -> Because | None:
        """Return why the packet never reaches its port, None where it does or may."""
        for table, chain in self._chains():
            reasons = self._chain(table, chain, Because(table, chain.name, None), 0)
            if "end" in reasons:
                reasons["drop" if chain.policy == "drop" else "accept"] = reasons.pop("end")
            if because := Fate(reasons).refused:
                return because
        return None

    def _chains(self) -> Iterator[tuple[Table, Chain]]:
        hook = "forward" if self.packet.is_forwarded else "input"
        family = self.packet.family
        bases = [
            (table, chain)
            for table in self._tables
            for chain in table.chains.values()
            if table.family in (family, "inet", "netdev") and chain.kind == "filter"
            and chain.hook in ("ingress", "prerouting", hook)
        ]  # fmt: skip
        order = {"ingress": 0, "prerouting": 1, hook: 2}
        return iter(sorted(bases, key=lambda pair: (order[pair[1].hook], pair[1].priority)))

    def _chain(self, table: Table, chain: Chain, way: Because, depth: int) -> dict[str, Because]:
        """Return what may come of a chain: accept, drop, reject, unknown, and end where the packet leaves it."""
        found: dict[str, Because] = {}
        for rule in chain.rules:
            self._left -= 1
            if depth > DEEPEST or self._left < 0:
                found.setdefault("unknown", way)
                return found
            answer, verdicts, because = self._rule(rule, way._replace(chain=chain.name, rule=rule, limit=None))
            goes_on = answer is not True or not verdicts
            for verdict in verdicts:
                inner = self._follow(table, verdict, because, depth)
                goes_on = inner.pop("next", None) is not None or goes_on
                for kind, reason in inner.items():
                    found.setdefault(kind, reason)
                    if answer is None and kind in REFUSING:
                        self.doubts.append(reason)
            if not goes_on:
                return found
        found.setdefault("end", way._replace(chain=chain.name, rule=None))
        return found

    def _follow(self, table: Table, verdict: Verdict, because: Because, depth: int) -> dict[str, Because]:
        if verdict.kind == "continue":
            return {"next": because}
        if verdict.kind == "return":
            return {"end": because}
        if verdict.kind not in ("jump", "goto"):
            return {verdict.kind: because}
        chain = table.chains.get(verdict.target)
        if chain is None:
            return {"unknown": because}
        inner = self._chain(table, chain, because, depth + 1)
        if verdict.kind == "jump" and "end" in inner:
            inner["next"] = inner.pop("end")
        return inner

    def _rule(self, rule: Rule, way: Because) -> tuple[bool | None, tuple[Verdict, ...], Because]:
        """Return whether a rule matches, what it then does, and why."""
        verdicts: tuple[Verdict, ...] = (rule.verdict,) if rule.verdict else ()
        answer: bool | None = True
        for step in rule.steps:
            if isinstance(step, Choice):
                one, verdicts, way = self._choice(step, way)
            else:
                one, way = self._step(step, rule, way)
            if one is False:
                return False, (), way
            answer = answer if one else None
        return answer, verdicts, way

    def _step(self, step: object, rule: Rule, way: Because) -> tuple[bool | None, Because]:
        if isinstance(step, Test):
            return self._test(step, way)
        if isinstance(step, Known):
            return step.answer, way
        if isinstance(step, Limit):
            if rule.verdict is not None:
                self.limits.append(way._replace(limit=step))
            return not step.is_over, way  # one connection in peace is within every limit
        if isinstance(step, Recent):
            return self._recent(step, rule, way)
        if isinstance(step, Untrack):
            self.packet = self.packet._replace(state=None)
        return True, way

    def _test(self, test: Test, way: Because) -> tuple[bool | None, Because]:
        answer = answer_of(self.packet, test)
        if answer is not False and not test.is_negated:
            if "dport" in test.fields:
                way = way._replace(is_on_port=True)
            if any(field.startswith("saddr") for field in test.fields):
                way = way._replace(names_address=True, set_name=test.set_name or way.set_name)
        return answer, way

    def _recent(self, step: Recent, rule: Rule, way: Because) -> tuple[bool | None, Because]:
        if step.action == "set":
            return not step.is_negated, way
        if step.hits and rule.verdict is not None:
            seconds = f" in {step.seconds:g} s" if step.seconds else ""
            words = f"recent {step.name}: {step.hits} hits{seconds}"
            self.limits.append(way._replace(limit=Limit(words, is_over=True), recent=step))
        way = way._replace(recent=step, names_address=True)
        if self.packet.source is None:
            return None, way
        hits = self._lists.hits(step.name, self.packet.source, step.seconds)
        return (None if hits is None else (hits >= max(1, step.hits)) != step.is_negated), way

    def _choice(self, choice: Choice, way: Because) -> tuple[bool | None, tuple[Verdict, ...], Because]:
        if choice.entries is None:
            return None, (Verdict("unknown"),), way
        possible = []
        for patterns, verdict in choice.entries:
            answer = any_of((fits(self.packet, choice.fields, patterns),))
            if answer is not False:
                possible.append(verdict)
            if answer:
                break
        answer = True if possible and answer else None if possible else False
        if "dport" in choice.fields:
            way = way._replace(is_on_port=True)
        if any(field.startswith("saddr") for field in choice.fields):
            way = way._replace(names_address=True, set_name=choice.set_name)
        # Only when one of several holds it is certain that one of them acts; which, is not.
        return (answer if len(possible) < 2 else None), tuple(possible), way
