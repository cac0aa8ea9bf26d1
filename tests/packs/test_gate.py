"""The gate's comparison of the engine with the oracle."""

from __future__ import annotations

import random

import pytest

from rules_service.engine.compile import Program
from rules_service.engine.policy import specs_for
from rules_service.packs.gate import engine_agrees
from rules_service.rules.condition import read_condition
from rules_service.rules.kinds import KINDS

CONDITIONS = (
    {"fact": "line.procedure_code", "in": ["AA001", "AA002"]},
    {"all": [{"fact": "claim.charge_difference", "is_not": "0.00"}, {"fact": "line.unit_count", "more_than": "2"}]},
    {"not": {"fact": "line.procedure_code", "present": "true"}},
)


def _program(when: object) -> Program:
    return Program(read_condition(when, specs_for(KINDS["condition"], "line").get))


@pytest.mark.parametrize("when", CONDITIONS)
def test_an_engine_that_answers_as_the_oracle_does_agrees(when: object) -> None:
    assert engine_agrees(_program(when), random.Random(1))


@pytest.mark.parametrize("when", CONDITIONS)
def test_an_engine_that_calls_true_what_is_false_does_not_agree(when: object) -> None:
    program = _program(when)
    program.fires, program.refuted = program.refuted, program.fires
    assert not engine_agrees(program, random.Random(1))


@pytest.mark.parametrize("when", CONDITIONS)
def test_an_engine_that_never_says_false_does_not_agree(when: object) -> None:
    program = _program(when)
    program.refuted = []
    assert not engine_agrees(program, random.Random(1))
