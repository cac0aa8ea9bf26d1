"""The rules that concern one kind of claim, compiled a date slice at a time.

A policy is built from the publications whose scope holds the claim. Between two effective dates nothing changes, so each such
slice is compiled once, lazily, and shared by every slice with the same rule versions (cached by content hash).
"""

from __future__ import annotations

import functools
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, NamedTuple

from rules_service.claim.claim import ClaimType
from rules_service.engine.classes import FactClasses
from rules_service.engine.compile import Program, ProgramShard, build_shards
from rules_service.engine.durable_host import MAX_PATTERNS
from rules_service.facts.catalogue import CATALOGUE
from rules_service.facts.values import FactSpec
from rules_service.findings.evaluation import PublicationPin, UndecidedRuleSet
from rules_service.findings.finding import Fix, at_most
from rules_service.primitives.canonical import content_hash
from rules_service.rules.condition import All, Condition, Leaf, read_condition
from rules_service.rules.kinds import KINDS
from rules_service.rules.kinds.base import Branch, RuleKind
from rules_service.rules.rule import Manifest, RuleVersionContent
from rules_service.rules.selection import Loser, StandingRule, scope_rank, standing

INDEXED_SHARD_PATTERNS = 8
MAX_CACHED_SLICES = 256
SWITCHED_OFF = "switched off by an emergency"
MAX_RULINGS = 4_096
"""Of one panel; the classes of facts are few (a valid NPI, a limit kept), and claims repeat them."""


@dataclass(frozen=True)
class Publication:
    """A published rule set with the contents its windows name."""

    rule_set_id: str
    number: int
    sha256: str
    manifest: Manifest
    contents: Mapping[str, RuleVersionContent]


@functools.cache
def specs_for(kind: RuleKind[Any], level: str) -> Mapping[str, FactSpec]:
    """Facts a condition of a rule of this kind and level may name."""
    allowed = {name: fact.spec for name, fact in CATALOGUE.items() if level != "claim" or fact.spec.level == "claim"}
    return {**allowed, **kind.specs}


def complete_branches(content: RuleVersionContent) -> tuple[Branch, ...]:
    """The branches of a version: the kind's defaults with the version's wording, or the version's own finding for `condition`."""
    kind = KINDS[content.kind]
    if content.kind == "condition":
        template = content.finding
        if template is None or template.code is None or template.severity is None or content.when is None:
            raise ValueError(f"{content.rule_id}: a condition rule has `when` and a `finding` with code, severity and message")
        return (
            _worded(
                Branch(code=template.code, title=template.title or content.title, when=content.when, at=template.at or content.level),
                content,
                template,
            ),
        )
    branches = []
    for branch in kind.branches(kind.read_parameters(content.parameters)):
        when = {"all": [content.when, branch.when]} if content.when is not None else branch.when
        template = content.findings.get(branch.code)
        changed = replace(branch, when=when)
        branches.append(_worded(changed, content, template) if template is not None else changed)
    return tuple(branches)


def _worded(branch: Branch, content: RuleVersionContent, template: Any) -> Branch:
    fixes = (
        tuple(Fix(label=fix.label, class_=fix.class_, patch=None) for fix in template.fixes) if template.fixes is not None else branch.fixes
    )
    return replace(
        branch,
        title=template.title or branch.title,
        severity=template.severity or branch.severity,
        category=template.category or branch.category,
        confidence=template.confidence or branch.confidence,
        predicts=template.predicts or branch.predicts,
        at=template.at or branch.at,
        message=template.message or branch.message,
        fixes=fixes,
        owner_role=template.owner_role or branch.owner_role,
        next_action=template.next_action or branch.next_action,
        override_reasons=content.override_reasons or branch.override_reasons,
    )


@dataclass(slots=True, eq=False)
class CompiledRule:
    """A standing rule with typed parameters, its branches as programs, and the panel that judges its candidates."""

    rule: StandingRule
    kind: RuleKind[Any]
    parameters: Any
    branches: tuple[tuple[Branch, Program], ...]
    index_codes: frozenset[str] | None
    panel: Panel = field(init=False)
    """Of a kind; conditions are asked in panels of their index."""
    when: Condition | None = None
    """What the version asks of every branch."""
    reads_catalogue: bool = False
    """Its conditions read facts of the claim or line besides those of its kind."""
    reads_lines: bool = False
    """Some of those are facts of the line."""
    code_tables: tuple[str, ...] = ()
    """Tables outside which it has nothing to ask; see `RuleKind.code_tables`."""
    passing_modifiers: frozenset[str] = frozenset()

    def programs(self) -> tuple[Program, ...]:
        """Its conditions, each once."""
        return tuple(dict.fromkeys(program for _, program in self.branches))


