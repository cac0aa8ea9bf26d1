"""What the panels say of the subjects put before them.

Subjects of one class of facts have one verdict, so each class is judged once and remembered by its panel. A decider that does
not remember (the oracle) is asked about every subject by itself, which is what makes it a check of the classes too.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec

from rules_service.engine.compile import FactReader
from rules_service.engine.decide import Ask, Decider, Match
from rules_service.engine.policy import Panel, Ruled, Slice
from rules_service.facts.view import LineView
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Candidate


class Question(msgspec.Struct, eq=False):
    """A subject put before a panel: a kind's candidate, or, for conditions, a line or (None) the claim."""

    slice: Slice
    panel: Panel
    fact: FactReader
    candidate: Candidate | None
    line: LineView | None


def rulings(questions: Sequence[Question], decide: Decider) -> list[tuple[Question, tuple[Ruled, ...]]]:
    """The questions on which a rule has something to say, in order, with what it says. EngineFault when the engine lost anything."""
    found: list[tuple[Ruled, ...] | None] = []
    classes: list[tuple[Hashable, ...]] = []
    asks: dict[tuple[Hashable, ...], Ask] = {}
    for number, question in enumerate(questions):
        facts = question.panel.classes.of(question.fact)
        known = question.panel.rulings.get(facts) if decide.remembers else None
        classes.append(facts)
        found.append(known)
        if known is None:
            key = (question.panel, facts if decide.remembers else number)
            if key not in asks:
                asks[key] = Ask(f"k{len(asks)}", question.slice, question.panel, question.fact)
    if asks:
        ruled = _judge(asks, decide)
        for number, question in enumerate(questions):
            if found[number] is None:
                said = found[number] = ruled[question.panel, classes[number] if decide.remembers else number]
                if decide.remembers:
                    question.panel.remember(classes[number], said)
    return [(question, said) for question, said in zip(questions, found, strict=True) if said]


def _judge(asks: dict[tuple[Hashable, ...], Ask], decide: Decider) -> dict[tuple[Hashable, ...], tuple[Ruled, ...]]:
    fired = decide.fired(asks.values())
    doubtful: dict[Match, Ask] = {}
    for ask in asks.values():
        for program in ask.panel.programs:
            if (program, ask.key) not in fired and any(isinstance(ask.fact(name), Unknown) for name in program.facts):
                doubtful[program, ask.key] = ask
    refuted = decide.refuted([(program, ask) for (program, _), ask in doubtful.items()]) if doubtful else set()
    return {key: _ruled(ask, fired, doubtful.keys() - refuted) for key, ask in asks.items()}


def _ruled(ask: Ask, fired: set[Match], unknown: set[Match]) -> tuple[Ruled, ...]:
    """The first true branch decides. A branch that is unknown is noted, and those after it may still be true."""
    found: list[Ruled] = []
    for rule in ask.panel.rules:
        decided = None
        doubtful = []
        for branch, program in rule.branches:
            if (program, ask.key) in unknown:
                doubtful.append((branch, program))
            elif (program, ask.key) in fired:
                decided = (branch, program)
                break
        speaks = decided is not None and (decided[0].bypassed or decided[0].severity is not None)
        if doubtful or speaks:
            found.append(Ruled(rule, decided if speaks else None, tuple(doubtful)))
    return tuple(found)
