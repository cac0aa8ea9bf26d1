"""Who decides: durable_rules in service, the pure matcher as oracle. Both answer the same two questions.

`fired`: which conditions are true of which subjects. `refuted`: of those asked, which are false. What is neither is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from rules_service.engine.compile import FactReader, Program, ProgramShard
from rules_service.engine.policy import Panel, Slice
from rules_service.rules.matching import truth

Match = tuple[Program, str]


@dataclass(slots=True, eq=False)
class Ask:
    """A panel asked of one subject, under a key no other subject of the run has."""

    key: str
    slice: Slice
    panel: Panel
    fact: FactReader


class Decider(NamedTuple):
    """The two questions. A decider that `remembers` is not asked again about a class of facts it has judged before."""

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
        for shard in ask.panel.shards:
            runs.setdefault(id(shard), (shard, {}))[1][ask.key] = ask.fact
    return _run(runs)


def _engine_refuted(asked: Iterable[tuple[Program, Ask]]) -> set[Match]:
    runs: Runs = {}
    for program, ask in asked:
        for shard in ask.slice.refuting(program):
            runs.setdefault(id(shard), (shard, {}))[1][ask.key] = ask.fact
    return _run(runs)


def _oracle_fired(asks: Iterable[Ask]) -> set[Match]:
    return {(program, ask.key) for ask in asks for program in ask.panel.programs if truth(program.condition, ask.fact) is True}


def _oracle_refuted(asked: Iterable[tuple[Program, Ask]]) -> set[Match]:
    return {(program, ask.key) for program, ask in asked if truth(program.condition, ask.fact) is False}


engine_decider = Decider(_engine_fired, _engine_refuted, remembers=True)
oracle_decider = Decider(_oracle_fired, _oracle_refuted, remembers=False)
