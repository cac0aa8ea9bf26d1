"""Random condition trees and random three-valued facts, from a seed."""

from __future__ import annotations

import random

from rules_service.facts.values import FactSpec, FactType, FactValue
from rules_service.primitives.unknown import Unknown
from rules_service.rules.condition import operators_for

TYPES: tuple[FactType, ...] = ("text", "codes", "count", "money", "day", "flag", "quantity")
FACTS: dict[str, FactSpec] = {f"{kind}{n}": FactSpec(f"{kind}{n}", kind, "claim", "") for kind in TYPES for n in range(3)}
TEXTS = ("A", "B", "59", "0450", "AB C", "Z")
NUMBERS = (-1, 0, 1, 2, 739_000, 2**52)
NOT_KNOWN = Unknown("context_not_supplied")


def _literal(kind: FactType, draw: random.Random) -> str:
    if kind in ("text", "codes"):
        return draw.choice(TEXTS)
    if kind == "flag":
        return draw.choice(("true", "false"))
    if kind == "day":
        return draw.choice(("2024-02-29", "2026-01-01", "2026-11-23"))
    if kind == "money":
        return draw.choice(("0.00", "0.01", "-5.00", "100.00"))
    if kind == "quantity":
        return draw.choice(("0", "1", "2.5"))
    return str(draw.choice((-1, 0, 1, 2)))


def random_condition(draw: random.Random, depth: int = 3) -> dict[str, object]:
    """A tree as plain data."""
    word = draw.random()
    if depth and word < 0.25:
        return {"all": [random_condition(draw, depth - 1) for _ in range(draw.randint(1, 3))]}
    if depth and word < 0.5:
        return {"any": [random_condition(draw, depth - 1) for _ in range(draw.randint(1, 3))]}
    if depth and word < 0.6:
        return {"not": random_condition(draw, depth - 1)}
    spec = FACTS[draw.choice(sorted(FACTS))]
    op = draw.choice(operators_for(spec.type))
    if op == "present":
        return {"fact": spec.name, op: draw.choice(("true", "false"))}
    if op in ("in", "not_in", "starts_with") or op.startswith("contains"):
        return {"fact": spec.name, op: [_literal(spec.type, draw) for _ in range(draw.randint(1, 4))]}
    return {"fact": spec.name, op: _literal(spec.type, draw)}


def random_facts(draw: random.Random) -> dict[str, FactValue]:
    """A value, absence or not knowing, for every fact; values lie near the literals, some are text the engine must not see."""
    return {name: _value(spec.type, draw) for name, spec in FACTS.items()}


def _value(kind: FactType, draw: random.Random) -> FactValue:
    choice = draw.random()
    if choice < 0.2:
        return None
    if choice < 0.35:
        return NOT_KNOWN
    if kind == "text":
        return draw.choice((*TEXTS, 'quo"te', "back\\slash", "é", "x" * 600, "~", "A ", "a"))
    if kind == "codes":
        return tuple(draw.sample(TEXTS, draw.randint(0, 3)))
    if kind == "flag":
        return draw.random() < 0.5
    if kind == "day":
        return draw.choice((738_945, 739_617, 739_943)) + draw.choice((-1, 0, 1))
    if kind == "money":
        return draw.choice((0, 1, -500, 10_000)) + draw.choice((-1, 0, 1))
    if kind == "quantity":
        return draw.choice((0, 1_000, 2_500)) + draw.choice((-1, 0, 1))
    return draw.choice(NUMBERS)
