"""Conditions decided exactly, by trying every combination of the classes into which their literals divide the values of their facts.

A leaf compares one fact with literals, so that values between the same literals are alike to it. Facts are taken as independent:
what is never true, or implied, for every combination is so for every claim; a combination that makes something true may be one that
no claim has. Over more than MAX_COMBINATIONS nothing is decided.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rules_service.facts.values import FactSpec, FactValue, format_value
from rules_service.primitives.unknown import Unknown
from rules_service.rules.condition import Condition, Leaf, leaves
from rules_service.rules.matching import truth

MAX_COMBINATIONS = 20_000
OTHER = "\x00other"
"""A text that equals no literal, since literals are printable."""
Specs = Callable[[str], FactSpec | None]
Facts = dict[str, FactValue]


def _classes(fact: str, spec: FactSpec | None, all_leaves: Sequence[Leaf]) -> list[FactValue]:
    """One value of every class the leaves tell apart, and none."""
    literals: list[Any] = []
    for leaf in all_leaves:
        if leaf.fact == fact and leaf.op != "present":
            literals += leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    kind = spec.type if spec is not None else "text"
    if kind == "flag":
        return [None, False, True]
    if kind == "codes":
        known = sorted({str(one) for one in literals})
        return [(), (OTHER,), *((one,) for one in known), tuple(known)]
    if literals and all(isinstance(one, int) for one in literals):
        return [None, *sorted({one + step for one in literals for step in (-1, 0, 1)})]
    if not literals:
        return [None, OTHER if kind == "text" else 0]
    # A literal with more behind it starts with the literal and equals none.
    return [None, OTHER, *sorted({text for one in literals for text in (str(one), f"{one}\x00")})]


def combinations(conditions: Iterable[Condition], specs: Specs) -> list[Facts] | None:
    """Every combination of classes of the facts that conditions read; None when there are too many."""
    all_leaves = [leaf for condition in conditions for leaf in leaves(condition)]
    names = sorted({leaf.fact for leaf in all_leaves})
    choices, count = [], 1
    for name in names:
        choices.append(_classes(name, specs(name), all_leaves))
        count *= len(choices[-1])
        if count > MAX_COMBINATIONS:
            return None
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*choices)]


def verdicts(condition: Condition, specs: Specs) -> set[bool | None] | None:
    """What a condition can come to; None when that is not decided."""
    found = combinations([condition], specs)
    return None if found is None else {truth(condition, facts.get) for facts in found}


def is_implied(condition: Condition, by: Sequence[Condition], specs: Specs) -> bool:
    """Whether one of the conditions is true wherever this one is; false also when that is not decided, or it never is."""
    found = combinations([condition, *by], specs)
    relevant = [facts for facts in found or () if truth(condition, facts.get)]
    return bool(relevant) and all(any(truth(other, facts.get) for other in by) for facts in relevant)


def common(one: Condition, other: Condition, specs: Specs) -> Facts | None:
    """Facts that make both true; None when none were found."""
    found = combinations([one, other], specs) or ()
    return next((facts for facts in found if truth(one, facts.get) and truth(other, facts.get)), None)


def shown(facts: Facts, specs: Specs) -> dict[str, str]:
    """Facts as a person reads them."""
    told = {}
    for name, value in sorted(facts.items()):
        spec = specs(name)
        if value is None or value == () or isinstance(value, Unknown):
            told[name] = "absent"
        else:
            text = format_value(spec.type if spec is not None else "text", value) or str(value)
            told[name] = text.replace(OTHER, "anything else").replace("\x00", "...")
    return told
