"""Sorts subjects into classes: those of one class pass and fail every test of a set of conditions alike.

A condition only asks of a fact whether it is present and how it compares with the literals the rule names. So a number counts by
where it lies between those literals, a text by which literal it is or begins with, a list by the answers to the list tests. The
engine judges one subject of a class; the others have the same verdict.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable

from rules_service.engine.compile import FactReader, Program
from rules_service.facts.values import FactValue, Literal_
from rules_service.primitives.unknown import Unknown
from rules_service.rules.condition import Leaf, leaves

UNKNOWN = object()
"""The class of every unknown fact."""
_OTHER = ""
"""A value that is none of the literals; no literal is empty."""

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


def _literals(asked: Iterable[Leaf]) -> frozenset[Literal_]:
    return frozenset(literal for leaf in asked for literal in (leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)))


def _sorter(asked: list[Leaf]) -> Sorter:
    """How the values of one fact are sorted: by the type of the literals, which is the fact's."""
    asked = list(dict.fromkeys(leaf for leaf in asked if leaf.op != "present"))
    literals = _literals(asked)
    if not asked:
        return _presence
    if any(leaf.op.startswith("contains_") for leaf in asked):
        return _codes_sorter(asked)
    if all(isinstance(literal, bool) for literal in literals):
        return _flag
    if all(isinstance(literal, int) for literal in literals):
        return _number_sorter(sorted(int(literal) for literal in literals))
    return _text_sorter(frozenset(map(str, literals)), [leaf for leaf in asked if leaf.op == "starts_with"])


def _flag(value: FactValue) -> Hashable:
    return UNKNOWN if value.__class__ is Unknown else value


def _presence(value: FactValue) -> Hashable:
    if value is None or value == ():
        return None
    return UNKNOWN if value.__class__ is Unknown else _OTHER


def _number_sorter(literals: list[int]) -> Sorter:
    def sort(value: FactValue) -> Hashable:
        # Below, on or between the literals: every comparison with a literal of the rules has one answer there.
        return bisect_left(literals, value) + bisect_right(literals, value) if value.__class__ is int else _flag(value)

    return sort


def _text_sorter(texts: frozenset[str], prefixed: list[Leaf]) -> Sorter:
    if not prefixed:
        return lambda value: (value if value in texts else _OTHER) if value.__class__ is str else _flag(value)
    beginnings = [tuple(map(str, _literals([leaf]))) for leaf in prefixed]
    any_of_them = tuple(dict.fromkeys(text for one in beginnings for text in one))

    def sort(value: FactValue) -> Hashable:
        if value.__class__ is not str:
            return _flag(value)
        named = value if value in texts else _OTHER
        return (named, *[value.startswith(one) for one in beginnings]) if value.startswith(any_of_them) else named

    return sort


def _codes_sorter(asked: list[Leaf]) -> Sorter:
    """Of each set of codes, whether the list holds one of them; of those that must all be there, whether they are."""
    some = list(dict.fromkeys(_literals([leaf]) for leaf in asked if leaf.op != "contains_all"))
    every = list(dict.fromkeys(_literals([leaf]) for leaf in asked if leaf.op == "contains_all"))

    def sort(value: FactValue) -> Hashable:
        if value.__class__ is not tuple:
            return _flag(value)
        if not value:
            return None
        return tuple([one.isdisjoint(value) for one in some] + [one.issubset(value) for one in every])

    return sort
