"""Analysis of a pack's rules: what can never be true, what another rule already says, what contradicts, gaps in dates, unknown codes.

Conditions are compared exactly where they read few facts (rules/regions.py); of others nothing is said. "Never true" and "implied" hold
for every claim; a contradiction is told with a claim of the pack's own cases that shows it, or else the facts that would.

AN001 a condition can never be true; AN002 it is true of everything; AN003 redundant: another rule finds the same wherever this one
does; AN004 shadowed: an earlier finding of the rule, or a more specific rule, leaves nothing for this; AN005 contradiction: two rules
find one code in one place with other severities or predictions; AN006 no version applies between two; AN007 a code is not known.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import msgspec

from rules_service.claim.codec import encode_json
from rules_service.engine.decide import oracle_decider
from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, SliceCache, complete_branches, specs_for
from rules_service.facts.values import FactSpec
from rules_service.packs.cases import HOLD, case_claim, payer_view
from rules_service.packs.read import Pack, RuleFolder
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import InputError
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.reference.lookups import EditionCatalog, Lookups
from rules_service.rules.condition import Condition, leaves, read_condition
from rules_service.rules.kinds import KINDS
from rules_service.rules.kinds.base import Branch
from rules_service.rules.regions import common, is_implied, shown, verdicts
from rules_service.rules.rule import RuleVersionContent
from rules_service.rules.selection import StandingRule, scope_rank, standing

_LEVEL_II = re.compile(r"[A-Z][0-9]{4}\Z")
CODE_TABLES = {
    "line.procedure_code": "hcpcs_level_ii",
    "claim.procedure_codes": "hcpcs_level_ii",
    "line.effective_place_of_service_code": "place_of_service",
    "claim.diagnosis_codes": "icd10cm",
    "line.pointed_diagnosis_codes": "icd10cm",
}
"""Facts that hold codes, with the reference table that lists them. A table without an edition for the day says nothing."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What an analysis found: not a fault, but something its author should look at. `example` is a claim of the pack's cases that shows
    it, `facts` the facts that would, where either exists."""

    code: str
    where: str
    rule_id: str
    message: str
    example: str | None = None
    facts: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """One branch of one version: what it says, when, under which condition."""

    rule: RuleFolder
    content: RuleVersionContent
    version: int
    period: EffectivePeriod
    branch: Branch
    condition: Condition
    specs: Callable[[str], FactSpec | None]

    @property
    def where(self) -> str:
        """The version's place in its file."""
        return self.rule.positions.where("/versions")


def analyse(pack: Pack, others: Sequence[Pack], editions: EditionCatalog) -> list[Remark]:
    """Everything worth a look in a pack whose rules can be compiled, in the order of its files."""
    said = list(_said(pack))
    examples = _Examples(pack, editions)
    remarks = [*_of_conditions(said), *_of_branches(said), *_of_pairs(said, examples), *_of_dates(pack)]
    remarks += [*_of_precedence(pack, others), *_of_codes(pack, said, editions)]
    return sorted({(one.where, one.code, one.message): one for one in remarks}.values(), key=lambda one: (one.where, one.code, one.message))


def _said(pack: Pack) -> Iterator[_Said]:
    for rule, version, content in pack.contents():
        if content.stage == "retired":
            continue
        specs = specs_for(KINDS[content.kind], content.level)
        period = EffectivePeriod(version.effective_from, version.effective_through)
        for branch in complete_branches(content):
            yield _Said(rule, content, version.version, period, branch, read_condition(branch.when, specs.get), specs.get)


def _of_conditions(said: Sequence[_Said]) -> Iterator[Remark]:
    for one in said:
        found = verdicts(one.condition, one.specs)
        name = f"{one.content.rule_id} version {one.version}, {one.branch.code}"
        if found is not None and True not in found:
            yield Remark("AN001", one.where, one.content.rule_id, f"{name}: the condition can never be true.")
        elif found == {True} and one.content.kind == "condition":
            yield Remark("AN002", one.where, one.content.rule_id, f"{name}: the condition is true of every {one.content.level}.")


