"""Condition trees over facts: `all`, `any`, `not` and leaves such as `{fact: line.place_of_service_code, is: "11"}`.

Three-valued (Kleene): a leaf over an unknown fact is unknown. A comparison with an absent fact is false, whatever the
operator; ask for absence with `present: false`. Every tree is checked here before anything compiles it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules_service.facts.values import NUMERIC, FactSpec, FactType, Literal_, parse_literal
from rules_service.primitives.errors import Issue, RuleRefused

MAX_NODES = 64
MAX_DEPTH = 8
MAX_LIST = 5_000

_ORDER = ("at_least", "at_most", "more_than", "less_than")
_SCALAR_LISTS = ("in", "not_in", "starts_with")
_CODES_LISTS = ("contains_any", "contains_none", "contains_all")
OPERATORS: dict[str, str] = {
    "is": "equal to the value",
    "is_not": "present and different from the value",
    "in": "equal to one of the values",
    "not_in": "present and equal to none of the values",
    "starts_with": "starts with one of the values",
    "at_least": "greater than or equal to the value",
    "at_most": "less than or equal to the value",
    "more_than": "greater than the value",
    "less_than": "less than the value",
    "present": "true: has a value; false: is known to have none",
    "contains_any": "holds at least one of the values",
    "contains_none": "holds none of the values",
    "contains_all": "holds every one of the values",
}


def operators_for(kind: FactType) -> tuple[str, ...]:
    """The operators a fact of this type takes."""
    if kind == "codes":
        return (*_CODES_LISTS, "present")
    if kind == "flag":
        return ("is", "present")
    if kind in NUMERIC:
        return ("is", "is_not", "in", "not_in", *_ORDER, "present")
    return ("is", "is_not", *_SCALAR_LISTS, "present")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison. `value` is a typed literal, a sorted tuple of them, or a flag for `present`."""

    fact: str
    op: str
    value: Literal_ | tuple[Literal_, ...]


def shown_leaf(leaf: Leaf) -> str:
    """The comparison as its author wrote it, on one line."""
    values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    return f"{leaf.fact} {leaf.op} {', '.join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)}"


@dataclass(frozen=True, slots=True)
class All:
    """True when every part is."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when at least one part is."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when the part is false; unknown stays unknown."""

    part: Condition


Condition = Leaf | All | AnyOf | Not


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Every leaf, in written order."""
    if isinstance(condition, Leaf):
        yield condition
    elif isinstance(condition, Not):
        yield from leaves(condition.part)
    else:
        for part in condition.parts:
            yield from leaves(part)


def fact_names(condition: Condition) -> frozenset[str]:
    """The facts a tree reads."""
    return frozenset(leaf.fact for leaf in leaves(condition))


class ConditionReader:
    """Reads a tree from plain data whose scalars are all text; collects every fault with its path."""

    def __init__(self, specs: Callable[[str], FactSpec | None]) -> None:
        self._specs = specs
        self.issues: list[Issue] = []
        self._nodes = 0

    def read(self, raw: Any, where: str) -> Condition | None:
        """The tree, or None when there are issues."""
        condition = self._node(raw, where, 1)
        return None if self.issues else condition

    def _fault(self, code: str, where: str, message: str, mend: str) -> None:
        self.issues.append(Issue(code, where, message, mend))

    def _node(self, raw: Any, where: str, depth: int) -> Condition | None:
        self._nodes += 1
        if self._nodes == MAX_NODES + 1:
            self._fault("condition-too-large", where, f"A condition has at most {MAX_NODES} nodes.", "Split the rule in two.")
        if self._nodes > MAX_NODES:
            return None
        if depth > MAX_DEPTH:
            self._fault("condition-too-deep", where, f"A condition is at most {MAX_DEPTH} levels deep.", "Flatten it.")
            return None
        if not isinstance(raw, Mapping) or not raw:
            self._fault("condition-form", where, "A condition is a mapping.", "Write {fact: NAME, OPERATOR: VALUE}, or all, any, not.")
            return None
        keys = set(raw)
        for word, build in (("all", All), ("any", AnyOf)):
            if keys == {word}:
                parts = raw[word]
                if not isinstance(parts, Sequence) or isinstance(parts, str) or not parts:
                    self._fault(
                        "condition-empty",
                        f"{where}/{word}",
                        f"`{word}` needs a list of at least one condition.",
                        "An empty list would match everything or nothing.",
                    )
                    return None
                read = [self._node(part, f"{where}/{word}/{index}", depth + 1) for index, part in enumerate(parts)]
                known = tuple(part for part in read if part is not None)
                return build(known) if len(known) == len(read) else None
        if keys == {"not"}:
            inner = self._node(raw["not"], f"{where}/not", depth + 1)
            return None if inner is None else Not(inner)
        if "fact" in keys and len(keys) == 2:
            return self._leaf(raw, where)
        self._fault(
            "condition-form",
            where,
            "A condition is one of: all, any, not, or a fact with one operator.",
            "Write {fact: NAME, OPERATOR: VALUE}.",
        )
        return None

    def _leaf(self, raw: Mapping[str, Any], where: str) -> Condition | None:
        name = raw["fact"]
        op = next(key for key in raw if key != "fact")
        spec = self._specs(name) if isinstance(name, str) else None
        if spec is None:
            self._fault(
                "unknown-fact",
                f"{where}/fact",
                "No such fact for a rule of this kind and level.",
                "See the fact catalogue: GET /v1/fact-catalogue.",
            )
            return None
        if op not in operators_for(spec.type):
            self._fault(
                "operator",
                f"{where}/{op}",
                f"A {spec.type} fact takes: {', '.join(operators_for(spec.type))}.",
                "Use one of these operators.",
            )
            return None
        raw_value = raw[op]
        try:
            if op == "present":
                return Leaf(spec.name, op, bool(parse_literal("flag", raw_value)))
            if op in _SCALAR_LISTS or op in _CODES_LISTS:
                if not isinstance(raw_value, Sequence) or isinstance(raw_value, str) or not 0 < len(raw_value) <= MAX_LIST:
                    raise ValueError(f"expected a list of 1 to {MAX_LIST} values")
                return Leaf(spec.name, op, tuple(sorted({parse_literal(spec.type, item) for item in raw_value})))
            if not isinstance(raw_value, str):
                raise ValueError("expected one value")
            return Leaf(spec.name, op, parse_literal(spec.type, raw_value))
        except (ValueError, TypeError, AttributeError) as error:
            self._fault("literal", f"{where}/{op}", f"{spec.name} is a {spec.type}: {error}.", "Mend the value.")
            return None


def read_condition(raw: Any, specs: Callable[[str], FactSpec | None], where: str = "") -> Condition:
    """The tree, or RuleRefused with every fault."""
    reader = ConditionReader(specs)
    condition = reader.read(raw, where)
    if condition is None:
        raise RuleRefused("The condition cannot be used", reader.issues)
    return condition
