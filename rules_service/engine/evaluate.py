"""Judges one claim: a pure function of the claim, the policy and the reference editions.

Candidates are found through indexes, their facts are handed to a decider (durable_rules in service, the pure matcher as
oracle), and what the decider says is turned into findings. Nothing here reads a clock, a file or a hash order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

import msgspec

from rules_service.engine.compile import FactReader, Program
from rules_service.engine.decide import Ask, Decider, Match, engine_decider
from rules_service.engine.policy import MAX_VERDICTS, CompiledRule, ConditionGroup, Policy, RuleIndex, Slice, specs_for
from rules_service.engine.render import Deadline, build_finding
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
from rules_service.rules.kinds.condition import condition_candidate
from rules_service.rules.matching import explain
from rules_service.rules.selection import Loser

MAX_CANDIDATES = 50_000
MAX_FINDINGS = 3_000
"""Of one claim; a claim that needs more is refused whole rather than judged in part."""


OPTIONAL_REASONS = frozenset({"history_not_supplied", "unit_limit_not_published", "authorization_not_verifiable"})
"""What a submitter or the publisher may leave out: it is told, and does not make an evaluation incomplete."""


@dataclass(slots=True, eq=False)
class Subject:
    """A candidate of one rule, and the ask that decides it."""

    rule: CompiledRule
    candidate: Candidate
    ask: Ask


@dataclass(slots=True)
class _Gathered:
    """Everything to be decided about a claim."""

    subjects: list[Subject] = field(default_factory=list)
    conditions: list[tuple[Ask, LineView | None, list[ConditionGroup]]] = field(default_factory=list)
    """Condition rules: (ask, line or None for the claim, groups asked)."""
    asks: list[Ask] = field(default_factory=list)
    concerned: set[tuple[str, int]] = field(default_factory=set)
    losers: dict[str, Loser] = field(default_factory=dict)


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
    not_evaluated: dict[tuple[str, str, tuple[int, ...]], NotEvaluated] = field(default_factory=dict)
    """By rule, reason and lines: told once, however many branches do not know."""
    incomplete_rules: set[str] = field(default_factory=set)


def judge(policy: Policy, view: ClaimView, lookups: Lookups, hold: frozenset[str], decide: Decider = engine_decider) -> Answer:
    """The answer to a claim. `hold` names the severities that block release; EngineFault when the engine lost anything."""
    gathered = _gather(policy, view, lookups)
    fired, unknown = _verdicts(gathered, view, decide)
    deadlines = _deadlines(gathered.subjects)
    draft = _Draft()
    for subject in gathered.subjects:
        _decide(subject, fired, unknown, view, hold, deadlines, draft)
    if len(draft.findings) + len(draft.preview) + len(draft.not_evaluated) > MAX_FINDINGS:
        raise _too_much(f"more than {MAX_FINDINGS} findings")
    losers = tuple(gathered.losers[key] for key in sorted(gathered.losers))
    return Answer(_judgement(policy, view, gathered.concerned, draft), _numbered(draft.preview, "p"), losers)


def _verdicts(gathered: _Gathered, view: ClaimView, decide: Decider) -> tuple[set[Match], set[Match]]:
    """(true, unknown) of everything asked. Every engine rule matches one fact, so equal facts have equal verdicts: those judged
    before are remembered by their rule. The oracle remembers nothing."""
    fired: set[Match] = set()
    unknown: set[Match] = set()
    asks: list[Ask] = []
    for ask in gathered.asks:
        known = ask.memo[0].verdicts.get(ask.memo[1]) if decide.remembers and ask.memo is not None else None
        if known is None:
            asks.append(ask)
        else:
            fired.update((program, ask.key) for program in known[0])
            unknown.update((program, ask.key) for program in known[1])
    fired |= decide.fired(asks)
    gathered.subjects.extend(_condition_subjects(gathered, view, fired))
    doubtful = {
        (program, ask.key): ask
        for ask in asks
        if ask.unsure
        for programs in ask.programs
        for program in programs
        if _may_be_unknown(ask, program, fired)
    }
    refuted = decide.refuted([(program, ask) for (program, _), ask in doubtful.items()]) if doubtful else set()
    unknown |= doubtful.keys() - refuted
    if decide.remembers:
        for ask in asks:
            if ask.memo is not None:
                _remember(ask, ask.memo, fired, unknown)
    return fired, unknown


def _remember(ask: Ask, memo: tuple[CompiledRule, tuple[FactValue, ...]], fired: set[Match], unknown: set[Match]) -> None:
    rule, values = memo
    if len(rule.verdicts) >= MAX_VERDICTS:
        rule.verdicts.clear()
    true = tuple(program for program in rule.programs if (program, ask.key) in fired)
    rule.verdicts[values] = (true, tuple(program for program in rule.programs if (program, ask.key) in unknown))


def _may_be_unknown(ask: Ask, program: Program, fired: set[Match]) -> bool:
    return (program, ask.key) not in fired and any(isinstance(ask.fact(name), Unknown) for name in program.facts)


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


def _gather(policy: Policy, view: ClaimView, lookups: Lookups) -> _Gathered:
    gathered = _Gathered()
    shared: dict[Any, Ask] = {}
    for mark, basis in zip("abcde", policy.bases, strict=False):
        # Days of one slice are judged together: the same compiled rules, one pass over the lines.
        groups: dict[int, tuple[Slice, list[LineView]]] = {}
        for day, lines in _by_day(basis, view):
            current = policy.slice(day)
            groups.setdefault(id(current), (current, []))[1].extend(lines)
        for number, (current, lines) in enumerate(groups.values()):
            gathered.losers |= {loser.rule_id: loser for loser in current.losers}
            index = current.by_basis.get(basis)
            if index is None:
                continue
            lines.sort(key=lambda line: line.number)
            gathered.concerned |= index.identities
            for rule in index.kinds:
                if view.submission_type == "void" and not rule.kind.judges_void:
                    continue
                _derive(rule, current, view, lookups, lines, gathered, shared)
            for line in lines:
                groups_asked = [index.always["line"], *_pinned(index, "line", (line.code,), gathered)]
                _ask_conditions(gathered, current, line, view, f"{mark}{number}L{line.index}", groups_asked)
            groups_asked = [index.always["claim"], *_pinned(index, "claim", sorted(view.codes), gathered)]
            _ask_conditions(gathered, current, None, view, f"{mark}{number}C", groups_asked)
    return gathered


def _pinned(index: RuleIndex, level: str, codes: Iterable[str | None], gathered: _Gathered) -> list[ConditionGroup]:
    """The condition rules that pin one of these procedure codes."""
    found = [
        group for code in codes if code is not None and code in index.by_code and (group := index.by_code[code].get(level)) is not None
    ]
    for group in found:
        gathered.concerned.update((rule.rule.content.rule_id, rule.rule.version) for rule in group.rules)
    return found


def _ask_conditions(
    gathered: _Gathered, current: Slice, line: LineView | None, view: ClaimView, key: str, groups: list[ConditionGroup]
) -> None:
    groups = [group for group in groups if group.rules]
    if groups:
        fact = partial(claim_fact, view) if line is None else partial(line_fact, line)
        ask = Ask(current, key, fact, [group.programs for group in groups], [group.shards for group in groups])
        ask.unsure = any(group.unsure for group in groups)
        gathered.asks.append(ask)
        gathered.conditions.append((ask, line, groups))


def _derive(
    rule: CompiledRule,
    current: Slice,
    view: ClaimView,
    lookups: Lookups,
    lines: list[LineView],
    gathered: _Gathered,
    shared: dict[Any, Ask],
) -> None:
    for candidate in rule.kind.derive(rule.parameters, Judged(view, lookups, lines)):
        line = candidate.lines[0] if candidate.lines and rule.reads_catalogue else None
        values = (*candidate.facts, *candidate.facts.values())
        same = (id(rule), line.index if line is not None else None, values)
        ask = shared.get(same)
        if ask is None:
            ask = shared[same] = Ask(current, f"k{len(shared)}", _reader(rule, candidate, view, line), (rule.programs,), (rule.shards,))
            ask.memo = None if rule.reads_catalogue else (rule, values)
            ask.unsure = rule.may_be_unknown or any(value.__class__ is Unknown for value in candidate.facts.values())
            gathered.asks.append(ask)
        gathered.subjects.append(Subject(rule, candidate, ask))
        if len(gathered.subjects) > MAX_CANDIDATES:
            raise _too_much(f"more than {MAX_CANDIDATES} rule candidates")


def _too_much(what: str) -> InvalidClaim:
    issue = Issue("too_much_work", "/service_lines", f"Judging this claim gives {what}.", "Split the claim, or send less history.")
    return InvalidClaim("The claim is too large to judge", [issue])


def _reader(rule: CompiledRule, candidate: Candidate, view: ClaimView, line: LineView | None) -> FactReader:
    own = candidate.facts
    if not rule.reads_catalogue:
        return own.get

    def read(name: str) -> FactValue:
        if name in own:
            return own[name]
        if name not in CATALOGUE:
            return None
        return claim_fact(view, name) if line is None or name.startswith("claim.") else line_fact(line, name)

    return read


def _condition_subjects(gathered: _Gathered, view: ClaimView, fired: set[Match]) -> Iterable[Subject]:
    """Condition rules become subjects only where they fired, or where a fact they read is unknown."""
    by_key: dict[str, list[Program]] = {}
    for program, key in fired:
        by_key.setdefault(key, []).append(program)
    found: list[Subject] = []
    for ask, line, groups in gathered.conditions:
        hit = set(by_key.get(ask.key, ()))
        for group in groups:
            rules = group.rules if hit else group.unsure
            for rule in rules:
                if rule.may_be_unknown or not hit.isdisjoint(rule.programs):
                    found.append(Subject(rule, condition_candidate(rule.rule.content, view, line), ask))
    return sorted(found, key=lambda subject: (subject.rule.rule.content.rule_id, subject.ask.key))


def _deadlines(subjects: Sequence[Subject]) -> dict[int, Deadline]:
    """The earliest filing deadline of each line, by line number, from the stable filing rules that concern it."""
    found: dict[int, Deadline] = {}
    for subject in subjects:
        limit, content = subject.candidate.deadline, subject.rule.rule.content
        if limit is not None and content.stage == "stable":
            for line in subject.candidate.lines:
                deadline = Deadline(*limit, content.rule_id)
                found[line.number] = min(found.get(line.number, deadline), deadline)
    return found


def _decide(
    subject: Subject,
    fired: set[Match],
    unknown: set[Match],
    view: ClaimView,
    hold: frozenset[str],
    deadlines: dict[int, Deadline],
    draft: _Draft,
) -> None:
    """The first true branch decides. A branch that is unknown is noted, and those after it may still be true."""
    content, key = subject.rule.rule.content, subject.ask.key
    is_stable = content.stage == "stable"
    candidate, numbers = subject.candidate, _numbers(subject)
    for branch, program in subject.rule.branches:
        if (program, key) in unknown:
            if is_stable:
                _note_unknown(subject, branch, program, numbers, draft)
            continue
        if (program, key) not in fired:
            continue
        if branch.bypassed and is_stable:
            by = candidate.params.get(branch.bypassed_by, branch.bypassed_by)
            draft.bypassed.append(Bypassed(rule_id=content.rule_id, code=branch.code, line_numbers=numbers, by=by))
        if branch.severity is not None:
            concerned = numbers or deadlines
            deadline = min((deadlines[number] for number in concerned if number in deadlines), default=None)
            finding = build_finding(subject.rule, branch, program, candidate, subject.ask.fact, view, numbers, hold, deadline)
            (draft.findings if is_stable else draft.preview).append(finding)
        return


def _numbers(subject: Subject) -> tuple[int, ...]:
    whole_claim = subject.rule.kind.name == "condition" and subject.rule.rule.content.level == "claim"
    return () if whole_claim else tuple(line.number for line in subject.candidate.lines)


def _note_unknown(subject: Subject, branch: Branch, program: Program, numbers: tuple[int, ...], draft: _Draft) -> None:
    content = subject.rule.rule.content
    reasons = sorted((value.reason, value.supply or "") for name in program.facts if isinstance(value := subject.ask.fact(name), Unknown))
    reason, supply = reasons[0]
    told = NotEvaluated(
        rule_id=content.rule_id,
        code=branch.code,
        line_numbers=numbers,
        reason=reason,
        required=content.required and reason not in OPTIONAL_REASONS,
        supply=supply or None,
    )
    draft.not_evaluated.setdefault((content.rule_id, reason, numbers), told)
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
    not_evaluated = sorted(draft.not_evaluated.values(), key=lambda one: (one.rule_id, one.line_numbers, one.reason, one.code))
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
    gathered = _gather(policy, view, lookups)
    asked = [
        Subject(rule, condition_candidate(rule.rule.content, view, line), ask)
        for ask, line, groups in gathered.conditions
        for group in groups
        for rule in group.rules
    ]
    told: list[dict[str, Any]] = []
    for subject in [*gathered.subjects, *asked]:
        content = subject.rule.rule.content
        branches = []
        for branch, program in subject.rule.branches:
            told_branch = explain(program.condition, subject.ask.fact, specs_for(subject.rule.kind, content.level).get)
            branches.append({"code": branch.code, **told_branch.plain()})
            if told_branch.truth:
                break
        told.append(
            {
                "rule_id": content.rule_id,
                "rule_version": subject.rule.rule.version,
                "rule_kind": content.kind,
                "stage": content.stage,
                "line_numbers": list(_numbers(subject)),
                "related_line_numbers": [line.number for line in subject.candidate.related],
                "branches": branches,
            }
        )
    told.sort(key=lambda one: (one["rule_id"], one["line_numbers"], one["related_line_numbers"]))
    return told + [{"rule_id": loser.rule_id, "lost_to": loser.by, "how": loser.how} for _, loser in sorted(gathered.losers.items())]