def _of_branches(said: Sequence[_Said]) -> Iterator[Remark]:
    """The first true branch of a version decides: a later one may never be reached."""
    for _, group in itertools.groupby(said, key=lambda one: (one.content.rule_id, one.version)):
        branches = list(group)
        for at, one in enumerate(branches[1:], 1):
            if is_implied(one.condition, [before.condition for before in branches[:at]], one.specs):
                message = f"{one.content.rule_id} version {one.version}: {one.branch.code} is never reached, an earlier finding goes first."
                yield Remark("AN004", one.where, one.content.rule_id, message)


def _of_pairs(said: Sequence[_Said], examples: _Examples) -> Iterator[Remark]:
    """Condition rules of one level that are in force on a day together."""
    conditions = [one for one in said if one.content.kind == "condition" and one.content.stage == "stable"]
    for one, other in itertools.permutations(conditions, 2):
        if one.content.rule_id == other.content.rule_id or not _meet(one, other):
            continue
        is_same = (one.branch.code, one.branch.at) == (other.branch.code, other.branch.at)
        names = f"{one.content.rule_id} version {one.version} and {other.content.rule_id} version {other.version}"
        ids = {one.content.rule_id, other.content.rule_id}
        if is_same and _says(one) == _says(other) and _covers(other, one) and is_implied(one.condition, [other.condition], one.specs):
            if not (
                is_implied(other.condition, [one.condition], one.specs)
                and _covers(one, other)
                and one.content.rule_id < other.content.rule_id
            ):
                message = f"{one.content.rule_id} version {one.version} finds nothing that {other.content.rule_id} does not find too."
                yield Remark("AN003", one.where, one.content.rule_id, message, examples.of(ids))
        elif is_same and _says(one) != _says(other) and one.content.rule_id < other.content.rule_id:
            facts = common(one.condition, other.condition, one.specs)
            example = examples.of(ids)
            if facts is not None or example is not None:
                message = f"{names} find {one.branch.code} in one place with different severities or predictions."
                yield Remark(
                    "AN005", one.where, one.content.rule_id, message, example, shown(facts, one.specs) if facts is not None else None
                )


def _meet(one: _Said, other: _Said) -> bool:
    mine, theirs = set(one.content.claim_types), set(other.content.claim_types)
    types = not mine or not theirs or bool(mine & theirs)
    first, last = max(one.period.first, other.period.first), min(one.period.last or date.max, other.period.last or date.max)
    return types and first <= last and (one.content.level, one.content.policy_date) == (other.content.level, other.content.policy_date)


def _covers(wider: _Said, one: _Said) -> bool:
    """Whether a version applies on every day and to every claim type that another one does."""
    types = not wider.content.claim_types or (
        bool(one.content.claim_types) and set(one.content.claim_types) <= set(wider.content.claim_types)
    )
    return types and wider.period.first <= one.period.first and (wider.period.last or date.max) >= (one.period.last or date.max)


def _says(one: _Said) -> tuple[Any, ...]:
    return one.branch.severity, one.branch.predicts


def _of_dates(pack: Pack) -> Iterator[Remark]:
    for rule in pack.rules:
        versions = sorted(rule.file.versions, key=lambda one: one.effective_from)
        for earlier, later in itertools.pairwise(versions):
            if earlier.effective_through is not None and earlier.effective_through + timedelta(days=1) < later.effective_from:
                first, last = earlier.effective_through + timedelta(days=1), later.effective_from - timedelta(days=1)
                message = f"{rule.file.id}: no version applies from {first} through {last}."
                yield Remark("AN006", rule.positions.where("/versions"), rule.file.id, message)


def _of_precedence(pack: Pack, others: Sequence[Pack]) -> Iterator[Remark]:
    """Rules another rule displaces on every day they apply, for every claim they could concern."""
    mine = {rule.file.id: rule for rule in pack.rules}
    by_id: dict[str, list[tuple[Pack, StandingRule, EffectivePeriod]]] = {}
    for one in (pack, *others):
        rank = scope_rank(one.file.scope)
        for rule, version, content in one.contents():
            if rule.file.stage != "retired":
                found = StandingRule(content, version.version, "", one.file.id, one.file.scope.layer, rank)
                period = EffectivePeriod(version.effective_from, version.effective_through)
                by_id.setdefault(rule.file.id, []).append((one, found, period))
    for rule_id, rule in mine.items():
        for winner_id, winners in by_id.items():
            pairs = [(loser, winner) for loser in by_id.get(rule_id, []) for winner in winners]
            if pairs and all(_displaced(*loser, *winner) for loser, winner in pairs):
                message = f"{rule_id} never applies: {winner_id} displaces it on every day and for every claim."
                yield Remark("AN004", rule.positions.where("/id"), rule_id, message)


