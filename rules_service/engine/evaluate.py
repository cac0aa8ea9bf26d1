"""Judges one claim: a pure function of the claim, the policy and the reference editions.

Candidates are found through indexes, their facts are handed to a decider (durable_rules in service, the pure matcher as
oracle), and what the decider says is turned into findings. Nothing here reads a clock, a file or a hash order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import msgspec

from rules_service.engine.compile import Program
from rules_service.engine.policy import CompiledRule, Policy, Slice, specs_for
from rules_service.engine.render import build_finding
from rules_service.facts.catalogue import CATALOGUE, claim_fact, line_fact
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.findings.evaluation import Coverage, Judgement, Outcome
from rules_service.findings.finding import SEVERITY_RANK, Bypassed, Finding, NotEvaluated
from rules_service.primitives.errors import InvalidClaim, Issue
from rules_service.primitives.money import Money
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import Lookups
from rules_service.rules.kinds.base import Branch, Candidate, Judged
from rules_service.rules.matching import Truth, explain, truth
from rules_service.rules.selection import Loser

MAX_CANDIDATES = 50_000
"""Of one claim; a claim that needs more is refused whole rather than judged in part."""


@dataclass(slots=True)
class Subject:
    """A candidate of one rule, with the reader of its facts."""

    rule: CompiledRule
    slice: Slice
    candidate: Candidate
    fact: Callable[[str], FactValue]
    key: str


Verdicts = dict[tuple[Program, str], Truth]


class Decider(Protocol):
    """Says for each subject and program whether the condition is true, false or unknown."""

    def __call__(self, subjects: Sequence[Subject]) -> Verdicts: ...


def engine_decider(subjects: Sequence[Subject]) -> Verdicts:
    """durable_rules decides."""
    verdicts: Verdicts = {}
    asked: list[tuple[Slice, Program, Subject]] = [
        (subject.slice, program, subject) for subject in subjects for _, program in subject.rule.branches
    ]
    for positive in (True, False):
        runs: dict[int, tuple[Any, dict[str, Callable[[str], FactValue]]]] = {}
        for where, program, subject in asked:
            for shard in where.shards(program, positive):
                runs.setdefault(id(shard), (shard, {}))[1][subject.key] = subject.fact
        for shard, readers in runs.values():
            for program, key in shard.run(readers):
                verdicts[program, key] = positive
        if positive:
            asked = [item for item in asked if (item[1], item[2].key) not in verdicts and _has_unknown(item[1], item[2])]
            undecided = {(program, subject.key) for _, program, subject in asked}
            for subject in subjects:
                for _, program in subject.rule.branches:
                    verdicts.setdefault((program, subject.key), None if (program, subject.key) in undecided else False)
            if not asked:
                break
    return verdicts


def _has_unknown(program: Program, subject: Subject) -> bool:
    return any(isinstance(subject.fact(name), Unknown) for name in program.facts)


def oracle_decider(subjects: Sequence[Subject]) -> Verdicts:
    """The pure matcher decides: what the engine is compared with."""
    return {(program, subject.key): truth(program.condition, subject.fact) for subject in subjects for _, program in subject.rule.branches}


@dataclass(slots=True)
class Answer:
    """A judgement, what preview rules would have found (recorded, not returned), and the rules that lost to others."""

    judgement: Judgement
    preview: tuple[Finding, ...]
    losers: tuple[Loser, ...]


@dataclass(slots=True)
class _Draft:
    findings: list[Finding] = field(default_factory=list)
    preview: list[Finding] = field(default_factory=list)
    bypassed: list[Bypassed] = field(default_factory=list)
    not_evaluated: list[NotEvaluated] = field(default_factory=list)
    incomplete_rules: set[str] = field(default_factory=set)


def judge(policy: Policy, view: ClaimView, lookups: Lookups, hold: frozenset[str], decide: Decider = engine_decider) -> Answer:
    """The answer to a claim. `hold` names the severities that block release; EngineFault when the engine lost anything."""
    subjects, concerned, losers = _subjects(policy, view, lookups)
    verdicts = decide(subjects)
    deadline = _deadline(subjects)
    draft = _Draft()
    for subject in subjects:
        _decide(subject, verdicts, view, hold, deadline, draft)
    return Answer(_judgement(policy, view, concerned, draft), _numbered(draft.preview, "p"), losers)


def _policy_day(basis: str, view: ClaimView) -> date:
    if basis == "claim_from":
        return view.date_from or view.received_date
    if basis == "claim_through":
        return view.date_through or view.received_date
    return view.received_date


def _by_day(basis: str, view: ClaimView) -> Iterable[tuple[date, list[LineView]]]:
    """Lines by the date that picks their policy. A line without any date is judged by the policy of the day of receipt."""
    if basis not in ("service_date", "service_through"):
        return [(_policy_day(basis, view), view.lines)]
    days: dict[date, list[LineView]] = {}
    for line in view.lines:
        day = (line.date_from if basis == "service_date" else line.date_through) or view.date_from or view.received_date
        days.setdefault(day, []).append(line)
    return sorted(days.items())


def _subjects(policy: Policy, view: ClaimView, lookups: Lookups) -> tuple[list[Subject], set[tuple[str, int]], tuple[Loser, ...]]:
    subjects: list[Subject] = []
    concerned: set[tuple[str, int]] = set()
    losers: dict[str, Loser] = {}
    for basis in policy.bases():
        # Days of one slice are judged together: the same compiled rules, one pass over the lines.
        groups: dict[int, tuple[Slice, list[LineView]]] = {}
        for day, lines in _by_day(basis, view):
            current = policy.slice(day)
            groups.setdefault(id(current), (current, []))[1].extend(lines)
        for current, lines in groups.values():
            losers |= {loser.rule_id: loser for loser in current.losers}
            lines.sort(key=lambda line: line.number)
            codes = view.codes if basis not in ("service_date", "service_through") else {line.code for line in lines if line.code}
            for rule in current.concerning(basis, codes):
                concerned.add((rule.rule.content.rule_id, rule.rule.version))
                for candidate in rule.kind.derive(rule.parameters, Judged(view, lookups, lines, rule.rule.content)):
                    if (
                        rule.index_codes is not None
                        and rule.rule.content.level != "claim"
                        and candidate.lines[0].code not in rule.index_codes
                    ):
                        continue
                    subjects.append(_subject(rule, current, candidate, view, len(subjects)))
                    if len(subjects) > MAX_CANDIDATES:
                        raise InvalidClaim(
                            "The claim is too large to judge",
                            [
                                Issue(
                                    "too_much_work",
                                    "/service_lines",
                                    f"Judging this claim takes more than {MAX_CANDIDATES} rule candidates.",
                                    "Split the claim.",
                                )
                            ],
                        )
    return subjects, concerned, tuple(losers[key] for key in sorted(losers))


def _subject(rule: CompiledRule, current: Slice, candidate: Candidate, view: ClaimView, number: int) -> Subject:
    own = candidate.facts
    if rule.kind.name == "condition":
        # Condition rules share one fact a claim or line: equal keys let one engine fact serve them all.
        if rule.rule.content.level == "claim":
            return Subject(rule, current, candidate, lambda name: claim_fact(view, name), "C0")
        line = candidate.lines[0]
        return Subject(rule, current, candidate, lambda name: line_fact(line, name), f"L{line.index}")
    first = candidate.lines[0] if candidate.lines else None

    def read(name: str) -> FactValue:
        if name in own:
            return own[name]
        if name not in CATALOGUE:
            return None
        return claim_fact(view, name) if first is None or name.startswith("claim.") else line_fact(first, name)

    return Subject(rule, current, candidate, read, f"k{number}")


def _deadline(subjects: Sequence[Subject]) -> tuple[date, str] | None:
    found = [
        (subject.candidate.deadline, subject.rule.rule.content.rule_id)
        for subject in subjects
        if subject.candidate.deadline is not None and subject.rule.rule.content.stage == "stable"
    ]
    return min(found) if found else None


def _decide(
    subject: Subject, verdicts: Verdicts, view: ClaimView, hold: frozenset[str], deadline: tuple[date, str] | None, draft: _Draft
) -> None:
    content = subject.rule.rule.content
    numbers = (
        tuple(line.number for line in subject.candidate.lines) if content.level != "claim" or subject.rule.kind.name != "condition" else ()
    )
    for position, (branch, program) in enumerate(subject.rule.branches):
        verdict = verdicts[program, subject.key]
        if verdict is None:
            if content.stage == "stable":
                _note_unknown(subject, branch, program, numbers, draft)
            later = [verdicts[other, subject.key] for _, other in subject.rule.branches[position + 1 :]]
            if True not in later:
                return
            continue
        if not verdict:
            continue
        if branch.bypassed and content.stage == "stable":
            draft.bypassed.append(
                Bypassed(
                    rule_id=content.rule_id,
                    code=branch.code,
                    line_numbers=numbers,
                    by=subject.candidate.params.get(branch.bypassed_by, branch.bypassed_by),
                )
            )
        if branch.severity is not None:
            finding = build_finding(subject.rule, branch, subject.candidate, subject.fact, view, numbers, hold, deadline)
            (draft.findings if content.stage == "stable" else draft.preview).append(finding)
        return


def _note_unknown(subject: Subject, branch: Branch, program: Program, numbers: tuple[int, ...], draft: _Draft) -> None:
    content = subject.rule.rule.content
    reasons = sorted((value.reason, value.supply or "") for name in program.facts if isinstance(value := subject.fact(name), Unknown))
    reason, supply = reasons[0]
    noted = NotEvaluated(
        rule_id=content.rule_id, code=branch.code, line_numbers=numbers, reason=reason, required=content.required, supply=supply or None
    )
    if not any(one.rule_id == noted.rule_id and one.reason == reason and one.line_numbers == numbers for one in draft.not_evaluated):
        draft.not_evaluated.append(noted)
    draft.incomplete_rules.add(content.rule_id)


def _numbered(findings: list[Finding], prefix: str) -> tuple[Finding, ...]:
    ordered = sorted(
        findings,
        key=lambda one: (
            one.line_numbers[:1] or (0,),
            one.rule_id,
            one.code,
            one.line_numbers,
            one.related_line_numbers,
            one.location.json_pointer,
            one.finding_key,
        ),
    )
    return tuple(msgspec.structs.replace(finding, finding_id=f"{prefix}{number}") for number, finding in enumerate(ordered, 1))


def _judgement(policy: Policy, view: ClaimView, concerned: set[tuple[str, int]], draft: _Draft) -> Judgement:
    findings = _numbered(draft.findings, "f")
    not_evaluated = sorted(draft.not_evaluated, key=lambda one: (one.rule_id, one.line_numbers, one.reason, one.code))
    outcome: Outcome = "clean"
    if any(SEVERITY_RANK[finding.severity] >= SEVERITY_RANK["warn"] for finding in findings):
        outcome = "findings"
    elif not policy.covers_payer:
        outcome = "not_covered"
    elif any(one.required for one in not_evaluated):
        outcome = "incomplete"
    if not policy.covers_payer:
        not_evaluated.append(
            NotEvaluated(
                rule_id="",
                code="payer.rules",
                line_numbers=(),
                reason="payer_rules_missing",
                required=False,
                supply="a rule set for this payer",
            )
        )
    serious = [
        finding for finding in findings if SEVERITY_RANK[finding.severity] >= SEVERITY_RANK["pend"] and finding.category != "duplicate"
    ]
    return Judgement(
        outcome=outcome,
        highest_severity=max(findings, key=lambda finding: SEVERITY_RANK[finding.severity]).severity if findings else None,
        total_amount_at_risk=_at_risk(view, serious),
        earliest_fix_by=min((finding.fix_by for finding in findings if finding.fix_by is not None), default=None),
        findings=findings,
        bypassed=tuple(sorted(draft.bypassed, key=lambda one: (one.rule_id, one.line_numbers, one.code, one.by))),
        not_evaluated=tuple(not_evaluated),
        coverage=Coverage(
            rules_applicable=len(concerned),
            rules_evaluated=len(concerned) - len({rule_id for rule_id, _ in concerned} & draft.incomplete_rules),
        ),
    )


def _at_risk(view: ClaimView, findings: list[Finding]) -> Money:
    """Each line counts once, however many findings name it; a finding on the whole claim puts every line at risk."""
    lines: set[int] = set()
    for finding in findings:
        lines.update(finding.line_numbers or (line.number for line in view.lines))
    return Money(sum(line.charge_at_risk for line in view.lines if line.number in lines))


def explanation(policy: Policy, view: ClaimView, lookups: Lookups) -> list[dict[str, Any]]:
    """Every rule that concerned the claim: each branch's conditions with true, false or unknown and the facts seen; then the losers."""
    subjects, _, losers = _subjects(policy, view, lookups)
    told: list[dict[str, Any]] = []
    for subject in subjects:
        content = subject.rule.rule.content
        branches = []
        for branch, program in subject.rule.branches:
            told_branch = explain(program.condition, subject.fact, specs_for(subject.rule.kind, content.level).get)
            branches.append({"code": branch.code, **told_branch.plain()})
            if told_branch.truth:
                break
        told.append(
            {
                "rule_id": content.rule_id,
                "rule_version": subject.rule.rule.version,
                "rule_kind": content.kind,
                "stage": content.stage,
                "line_numbers": [line.number for line in subject.candidate.lines],
                "related_line_numbers": [line.number for line in subject.candidate.related],
                "branches": branches,
            }
        )
    told.sort(key=lambda one: (one["rule_id"], one["line_numbers"], one["related_line_numbers"]))
    return told + [{"rule_id": loser.rule_id, "lost_to": loser.by, "how": loser.how} for loser in losers]
