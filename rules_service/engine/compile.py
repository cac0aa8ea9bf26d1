"""Conditions to single-fact engine patterns.

A condition is compiled twice: to what makes it true (`fires`) and to what makes it false (`refuted`). What is neither is
unknown, which is Kleene's third value; `refuted` runs only for subjects that have an unknown fact. Both are disjunctions of
conjunctions of plain tests, one engine pattern a conjunction, so no pattern ever needs `$or`, `$nex` or a join.

A fact becomes up to three kinds of engine field: its value, whether it is present, and one boolean for each list test
(membership in a list of any length is computed here, so lists never reach the engine).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rules_service.engine.durable_host import MAX_FACTS, MAX_FIELDS, MAX_PATTERNS, MAX_TESTS, Comparison, Pattern, Scalar, Shard
from rules_service.facts.values import FactValue, Literal_, engine_text
from rules_service.primitives.errors import Issue, RuleRefused
from rules_service.primitives.unknown import Unknown
from rules_service.rules.condition import AnyOf, Condition, Leaf, Not, fact_names
from rules_service.rules.matching import leaf_truth

MAX_CONJUNCTIONS = 64
"""Of either side of one condition; a larger one is refused when the rule is saved."""

_LIST_OPS = frozenset({"in", "not_in", "starts_with", "contains_any", "contains_none", "contains_all"})
_NATIVE = {"is": "eq", "is_not": "ne", "at_least": "ge", "at_most": "le", "more_than": "gt", "less_than": "lt"}
_OPPOSITE = {"eq": "ne", "ne": "eq", "ge": "lt", "le": "gt", "gt": "le", "lt": "ge"}


@dataclass(frozen=True, slots=True)
class Probe:
    """One engine test before fields have names: of a fact's value, its presence, or a list test on it."""

    fact: str
    what: str  # value | presence | list
    op: str
    value: Literal_
    leaf: Leaf | None = None


Conjunction = frozenset[Probe]


def _leaf_probes(leaf: Leaf, positive: bool) -> list[Conjunction]:
    if leaf.op == "present":
        return [frozenset({Probe(leaf.fact, "presence", "eq", bool(leaf.value) == positive)})]
    if leaf.op in _LIST_OPS:
        return [frozenset({Probe(leaf.fact, "list", "eq", positive, leaf)})]
    op = _NATIVE[leaf.op]
    value = leaf.value
    if isinstance(value, tuple):
        raise RuleRefused("The condition cannot be compiled", [Issue("engine-literal", "", "A list where one value belongs.", "Use `in`.")])
    if positive:
        return [frozenset({Probe(leaf.fact, "value", op, value)})]
    denied = Probe(leaf.fact, "value", "eq", not value) if isinstance(value, bool) else Probe(leaf.fact, "value", _OPPOSITE[op], value)
    # A comparison with an absent fact is false, so absence refutes it too.
    return [frozenset({denied}), frozenset({Probe(leaf.fact, "presence", "eq", False)})]


def conjunctions(condition: Condition, positive: bool) -> list[Conjunction]:
    """What makes the condition true (or, when not `positive`, false); RuleRefused when there are too many ways."""
    if isinstance(condition, Leaf):
        return _leaf_probes(condition, positive)
    if isinstance(condition, Not):
        return conjunctions(condition.part, not positive)
    parts = [conjunctions(part, positive) for part in condition.parts]
    if isinstance(condition, AnyOf) == positive:
        found = list(dict.fromkeys(conjunction for part in parts for conjunction in part))
    else:
        found = [frozenset()]
        for part in parts:
            found = list(dict.fromkeys(left | right for left in found for right in part))
            if len(found) > 4 * MAX_CONJUNCTIONS:
                break
    minimal = [one for one in found if not any(other < one for other in found)]
    if len(minimal) > MAX_CONJUNCTIONS or any(len(one) > MAX_TESTS for one in minimal):
        raise RuleRefused(
            "The condition cannot be compiled",
            [
                Issue(
                    "condition-too-branched",
                    "",
                    f"The condition has more than {MAX_CONJUNCTIONS} ways to come true or false, or a way with more than {MAX_TESTS} tests.",
                    "Split the rule, or turn alternatives into one list test.",
                )
            ],
        )
    return minimal


