"""Judges one claim: a pure function of the claim, the policy and the reference editions.

Candidates are found through indexes, their facts are handed to a decider (durable_rules in service, the pure matcher as
oracle), and what the decider says is turned into findings. Nothing here reads a clock, a file or a hash order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

import msgspec

from rules_service.engine.compile import FactReader, Program
from rules_service.engine.crosswalk import CROSSWALK
from rules_service.engine.decide import Decider, engine_decider
from rules_service.engine.policy import SWITCHED_OFF, CompiledRule, Panel, Policy, Ruled, RuleIndex, Slice, specs_for
from rules_service.engine.render import Deadline, build_finding
from rules_service.engine.rulings import Question, rulings
from rules_service.facts.catalogue import CATALOGUE, claim_fact, line_fact
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.findings.collapse import collapse
from rules_service.findings.evaluation import Coverage, Judgement, Outcome
from rules_service.findings.finding import SEVERITY_RANK, Bypassed, Finding, NotEvaluated
from rules_service.primitives.errors import InvalidClaim, Issue
from rules_service.primitives.money import Money
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.reference.lookups import Lookups
from rules_service.rules.kinds.base import Branch, Candidate, Judged
from rules_service.rules.kinds.condition import condition_candidate
from rules_service.rules.matching import explain, truth
from rules_service.rules.rule import RuleVersionContent
from rules_service.rules.selection import Loser

SEMANTICS = 4
"""Raised when a judgement says something it did not say before of the same claim and rules."""
MAX_TURNS = 4
"""Days to come on which rules of receipt change, for which a clean claim is judged too."""
NOON = time(12)
MAX_CANDIDATES = 50_000
MAX_FINDINGS = 3_000
"""Of one claim; a claim that needs more is refused whole rather than judged in part."""


OPTIONAL_REASONS = frozenset(
    {"history_not_supplied", "unit_limit_not_published", "authorization_not_verifiable", "filing_limit_not_stated"}
)
"""What a submitter or the publisher may leave out: it is told, and does not make an evaluation incomplete."""


@dataclass(slots=True)
class _Gathered:
    """Everything to be decided about a claim."""

    questions: list[Question] = field(default_factory=list)
    indexes: list[RuleIndex] = field(default_factory=list)
    pinned: set[tuple[str, int]] = field(default_factory=set)
    """Condition rules that pin a procedure code of the claim."""
    losers: dict[str, Loser] = field(default_factory=dict)

    def asked(self) -> Iterable[tuple[CompiledRule, Question]]:
        """Every rule with each subject it is asked of."""
        return [(rule, question) for question in self.questions for rule in question.panel.rules]

    def lost(self) -> tuple[Loser, ...]:
        """The rules that would apply but for more specific ones, by rule id."""
        return tuple(self.losers[rule_id] for rule_id in sorted(self.losers))


@dataclass(slots=True)
class Answer:
    """A judgement, what preview rules would have found (recorded, not returned), and the rules that lost to others."""

    judgement: Judgement
    preview: tuple[Finding, ...]
    losers: tuple[Loser, ...]


Told = tuple[Finding, frozenset[str]]
"""A finding, and what on the claim its rule holds to be at fault besides the lines."""


@dataclass(slots=True)
class _Draft:
    findings: list[Told] = field(default_factory=list)
    preview: list[Told] = field(default_factory=list)
    bypassed: list[Bypassed] = field(default_factory=list)
    not_evaluated: dict[tuple[str, str, str], NotEvaluated] = field(default_factory=dict)
    """By rule, reason and lines: told once, however many branches do not know."""
    incomplete_rules: set[str] = field(default_factory=set)


def judge(policy: Policy, view: ClaimView, lookups: Lookups, hold: frozenset[str], decide: Decider = engine_decider) -> Answer:
    """The answer to a claim. `hold` names the severities that block release; EngineFault when the engine lost anything."""
    answer, deadlines = _judged(policy, view, lookups, hold, decide)
    if answer.judgement.outcome != "clean":
        return answer
    after = min((deadline.day for deadline in deadlines.values()), default=None)
    fails_from = after + timedelta(days=1) if after is not None and view.received_date <= after < date.max else None
    for day in policy.turns_of_receipt(view.received_date)[:MAX_TURNS]:
        if fails_from is not None and day >= fails_from:
            break
        if _judged(policy, _as_received(view, day), lookups, hold, decide)[0].judgement.outcome == "findings":
            fails_from = day
            break
    if fails_from is not None:
        answer.judgement = msgspec.structs.replace(answer.judgement, fails_from=fails_from)
    return answer


def _as_received(view: ClaimView, day: date) -> ClaimView:
    zone = view.claim.received_at.tzinfo if view.claim.received_at is not None else None
    claim = msgspec.structs.replace(view.claim, received_at=datetime.combine(day, NOON, zone))
    return ClaimView(claim, view.payer_id, view.payer_names)


def _judged(policy: Policy, view: ClaimView, lookups: Lookups, hold: frozenset[str], decide: Decider) -> tuple[Answer, dict[int, Deadline]]:
    """The answer as of the claim's own receipt, and the filing deadline of each line."""
    gathered = _gather(policy, view, lookups)
    deadlines = _deadlines(gathered.questions)
    draft = _Draft()
    found = lookups.codes(CROSSWALK, view.received_date)
    crosswalk = None if isinstance(found, Unknown) else found
    for question, said in rulings(gathered.questions, decide):
        for ruled in said:
            _tell(question, ruled, view, hold, deadlines, crosswalk, draft)
    if len(draft.findings) + len(draft.preview) + len(draft.not_evaluated) > MAX_FINDINGS:
        raise _too_much(f"more than {MAX_FINDINGS} findings")
    for loser in gathered.lost():
        if loser.how == SWITCHED_OFF:  # not checked is not passed, also when a person said so
            told = NotEvaluated(rule_id=loser.rule_id, code="", line_numbers=(), reason="rule_switched_off", required=False)
            draft.not_evaluated[loser.rule_id, "rule_switched_off", ""] = told
    covered = any(index.covers_payer for index in gathered.indexes)
    concerned = policy.identities(tuple(gathered.indexes))
    count = len(concerned | gathered.pinned) if gathered.pinned else len(concerned)
    return Answer(
        _judgement(covered, view, count, draft), tuple(one for one, _ in _numbered(draft.preview, "p")), gathered.lost()
    ), deadlines


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
    for current, index, lines in _parts(policy, view):
        gathered.losers |= current.losers
        gathered.indexes.append(index)
        judged = Judged(view, lookups, lines)
        for rule in index.kinds:
            if view.submission_type != "void" or rule.kind.judges_void:
                _derive(rule, current, judged, gathered)
        _ask_conditions(current, index, view, lines, gathered)
    return gathered


