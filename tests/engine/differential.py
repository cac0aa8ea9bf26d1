"""Random rules x random facts: durable_rules against the oracle."""

from __future__ import annotations

import random

from rules_service.engine.compile import Program, build_shards
from rules_service.primitives.errors import RuleRefused
from rules_service.rules.condition import read_condition
from rules_service.rules.matching import truth
from tests.support.random_conditions import FACTS, random_condition, random_facts


def differences(seed: int, pairs: int, programs_at_once: int = 12, facts_at_once: int = 25) -> tuple[int, list[str]]:
    """(pairs compared, differences). Several programs share shards, so that their patterns meet in one network."""
    draw = random.Random(seed)
    compared, found = 0, []
    while compared < pairs:
        programs = []
        while len(programs) < programs_at_once:
            try:
                programs.append(Program(read_condition(random_condition(draw), FACTS.get)))
            except RuleRefused:
                continue  # too many ways: refused when it is saved
        subjects = {f"g{n}": random_facts(draw) for n in range(facts_at_once)}
        readers = {name: facts.__getitem__ for name, facts in subjects.items()}
        size = draw.choice((1, 3, 8, 24))
        held = {
            positive: set().union(*(shard.run(readers) for shard in build_shards(programs, positive, size))) for positive in (True, False)
        }
        for program in programs:
            for name, facts in subjects.items():
                engine = True if (program, name) in held[True] else False if (program, name) in held[False] else None
                both = (program, name) in held[True] and (program, name) in held[False]
                expected = truth(program.condition, facts.__getitem__)
                compared += 1
                if engine is not expected or both:
                    found.append(f"{program.condition} over {facts}: engine {engine}, oracle {expected}")
    return compared, found