class Program:
    """A condition ready to be compiled into shards. Equal conditions make equal programs."""

    __slots__ = ("condition", "facts", "fires", "refuted")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.facts = fact_names(condition)
        self.fires = conjunctions(condition, True)
        self.refuted = conjunctions(condition, False)
        for probe in {probe for side in (self.fires, self.refuted) for one in side for probe in one}:
            _as_test(probe, "x0")


def _as_test(probe: Probe, field: str) -> Comparison:
    return Comparison(field, probe.op, probe.value)


FactReader = Callable[[str], FactValue]


class ProgramShard:
    """Up to MAX_PATTERNS patterns of several programs in one engine shard, with the projection of facts they need."""

    def __init__(self, parts: Sequence[tuple[Program, Sequence[Conjunction]]]) -> None:
        self._fields: dict[tuple[str, str, Leaf | None], str] = {}
        self._keys: dict[str, Program] = {}
        patterns: list[Pattern] = []
        for program, ways in parts:
            for way in ways:
                key = f"r{len(patterns)}"
                self._keys[key] = program
                patterns.append(Pattern(key, "F", tuple(sorted(_as_test(probe, self._field(probe)) for probe in way))))
        self._shard = Shard(patterns)
        self._columns = [(name, what, leaf, field) for (name, what, leaf), field in self._fields.items()]
        self.programs = frozenset(program for program, _ in parts)

    def _field(self, probe: Probe) -> str:
        return self._fields.setdefault((probe.fact, probe.what, probe.leaf), f"{probe.what[0]}{len(self._fields)}")

    def project(self, fact: FactReader) -> dict[str, Scalar]:
        """The engine fields of one subject: nothing for what is unknown, no value for what is absent."""
        projected: dict[str, Scalar] = {}
        for name, what, leaf, field in self._columns:
            value = fact(name)
            if isinstance(value, Unknown):
                continue
            if what == "presence":
                projected[field] = value is not None and value != ()
            elif what == "list" and leaf is not None:
                projected[field] = bool(leaf_truth(leaf, value))
            elif value is not None and not isinstance(value, tuple):
                projected[field] = engine_text(value) if isinstance(value, str) else value
        return projected

    def run(self, subjects: Mapping[str, FactReader]) -> set[tuple[Program, str]]:
        """(program, subject id) of every match."""
        found: set[tuple[Program, str]] = set()
        ids = list(subjects)
        for start in range(0, len(ids), MAX_FACTS):
            facts = {subject: ("F", self.project(subjects[subject])) for subject in ids[start : start + MAX_FACTS]}
            found |= {(self._keys[key], subject) for key, subject in self._shard.run(facts)}
        return found


def build_shards(programs: Iterable[Program], positive: bool, size: int) -> list[ProgramShard]:
    """Shards of at most `size` patterns; the conjunctions of one program stay together where they fit."""
    shards: list[ProgramShard] = []
    parts: list[tuple[Program, Sequence[Conjunction]]] = []
    patterns, fields = 0, set[tuple[str, str, Leaf | None]]()

    def flush() -> None:
        nonlocal parts, patterns, fields
        if parts:
            shards.append(ProgramShard(parts))
        parts, patterns, fields = [], 0, set()

    for program in programs:
        ways = program.fires if positive else program.refuted
        for start in range(0, len(ways), MAX_PATTERNS):
            chunk = ways[start : start + MAX_PATTERNS]
            needed = {(probe.fact, probe.what, probe.leaf) for way in chunk for probe in way}
            if patterns and (patterns + len(chunk) > size or len(fields | needed) > MAX_FIELDS):
                flush()
            parts.append((program, chunk))
            patterns += len(chunk)
            fields |= needed
    flush()
    return shards