def _parts(policy: Policy, view: ClaimView) -> Iterable[tuple[Slice, RuleIndex, list[LineView]]]:
    """What to judge by what: all rules at once when no policy changes between the claim's dates, else basis by basis."""
    whole = policy.slice_of_all(view.dates)
    if whole is not None:
        return [(whole, whole.everything, view.lines)]
    found: list[tuple[Slice, RuleIndex, list[LineView]]] = []
    for basis in policy.bases:
        # Days of one slice are judged together: the same compiled rules, one pass over the lines.
        groups: dict[Slice, list[LineView]] = {}
        for day, lines in _by_day(basis, view):
            groups.setdefault(policy.slice(day), []).extend(lines)
        for current, lines in groups.items():
            index = current.by_basis.get(basis)
            if index is not None:
                found.append((current, index, sorted(lines, key=lambda line: line.number)))
    return found


def _ask_conditions(current: Slice, index: RuleIndex, view: ClaimView, lines: list[LineView], gathered: _Gathered) -> None:
    """Condition rules of both levels: those that concern everything, and those that pin a procedure code that is there."""
    for line in lines if "line" in index.always or index.by_code else ():
        panels = [index.always["line"]] if "line" in index.always else []
        for panel in [*panels, *_pinned(index, "line", (line.code,), gathered)]:
            gathered.questions.append(Question(current, panel, partial(line_fact, line), None, line))
    panels = [index.always["claim"]] if "claim" in index.always else []
    for panel in [*panels, *(_pinned(index, "claim", sorted(view.codes), gathered) if index.by_code else ())]:
        gathered.questions.append(Question(current, panel, partial(claim_fact, view), None, None))


def _pinned(index: RuleIndex, level: str, codes: Iterable[str | None], gathered: _Gathered) -> list[Panel]:
    """The condition rules that pin one of these procedure codes."""
    found = [
        panel for code in codes if code is not None and code in index.by_code and (panel := index.by_code[code].get(level)) is not None
    ]
    for panel in found:
        gathered.pinned.update((rule.rule.content.rule_id, rule.rule.version) for rule in panel.rules)
    return found


