"""Who decides: durable_rules in service, the pure matcher as oracle. Both answer the same two questions.

`fired`: which conditions are true of which subjects. `refuted`: of those asked, which are false. What is neither is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rules_service.engine.compile import FactReader, Program, ProgramShard
from rules_service.engine.policy import CompiledRule, Slice
from rules_service.facts.values import FactValue
from rules_service.rules.matching import truth

Match = tuple[Program, str]


@dataclass(slots=True, eq=False)
class Ask:
    """One subject with the conditions asked of it. Subjects with equal facts share one ask, and so one engine fact."""

    slice: Slice
    key: str
    fact: FactReader
    programs: Sequence[tuple[Program, ...]]
    shards: Sequence[tuple[ProgramShard, ...]]
    unsure: bool = False
    """A fact the conditions may read is unknown."""
    memo: tuple[CompiledRule, tuple[FactValue, ...]] | None = None
    """The rule and its facts (names, then values), when nothing else decides: equal facts have equal verdicts, which are remembered."""


class Decider(NamedTuple):
    """The two questions. A decider that `remembers` is not asked again about facts it has judged before."""

    fired: Callable[[Iterable[Ask]], set[Match]]
    refuted: Callable[[Iterable[tuple[Program, Ask]]], set[Match]]
    remembers: bool


Runs = dict[int, tuple[ProgramShard, dict[str, FactReader]]]


def _run(runs: Runs) -> set[Match]:
    found: set[Match] = set()
    for shard, subjects in runs.values():
        found |= shard.run(subjects)
    return found


def _engine_fired(asks: Iterable[Ask]) -> set[Match]:
    runs: Runs = {}
    for ask in asks:
        for shards in ask.shards:
            for shard in shards:
                runs.setdefault(id(shard), (shard, {}))[1][ask.key] = ask.fact
    return _run(runs)


def _engine_refuted(asked: Iterable[tuple[Program, Ask]]) -> set[Match]:
    runs: Runs = {}
    for program, ask in asked:
        for shard in ask.slice.refuting(program):
            runs.setdefault(id(shard), (shard, {}))[1][ask.key] = ask.fact
    return _run(runs)


def _oracle_fired(asks: Iterable[Ask]) -> set[Match]:
    return {
        (program, ask.key)
        for ask in asks
        for programs in ask.programs
        for program in programs
        if truth(program.condition, ask.fact) is True
    }


def _oracle_refuted(asked: Iterable[tuple[Program, Ask]]) -> set[Match]:
    return {(program, ask.key) for program, ask in asked if truth(program.condition, ask.fact) is False}


engine_decider = Decider(_engine_fired, _engine_refuted, remembers=True)
oracle_decider = Decider(_oracle_fired, _oracle_refuted, remembers=False)
