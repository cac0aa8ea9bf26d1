"""Classes of facts: subjects of one class must have one verdict, or a remembered verdict would be another claim's."""

import random

import pytest

from rules_service.engine.classes import UNKNOWN, FactClasses
from rules_service.engine.compile import Program
from rules_service.primitives.errors import RuleRefused
from rules_service.primitives.unknown import Unknown
from rules_service.rules.condition import read_condition
from rules_service.rules.matching import truth
from tests.support.random_conditions import FACTS, random_condition, random_facts

SPECS = {name: spec for name, spec in FACTS.items() if name.endswith("0")}


def random_programs(draw: random.Random) -> list[Program]:
    programs: list[Program] = []
    while len(programs) < 3:
        try:
            programs.append(Program(read_condition(random_condition(draw, 1), FACTS.get)))
        except RuleRefused:
            continue
    return programs


@pytest.mark.parametrize("seed", range(20))
def test_subjects_of_one_class_have_one_verdict_of_every_condition(seed: int) -> None:
    draw = random.Random(seed)
    shared = 0
    for _ in range(40):
        programs = random_programs(draw)
        classes = FactClasses(programs)
        seen: dict[tuple, list[bool | None]] = {}
        for _ in range(120):
            facts = random_facts(draw)
            verdicts = [truth(program.condition, facts.__getitem__) for program in programs]
            known = seen.setdefault(classes.of(facts.__getitem__), verdicts)
            shared += known is not verdicts
            assert known == verdicts
    assert shared > 1_000, "the classes are so fine that nothing is ever shared"


@pytest.mark.parametrize(
    ("op", "value", "same", "other"),
    [
        ("at_least", "100.00", (10_001, 99_999), 9_999),
        ("more_than", "100.00", (10_001, 99_999), 10_000),
        ("is", "100.00", (10_001, 10_002), 10_000),
        ("in", ["1.00", "2.00"], (101, 199), 100),
    ],
)
def test_amounts_on_the_two_sides_of_a_literal_are_of_different_classes(op: str, value: object, same: tuple[int, int], other: int) -> None:
    classes = FactClasses([Program(read_condition({"fact": "money0", op: value}, SPECS.get))])
    assert classes.of({"money0": same[0]}.get) == classes.of({"money0": same[1]}.get)
    assert classes.of({"money0": same[0]}.get) != classes.of({"money0": other}.get)


def test_absent_unknown_and_other_text_are_three_classes() -> None:
    classes = FactClasses([Program(read_condition({"fact": "text0", "is": "A"}, SPECS.get))])
    found = [classes.of({"text0": value}.get) for value in (None, Unknown("context_not_supplied"), "Z", "A")]
    assert len(set(found)) == 4
    assert found[1] == (UNKNOWN,)