def _derive(rule: CompiledRule, current: Slice, judged: Judged, gathered: _Gathered) -> None:
    for candidate in rule.kind.derive(rule.parameters, judged):
        fact = _reader(candidate, judged.view) if rule.reads_catalogue else candidate.facts.get
        gathered.questions.append(Question(current, rule.panel, fact, candidate, None))
    if len(gathered.questions) > MAX_CANDIDATES:
        raise _too_much(f"more than {MAX_CANDIDATES} rule candidates")


def _too_much(what: str) -> InvalidClaim:
    issue = Issue("too_much_work", "/service_lines", f"Judging this claim gives {what}.", "Split the claim, or send less history.")
    return InvalidClaim("The claim is too large to judge", [issue])


def _reader(candidate: Candidate, view: ClaimView) -> FactReader:
    """The kind's facts about a candidate, else those of its first line, else the claim's."""
    own, line = candidate.facts, candidate.lines[0] if candidate.lines else None

    def read(name: str) -> FactValue:
        if name in own:
            return own[name]
        if name not in CATALOGUE:
            return None
        return claim_fact(view, name) if line is None or name.startswith("claim.") else line_fact(line, name)

    return read


def _deadlines(questions: Sequence[Question]) -> dict[int, Deadline]:
    """The earliest filing deadline of each line, by line number, from the stable filing rules that concern it."""
    found: dict[int, Deadline] = {}
    for question in questions:
        candidate = question.candidate
        if candidate is None or not candidate.deadlines:
            continue
        rule = question.panel.rules[0]
        content = rule.rule.content
        if content.stage == "stable" and (rule.when is None or truth(rule.when, question.fact) is True):
            for number, told in candidate.deadlines.items():
                deadline = Deadline(*told, content.rule_id)
                found[number] = min(found.get(number, deadline), deadline)
    return found


def _tell(
    question: Question,
    ruled: Ruled,
    view: ClaimView,
    hold: frozenset[str],
    deadlines: dict[int, Deadline],
    crosswalk: CodeTable | None,
    draft: _Draft,
) -> None:
    """What a rule said, as findings, bypassed rules and rules not evaluated."""
    content = ruled.rule.rule.content
    is_stable = content.stage == "stable"
    candidate = _candidate(question, ruled.rule, view)
    numbers = _numbers(ruled.rule, candidate)
    if is_stable:
        for branch, program in ruled.unknown:
            _note_unknown(question, content, branch, program, numbers, draft)
    if ruled.decided is None:
        return
    branch, program = ruled.decided
    told = candidate.tell()
    if branch.bypassed and is_stable:
        by = told.params.get(branch.bypassed_by, branch.bypassed_by)
        draft.bypassed.append(Bypassed(rule_id=content.rule_id, code=branch.code, line_numbers=numbers, by=by))
    if branch.severity is not None:
        deadline = min((deadlines[number] for number in numbers or deadlines if number in deadlines), default=None)
        finding = build_finding(ruled.rule, branch, program, candidate, told, question.fact, view, numbers, hold, deadline, crosswalk)
        (draft.findings if is_stable else draft.preview).append((finding, frozenset(candidate.causes)))


def _candidate(question: Question, rule: CompiledRule, view: ClaimView) -> Candidate:
    return question.candidate or condition_candidate(rule.rule.content, view, question.line)


def _numbers(rule: CompiledRule, candidate: Candidate) -> tuple[int, ...]:
    whole_claim = rule.kind.name == "condition" and rule.rule.content.level == "claim"
    return () if whole_claim else tuple([line.number for line in candidate.lines])


def _note_unknown(
    question: Question, content: RuleVersionContent, branch: Branch, program: Program, numbers: tuple[int, ...], draft: _Draft
) -> None:
    reasons = sorted((value.reason, value.supply or "") for name in program.facts if isinstance(value := question.fact(name), Unknown))
    reason, supply = reasons[0]
    known = draft.not_evaluated.get((content.rule_id, reason, supply))
    if known is not None:  # told once for all its lines; () is the whole claim
        numbers = tuple(sorted({*known.line_numbers, *numbers})) if known.line_numbers and numbers else ()
    told = NotEvaluated(
        rule_id=content.rule_id,
        code=known.code if known is not None else branch.code,
        line_numbers=numbers,
        reason=reason,
        required=content.required and reason not in OPTIONAL_REASONS,
        supply=supply or None,
    )
    draft.not_evaluated[content.rule_id, reason, supply] = told
    draft.incomplete_rules.add(content.rule_id)