class Ruled(NamedTuple):
    """What a panel says of one rule: the branch that decides, and the branches before it that are not known."""

    rule: CompiledRule
    decided: tuple[Branch, Program] | None
    unknown: tuple[tuple[Branch, Program], ...]


class Concern(NamedTuple):
    """The rules that concern a claim: (rule id, version) of each, the kinds that no rule is of, and whether one is the payer's own."""

    identities: frozenset[tuple[str, int]]
    kinds_without_rule: tuple[str, ...]
    covers_payer: bool


class Panel:
    """Rules asked together of one subject: they share one engine fact, and one memory of the classes they have ruled on."""

    __slots__ = ("classes", "programs", "rules", "rulings", "shards")

    def __init__(self, rules: Sequence[CompiledRule], shards: Mapping[Program, Sequence[ProgramShard]]) -> None:
        self.rules = tuple(rules)
        self.programs = tuple(dict.fromkeys(program for rule in rules for program in rule.programs()))
        self.shards = tuple(dict.fromkeys(shard for program in self.programs for shard in shards[program]))
        self.classes = FactClasses(self.programs)
        self.rulings: dict[tuple[Hashable, ...], tuple[Ruled, ...]] = {}
        """By class of facts: the rules that have something to say. Bounded by MAX_RULINGS."""

    def remember(self, facts: tuple[Hashable, ...], ruled: tuple[Ruled, ...]) -> None:
        """Keep what was said of a class of facts."""
        if len(self.rulings) >= MAX_RULINGS:
            self.rulings.clear()
        self.rulings[facts] = ruled


class RuleIndex:
    """Some rules of a slice by how they are asked.

    `kinds` derive their own candidates; `always` holds the panel of conditions of each level that concern every claim, `by_code`
    those that pin a procedure code; `identities` names (rule id, version) of the rules that concern every claim. `covers_payer`: a rule of the
    payer's own is among them, in force and not in preview; `kind_names`: the kinds of rules in force and not in preview.
    """

    __slots__ = ("_kinds_of_voids", "always", "by_code", "covers_payer", "identities", "kind_names", "kinds")

    def __init__(self, rules: Sequence[CompiledRule], shards: Mapping[Program, Sequence[ProgramShard]]) -> None:
        in_force = [one for one in rules if one.rule.content.stage == "stable"]
        self.covers_payer = any(one.rule.layer != "national" for one in in_force)
        self.kind_names = frozenset(one.kind.name for one in in_force)
        conditions: dict[tuple[str | None, str], list[CompiledRule]] = {}
        self.kinds = tuple([rule for rule in rules if rule.kind.name != "condition"])
        self._kinds_of_voids = tuple([rule for rule in self.kinds if rule.kind.judges_void])
        for rule in rules:
            if rule.kind.name == "condition":
                for code in (None,) if rule.index_codes is None else sorted(rule.index_codes):
                    conditions.setdefault((code, rule.rule.content.level), []).append(rule)
        self.always: dict[str, Panel] = {}
        self.by_code: dict[str, dict[str, Panel]] = {}
        for (code, level), members in conditions.items():
            (self.always if code is None else self.by_code.setdefault(code, {}))[level] = Panel(members, shards)
        everywhere = [*self.kinds, *(rule for panel in self.always.values() for rule in panel.rules)]
        self.identities = frozenset((rule.rule.content.rule_id, rule.rule.version) for rule in everywhere)

    def kinds_asked(self, is_void: bool) -> tuple[CompiledRule, ...]:
        """The rules that derive their own candidates; of a void those only that judge one."""
        return self._kinds_of_voids if is_void else self.kinds


def index_codes(condition: Condition) -> frozenset[str] | None:
    """Procedure codes without one of which the condition cannot be true; None when there is no such set."""
    parts = condition.parts if isinstance(condition, All) else (condition,)
    for part in parts:
        if (
            isinstance(part, Leaf)
            and part.fact in ("line.procedure_code", "claim.procedure_codes")
            and part.op in ("is", "in", "contains_any")
        ):
            values = part.value if isinstance(part.value, tuple) else (part.value,)
            return frozenset(str(value) for value in values)
        if isinstance(part, All) and (inner := index_codes(part)) is not None:
            return inner
    return None


