"""Sorts subjects into classes: those of one class pass and fail every test of a set of conditions alike.

A condition only asks of a fact whether it is present and how it compares with the literals the rule names. So a number counts by
where it lies between those literals, a text by which literal it is or begins with, a list by the answers to the list tests. The
engine judges one subject of a class; the others have the same verdict.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable

from rules_service.engine.compile import FactReader, Program
from rules_service.facts.values import FactValue
from rules_service.primitives.unknown import Unknown
from rules_service.rules.condition import Leaf, leaves
from rules_service.rules.matching import leaf_truth

UNKNOWN = object()
"""The class of every unknown fact."""
_OTHER = ""
"""A text that is none of the literals; no literal is empty."""

Sorter = Callable[[FactValue], Hashable]


class FactClasses:
    """The classes of the facts some programs read."""

    __slots__ = ("_columns",)

    def __init__(self, programs: Iterable[Program]) -> None:
        by_fact: dict[str, list[Leaf]] = {}
        for program in programs:
            for leaf in leaves(program.condition):
                by_fact.setdefault(leaf.fact, []).append(leaf)
        self._columns = tuple((name, _sorter(asked)) for name, asked in sorted(by_fact.items()))

    def of(self, fact: FactReader) -> tuple[Hashable, ...]:
        """The class of the subject whose facts these are; it holds UNKNOWN where a fact is unknown."""
        return tuple([sorter(fact(name)) for name, sorter in self._columns])


def _sorter(asked: list[Leaf]) -> Sorter:
    asked = list(dict.fromkeys(leaf for leaf in asked if leaf.op != "present"))
    literals = {literal for leaf in asked for literal in (leaf.value if isinstance(leaf.value, tuple) else (leaf.value,))}
    texts = frozenset(literal for literal in literals if isinstance(literal, str))
    numbers = sorted(literal for literal in literals if isinstance(literal, int))
    prefixed = [leaf for leaf in asked if leaf.op == "starts_with"]
    listed = [leaf for leaf in asked if leaf.op.startswith("contains_")]

    def sort(value: FactValue) -> Hashable:
        if value is None or value is True or value is False:
            return value
        if value.__class__ is int:
            # Below, on or between the literals: every comparison with a literal of the rules has one answer there.
            return bisect_left(numbers, value) + bisect_right(numbers, value)
        if value.__class__ is Unknown:
            return UNKNOWN
        if value.__class__ is tuple:
            return tuple([leaf_truth(leaf, value) for leaf in listed]) if value else None
        if prefixed:
            return (value if value in texts else _OTHER, *[leaf_truth(leaf, value) for leaf in prefixed])
        return value if value in texts else _OTHER

    return sort
