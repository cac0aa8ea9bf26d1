"""A small pure evaluation of conditions: the oracle the engine is compared with, and the source of explanations.

It shares no code with the compiler: it walks the tree as a person would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rules_service.facts.values import FactSpec, FactValue, format_value, shown_value
from rules_service.primitives.unknown import Unknown
from rules_service.rules.condition import All, AnyOf, Condition, Leaf, Not

Truth = bool | None
"""True, False, or None for unknown."""


def leaf_truth(leaf: Leaf, value: FactValue) -> Truth:
    """Truth of one comparison."""
    if isinstance(value, Unknown):
        return None
    op, wanted = leaf.op, leaf.value
    if op == "present":
        return (value is not None and value != ()) == wanted
    if op in ("contains_any", "contains_none", "contains_all"):
        held = set(value) if isinstance(value, tuple) else set()
        asked = set(wanted) if isinstance(wanted, tuple) else {wanted}
        if op == "contains_all":
            return asked <= held
        return bool(held & asked) == (op == "contains_any")
    if value is None:
        return False
    if isinstance(wanted, tuple):
        if op == "starts_with":
            return any(str(value).startswith(str(prefix)) for prefix in wanted)
        return (value in wanted) == (op == "in")
    if op == "is":
        return value == wanted
    if op == "is_not":
        return value != wanted
    if isinstance(value, int) and isinstance(wanted, int):
        return {"at_least": value >= wanted, "at_most": value <= wanted, "more_than": value > wanted, "less_than": value < wanted}[op]
    raise ValueError(f"{op} is not defined for this fact")


def truth(condition: Condition, fact: Callable[[str], FactValue]) -> Truth:
    """Kleene truth of a tree."""
    if isinstance(condition, Leaf):
        return leaf_truth(condition, fact(condition.fact))
    if isinstance(condition, Not):
        inner = truth(condition.part, fact)
        return None if inner is None else not inner
    parts = [truth(part, fact) for part in condition.parts]
    decisive = isinstance(condition, AnyOf)
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive


@dataclass(frozen=True, slots=True)
class Explained:
    """A node of a condition with its truth and, for a leaf, the fact seen (never a PHI value)."""

    text: str
    truth: Truth
    seen: str | None = None
    reason: str | None = None
    parts: tuple[Explained, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON data."""
        answer: dict[str, Any] = {"condition": self.text, "result": {True: "true", False: "false", None: "unknown"}[self.truth]}
        if self.seen is not None:
            answer["seen"] = self.seen
        if self.reason is not None:
            answer["reason"] = self.reason
        if self.parts:
            answer["parts"] = [part.plain() for part in self.parts]
        return answer


def explain(condition: Condition, fact: Callable[[str], FactValue], spec: Callable[[str], FactSpec | None]) -> Explained:
    """The tree with what each part came to."""
    if isinstance(condition, Leaf):
        value = fact(condition.fact)
        known = spec(condition.fact)
        kind = known.type if known else "text"
        wanted = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        shown = [format_value("flag" if condition.op == "present" else kind, ("" if item is None else item)) or "" for item in wanted[:20]]
        text = f"{condition.fact} {condition.op} {', '.join(shown)}" + (" ..." if len(wanted) > 20 else "")
        if isinstance(value, Unknown):
            return Explained(text, None, None, value.reason)
        seen = shown_value(known, value, wanted) if known is not None and value not in (None, ()) else None
        seen = seen or "absent"
        return Explained(text, leaf_truth(condition, value), seen)
    if isinstance(condition, Not):
        inner = explain(condition.part, fact, spec)
        return Explained("not", None if inner.truth is None else not inner.truth, parts=(inner,))
    parts = tuple(explain(part, fact, spec) for part in condition.parts)
    return Explained("all" if isinstance(condition, All) else "any", truth(condition, fact), parts=parts)