class Slice:
    """Everything in force on the days of one slice, compiled."""

    def __init__(self, rules: Sequence[StandingRule], losers: Sequence[Loser]) -> None:
        self.losers = {loser.rule_id: loser for loser in losers}
        self._lock = threading.Lock()
        programs: dict[tuple[str, Condition], Program] = {}
        self.rules: list[CompiledRule] = []
        for rule in rules:
            kind = KINDS[rule.content.kind]
            parameters = kind.read_parameters(rule.content.parameters)
            group = rule.content.level if kind.name == "condition" else kind.name
            specs = specs_for(kind, rule.content.level)
            branches = []
            for branch in complete_branches(rule.content):
                condition = read_condition(branch.when, specs.get)
                if branch.severity is not None:
                    branch = replace(branch, severity=at_most(branch.severity, rule.severity_cap))
                branches.append((branch, programs.setdefault((group, condition), Program(condition))))
            codes = index_codes(branches[0][1].condition) if kind.name == "condition" else None
            asked = rule.content.when if kind.name != "condition" else None
            when = read_condition(asked, specs.get) if asked is not None else None
            tables = kind.code_tables(parameters)
            passing = frozenset(kind.passing_modifiers(parameters))
            self.rules.append(
                CompiledRule(rule, kind, parameters, tuple(branches), codes, when=when, code_tables=tables, passing_modifiers=passing)
            )
        self._programs = programs
        self._refuting: dict[Program, tuple[ProgramShard, ...]] | None = None
        fires = self._shards(True)
        for compiled in self.rules:
            read = {name for _, program in compiled.branches for name in program.facts if name in CATALOGUE}
            compiled.reads_catalogue = bool(read)
            compiled.reads_lines = any(name.startswith("line.") for name in read)
            if compiled.kind.name != "condition":
                compiled.panel = Panel([compiled], fires)
        by_basis: dict[str, list[CompiledRule]] = {}
        for compiled in self.rules:
            by_basis.setdefault(basis_of(compiled.rule.content), []).append(compiled)
        self.by_basis = {basis: RuleIndex(members, fires) for basis, members in by_basis.items()}
        self.everything = RuleIndex(self.rules, fires)
        """All bases together, for a claim all of whose dates lie in this slice."""

    def _shards(self, positive: bool) -> dict[Program, tuple[ProgramShard, ...]]:
        indexed = {id(program) for rule in self.rules if rule.index_codes is not None for _, program in rule.branches}
        groups: dict[tuple[str, bool], list[Program]] = {}
        for (group, _), program in self._programs.items():
            groups.setdefault((group, id(program) in indexed), []).append(program)
        where: dict[Program, list[ProgramShard]] = {}
        for (_, is_indexed), members in groups.items():
            for shard in build_shards(members, positive, INDEXED_SHARD_PATTERNS if is_indexed else MAX_PATTERNS):
                for program in shard.programs:
                    where.setdefault(program, []).append(shard)
        return {program: tuple(shards) for program, shards in where.items()}

    def refuting(self, program: Program) -> tuple[ProgramShard, ...]:
        """The shards that say a program's condition is false; compiled when first asked for."""
        with self._lock:
            if self._refuting is None:
                self._refuting = self._shards(False)
        return self._refuting[program]


def basis_of(content: RuleVersionContent) -> str:
    """The policy-date basis of a version; a claim-level rule by service date goes by the claim's first day."""
    return "claim_from" if content.level == "claim" and content.policy_date == "service_date" else content.policy_date


class SliceCache:
    """Compiled slices by content hash, least recently used dropped. Shared by all policies of a process."""

    def __init__(self, capacity: int = MAX_CACHED_SLICES) -> None:
        self._lock = threading.Lock()
        self._capacity = capacity
        self._slices: OrderedDict[str, Slice] = OrderedDict()

    def get(self, rules: Sequence[StandingRule], losers: Sequence[Loser]) -> Slice:
        """The compiled slice for these versions. Slices dropped from the cache are freed when their last user lets go."""
        key = content_hash(
            [
                [rule.sha256, rule.version, rule.rule_set_id, rule.layer, rule.severity_cap, rule.verified_on, rule.reverify_by]
                for rule in rules
            ]
            + [[loser.rule_id, loser.by, loser.how] for loser in losers]
        )
        with self._lock:
            found = self._slices.get(key)
            if found is not None:
                self._slices.move_to_end(key)
                return found
        built = Slice(rules, losers)
        with self._lock:
            kept = self._slices.setdefault(key, built)
            self._slices.move_to_end(key)
            while len(self._slices) > self._capacity:
                self._slices.popitem(last=False)
        return kept