def _order(told: Told) -> tuple[object, ...]:
    one = told[0]
    place = one.location.json_pointer
    return one.line_numbers[:1] or (0,), one.rule_id, one.code, one.line_numbers, one.related_line_numbers, place, one.finding_key


def _numbered(findings: list[Told], prefix: str) -> list[Told]:
    ordered = sorted(findings, key=_order)
    return [(msgspec.structs.replace(one, finding_id=f"{prefix}{number}"), causes) for number, (one, causes) in enumerate(ordered, 1)]


def _judgement(covered: bool, view: ClaimView, concerned: int, draft: _Draft) -> Judgement:
    findings = collapse(_numbered(draft.findings, "f"))
    not_evaluated = sorted(draft.not_evaluated.values(), key=lambda one: (one.rule_id, one.line_numbers, one.reason, one.code))
    outcome: Outcome = "clean"
    if any(SEVERITY_RANK[finding.severity] >= SEVERITY_RANK["warn"] for finding in findings):
        outcome = "findings"
    elif not covered:
        outcome = "not_covered"
    elif any(one.required for one in not_evaluated):
        outcome = "incomplete"
    if not covered:
        not_evaluated.append(
            NotEvaluated(
                rule_id="",
                code="payer.rules",
                line_numbers=(),
                reason="payer_rules_missing",
                required=False,
                supply="rules of this payer for these dates",
            )
        )
    leads = [finding for finding in findings if finding.suppressed_by is None]
    serious = [finding for finding in leads if SEVERITY_RANK[finding.severity] >= SEVERITY_RANK["pend"] and finding.category != "duplicate"]
    return Judgement(
        outcome=outcome,
        highest_severity=max(leads, key=lambda finding: SEVERITY_RANK[finding.severity]).severity if leads else None,
        total_amount_at_risk=_at_risk(view, serious),
        fails_from=None,
        earliest_fix_by=min((finding.fix_by for finding in findings if finding.fix_by is not None), default=None),
        findings=findings,
        bypassed=tuple(sorted(draft.bypassed, key=lambda one: (one.rule_id, one.line_numbers, one.code, one.by))),
        not_evaluated=tuple(not_evaluated),
        coverage=Coverage(rules_applicable=concerned, rules_evaluated=concerned - len(draft.incomplete_rules)),
    )


def _at_risk(view: ClaimView, findings: list[Finding]) -> Money:
    """Each line counts once, however many findings name it; a finding on the whole claim puts every line at risk."""
    lines: set[int] = set()
    for finding in findings:
        lines.update(finding.line_numbers or (line.number for line in view.lines))
    return Money(sum(line.charge_at_risk for line in view.lines if line.number in lines))


def asked(policy: Policy, view: ClaimView, lookups: Lookups) -> Iterable[tuple[CompiledRule, Question]]:
    """Every rule that concerned the claim with each subject it was asked of."""
    return _gather(policy, view, lookups).asked()


def explanation(policy: Policy, view: ClaimView, lookups: Lookups) -> list[dict[str, Any]]:
    """Every rule that concerned the claim: each branch's conditions with true, false or unknown and the facts seen; then the losers."""
    gathered = _gather(policy, view, lookups)
    told: list[dict[str, Any]] = []
    for rule, question in gathered.asked():
        content = rule.rule.content
        branches = []
        for branch, program in rule.branches:
            told_branch = explain(program.condition, question.fact, specs_for(rule.kind, content.level).get)
            branches.append({"code": branch.code, **told_branch.plain()})
            if told_branch.truth:
                break
        candidate = _candidate(question, rule, view)
        told.append(
            {
                "rule_id": content.rule_id,
                "rule_version": rule.rule.version,
                "rule_kind": content.kind,
                "stage": content.stage,
                "line_numbers": list(_numbers(rule, candidate)),
                "related_line_numbers": [line.number for line in candidate.related],
                "branches": branches,
            }
        )
    told.sort(key=lambda one: (one["rule_id"], one["line_numbers"], one["related_line_numbers"]))
    return told + [{"rule_id": loser.rule_id, "lost_to": loser.by, "how": loser.how} for loser in gathered.lost()]