def _displaced(pack: Pack, loser: StandingRule, days: EffectivePeriod, other: Pack, winner: StandingRule, winning: EffectivePeriod) -> bool:
    """Whether a rule's version loses to another's on all its days, wherever its scope reaches."""
    narrower, wider = pack.file.scope, other.file.scope
    for name in ("payer_ids", "lines_of_business", "states", "plan_ids", "products", "claim_types"):
        wanted, held = set(getattr(wider, name)), set(getattr(narrower, name))
        if wanted and not (held and held <= wanted):
            return False
    covers = winning.first <= days.first and (winning.last or date.max) >= (days.last or date.max)
    return covers and any(one.rule_id == loser.content.rule_id for one in standing([loser, winner])[1])


def _of_codes(pack: Pack, said: Sequence[_Said], editions: EditionCatalog) -> Iterator[Remark]:
    """Codes in conditions and in the pack's tables that the reference table does not know on the first day they are spoken of."""
    for one in said:
        for leaf in leaves(one.condition):
            table = CODE_TABLES.get(leaf.fact)
            if table is not None and leaf.op not in ("present", "starts_with"):
                values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
                unknown = _unknown(editions, table, [(str(code), one.period.first) for code in values])
                if unknown:
                    message = f"{one.content.rule_id} version {one.version}: {table} has no {', '.join(unknown)} on {one.period.first}."
                    yield Remark("AN007", one.where, one.content.rule_id, message)
    for at, declared in enumerate(pack.file.tables):
        blob = pack.tables.get(declared.name)
        if blob is not None and declared.kind in ("authorization_list", "unit_limits"):
            rows = [(row.key, date.fromordinal(max(row.first_day, date.min.toordinal()))) for row in CodeTable(blob)]
            unknown = _unknown(editions, "hcpcs_level_ii", rows)
            if unknown:
                message = f"{declared.name}: hcpcs_level_ii has no {', '.join(unknown[:20])} on the first day of the row."
                yield Remark("AN007", pack.positions.where(f"/tables/{at}"), "", message)


def _unknown(editions: EditionCatalog, table: str, wanted: Sequence[tuple[str, date]]) -> list[str]:
    """Codes, with the day each is wanted on, that a table should list and does not. HCPCS Level II lists no CPT codes."""
    found = []
    for code, day in wanted:
        codes, key = Lookups(editions).codes(table, day), code.replace(".", "")
        if (
            not isinstance(codes, Unknown)
            and (table != "hcpcs_level_ii" or _LEVEL_II.match(code))
            and codes.on(key, day.toordinal()) is None
        ):
            found.append(code)
    return sorted(set(found))


class _Examples:
    """Claims of the pack's own cases with the rules that fire on each."""

    def __init__(self, pack: Pack, editions: EditionCatalog) -> None:
        self._pack = pack
        self._editions = editions.with_editions(pack.editions())
        self._fired: list[tuple[str, frozenset[str]]] | None = None

    def of(self, rule_ids: set[str]) -> str | None:
        """The claim, as JSON, on which all of these rules find something; None when no case has one."""
        if self._fired is None:
            self._fired = list(self._run())
        return next((claim for claim, fired in self._fired if rule_ids <= fired), None)

    def _run(self) -> Iterator[tuple[str, frozenset[str]]]:
        publication, cache = self._pack.publication(), SliceCache(64)
        for rule in self._pack.rules:
            for case in rule.cases.cases if rule.cases is not None else ():
                try:
                    claim = case_claim(self._pack.root, rule.cases.base if rule.cases is not None else "", case)
                    view = payer_view(publication, claim)
                    judged = judge(Policy([publication], claim.claim_type, cache), view, Lookups(self._editions), HOLD, oracle_decider)
                except (InputError, msgspec.ValidationError, OSError, KeyError):
                    continue  # told as a failed case
                yield encode_json(claim).decode(), frozenset(finding.rule_id for finding in judged.judgement.findings)