class Policy:
    """The publications that concern one kind of claim, cut into date slices."""

    def __init__(
        self, publications: Sequence[Publication], claim_type: ClaimType, cache: SliceCache, undecided: Sequence[UndecidedRuleSet] = ()
    ) -> None:
        self.undecided = tuple(sorted(undecided, key=lambda one: one.rule_set_id))
        self.publications = tuple(sorted(publications, key=lambda publication: publication.rule_set_id))
        self.pins = tuple(PublicationPin(rule_set_id=one.rule_set_id, number=one.number, sha256=one.sha256) for one in self.publications)
        self._kinds = frozenset(name for name, kind in KINDS.items() if name != "condition" and claim_type in kind.claim_types)
        self._cache = cache
        self._windows = []
        self._off: list[tuple[int, int, Loser]] = []
        boundaries: set[int] = set()
        for publication in self.publications:
            rank = scope_rank(publication.manifest.scope)
            measures = {one.rule_id: one for one in publication.manifest.emergencies}
            for window in publication.manifest.windows:
                content = publication.contents[window.sha256]
                measure = measures.get(window.rule_id)
                if content.stage == "retired" or (content.claim_types and claim_type not in content.claim_types):
                    continue
                first = window.effective_from.toordinal()
                last = window.effective_through.toordinal() if window.effective_through else date.max.toordinal()
                boundaries.update((first, last + 1))
                if measure is not None and measure.severity is None:
                    self._off.append((first, last, Loser(window.rule_id, measure.emergency_id, SWITCHED_OFF)))
                    continue
                self._windows.append(
                    (
                        first,
                        last,
                        StandingRule(
                            content,
                            window.version,
                            window.sha256,
                            publication.rule_set_id,
                            publication.manifest.scope.layer,
                            rank,
                            measure.severity if measure is not None else None,
                            window.verified_on,
                            window.reverify_by,
                        ),
                    )
                )
        self._boundaries = sorted(boundaries)
        self.bases = tuple(sorted({basis_of(rule.content) for _, _, rule in self._windows}))
        """Every policy-date basis any of its rules uses."""
        self._slices: dict[int, Slice] = {}
        self._concerns: dict[tuple[RuleIndex, ...], Concern] = {}

    def slice_of_all(self, days: Iterable[date]) -> Slice | None:
        """What is in force on all of these dates, when nothing changes between the first and the last of them."""
        ordered = sorted(days)
        first, last = (bisect_right(self._boundaries, day.toordinal()) for day in (ordered[0], ordered[-1]))
        return self.slice(ordered[0]) if first == last else None

    def slice(self, day: date) -> Slice:
        """What is in force on a policy date."""
        number = bisect_right(self._boundaries, day.toordinal())
        found = self._slices.get(number)
        if found is None:
            ordinal = day.toordinal()
            kept, losers = standing(rule for first, last, rule in self._windows if first <= ordinal <= last)
            losers += [off for first, last, off in self._off if first <= ordinal <= last]
            found = self._slices[number] = self._cache.get(kept, losers)
        return found

    def turns_of_receipt(self, day: date) -> list[date]:
        """The days after one on which a rule that goes by the date of receipt begins or ends."""
        days = {
            turn
            for first, last, rule in self._windows
            if rule.content.policy_date == "received_date"
            for turn in (first, last + 1)
            if day.toordinal() < turn <= date.max.toordinal()
        }
        return [date.fromordinal(turn) for turn in sorted(days)]

    def concern(self, indexes: tuple[RuleIndex, ...]) -> Concern:
        """What the rules of several indexes are together."""
        found = self._concerns.get(indexes)
        if found is None:
            if len(self._concerns) >= MAX_CACHED_SLICES:
                self._concerns.clear()
            found = self._concerns[indexes] = Concern(
                frozenset[tuple[str, int]]().union(*(index.identities for index in indexes)),
                tuple(sorted(self._kinds.difference(*(index.kind_names for index in indexes)))),
                any(index.covers_payer for index in indexes),
            )
        return found
