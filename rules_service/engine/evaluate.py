"""Judges one claim: a pure function of the claim, the policy and the reference editions.

Candidates are found through indexes, their facts are handed to a decider (durable_rules in service, the pure matcher as
oracle), and what the decider says is turned into findings. Nothing here reads a clock, a file or a hash order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

import msgspec

from rules_service.engine.compile import Program
from rules_service.engine.crosswalk import CROSSWALK
from rules_service.engine.decide import Decider, engine_decider
from rules_service.engine.gather import Gathered, fact_reader, gather, line_numbers_of, subject_of, too_much
from rules_service.engine.policy import SWITCHED_OFF, CompiledRule, Policy, Ruled
from rules_service.engine.render import Deadline, build_finding
from rules_service.engine.rulings import Question, rulings
from rules_service.facts.view import ClaimView
from rules_service.findings.collapse import collapse
from rules_service.findings.evaluation import Coverage, Judgement, Outcome
from rules_service.findings.finding import DENYING, SEVERITY_RANK, Bypassed, Finding, NotEvaluated
from rules_service.primitives.money import Money
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.reference.lookups import Lookups
from rules_service.rules.kinds.base import Branch, Denials
from rules_service.rules.matching import truth
from rules_service.rules.rule import RuleVersionContent
from rules_service.rules.selection import Loser

SEMANTICS = 6
"""Raised when a judgement says something it did not say before of the same claim and rules."""
MAX_TURNS = 4
"""Days to come on which rules of receipt change, for which a clean claim is judged too."""
NOON = time(12)
MAX_FINDINGS = 3_000
"""Of one claim; a claim that needs more is refused whole rather than judged in part."""


OPTIONAL_REASONS = frozenset(
    {"history_not_supplied", "unit_limit_not_published", "authorization_not_verifiable", "filing_limit_not_stated", "specialty_not_known"}
)
"""What a submitter or the publisher may leave out: it is told, and does not make an evaluation incomplete."""


@dataclass(slots=True)
class Answer:
    """A judgement, what preview rules would have found (recorded, not returned), and the rules that lost to others."""

    judgement: Judgement
    preview: tuple[Finding, ...]
    losers: tuple[Loser, ...]


Told = tuple[Finding, frozenset[str]]
"""A finding, and what on the claim its rule holds to be at fault besides the lines."""
Made = dict[tuple[Question, CompiledRule], Told]
"""The findings made so far, by question and rule."""


@dataclass(slots=True)
class Draft:
    """What was said so far, before it is numbered, collapsed and ordered."""

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
        later = _as_received(view, day)
        outcome = _judged(policy, later, lookups, hold, decide)[0].judgement.outcome
        later.let_go()
        if outcome == "findings":
            fails_from = day
            break
    if fails_from is not None:
        answer.judgement = msgspec.structs.replace(answer.judgement, fails_from=fails_from)
    return answer


def _as_received(view: ClaimView, day: date) -> ClaimView:
    zone = view.claim.received_at.tzinfo if view.claim.received_at is not None else None
    claim = msgspec.structs.replace(view.claim, received_at=datetime.combine(day, NOON, zone))
    return view.of(claim)


def _judged(policy: Policy, view: ClaimView, lookups: Lookups, hold: frozenset[str], decide: Decider) -> tuple[Answer, dict[int, Deadline]]:
    """The answer as of the claim's own receipt, and the filing deadline of each line."""
    gathered, draft, deadlines = settle(policy, view, lookups, hold, decide)
    if len(draft.findings) + len(draft.preview) + len(draft.not_evaluated) > MAX_FINDINGS:
        raise too_much(f"more than {MAX_FINDINGS} findings")
    for loser in gathered.lost():
        if loser.how == SWITCHED_OFF:  # not checked is not passed, also when a person said so
            told = NotEvaluated(rule_id=loser.rule_id, code="", line_numbers=(), reason="rule_switched_off", required=False)
            draft.not_evaluated[loser.rule_id, "rule_switched_off", ""] = told
    concern = policy.concern(tuple(gathered.indexes))
    count = len(concern.identities | gathered.pinned) if gathered.pinned else len(concern.identities)
    coverage = Coverage(
        count, count - len(draft.incomplete_rules), concern.kinds_without_rule, lookups.excerpts(), view.payer_named_by, policy.undecided
    )
    return Answer(
        _judgement(concern.covers_payer, view, coverage, draft), tuple(one for one, _ in _numbered(draft.preview, "p")), gathered.lost()
    ), deadlines


def settle(
    policy: Policy, view: ClaimView, lookups: Lookups, hold: frozenset[str], decide: Decider
) -> tuple[Gathered, Draft, dict[int, Deadline]]:
    """What was asked, what was said to it, and the deadlines.

    What turns on the denial of other lines is asked a second time, when it is known which those are. Once: a denial that only comes
    of the second asking denies nothing further.
    """
    gathered = gather(policy, view, lookups)
    deadlines = _deadlines(gathered.questions)
    found = lookups.codes(CROSSWALK, view.received_date)
    crosswalk = None if isinstance(found, Unknown) else found

    made: Made = {}

    def told() -> Draft:
        draft = Draft()
        for question, said in rulings(gathered.questions, decide):
            for ruled in said:
                _tell(question, ruled, view, hold, deadlines, crosswalk, made, draft)
        return draft

    draft = told()
    # Most claims have no line that is beside another: nothing of theirs turns on a denial.
    beside = [at for at, question in enumerate(gathered.questions) if question.candidate is not None and question.candidate.related]
    if beside and _settle_denials(gathered.questions, beside, _denials(draft), view):
        draft = told()
    return gathered, draft, deadlines


def _denials(draft: Draft) -> Denials:
    denials: dict[int, list[Finding]] = {}
    for finding in collapse(_numbered(draft.findings, "f")):
        if finding.suppressed_by is None and finding.severity in DENYING:
            for number in finding.line_numbers:
                denials.setdefault(number, []).append(finding)
    return denials


def _settle_denials(questions: list[Question], places: Sequence[int], denials: Denials, view: ClaimView) -> bool:
    """Gives those of the questions that are beside denied lines the facts that turn on it; whether there were any. What denies both lines is
    no such denial."""
    changed = False
    for at in places if denials else ():
        question = questions[at]
        candidate, rule = question.candidate, question.panel.rules[0]
        if candidate is None:
            continue
        own = {line.number for line in candidate.lines}
        beside = {
            line.number: against
            for line in candidate.related
            if (against := [finding for finding in denials.get(line.number, ()) if own.isdisjoint(finding.line_numbers)])
        }
        facts = rule.kind.settled(candidate, beside) if beside else {}
        if facts:
            candidate = msgspec.structs.replace(candidate, facts={**candidate.facts, **facts})
            questions[at] = Question(question.slice, question.panel, fact_reader(rule, candidate, view), candidate, None)
            changed = True
    return changed


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
    made: Made,
    draft: Draft,
) -> None:
    """What a rule said, as findings, bypassed rules and rules not evaluated."""
    content = ruled.rule.rule.content
    is_stable = content.stage == "stable"
    candidate = subject_of(question, ruled.rule, view)
    numbers = line_numbers_of(ruled.rule, candidate)
    if is_stable:
        for branch, program in ruled.unknown:
            _note_unknown(question, content, branch, program, numbers, draft)
    if ruled.decided is None:
        return
    branch, program = ruled.decided
    if branch.bypassed and is_stable:
        by = candidate.tell().params.get(branch.bypassed_by, branch.bypassed_by)
        draft.bypassed.append(Bypassed(rule_id=content.rule_id, code=branch.code, line_numbers=numbers, by=by))
    if branch.severity is not None:
        # A question that is asked a second time with the same facts is answered with what was said the first time.
        told = made.get((question, ruled.rule))
        if told is None:
            deadline = min((deadlines[number] for number in numbers or deadlines if number in deadlines), default=None)
            finding = build_finding(
                ruled.rule, branch, program, candidate, candidate.tell(), question.fact, view, numbers, hold, deadline, crosswalk
            )
            told = made[question, ruled.rule] = finding, frozenset(candidate.causes)
        (draft.findings if is_stable else draft.preview).append(told)


def _note_unknown(
    question: Question, content: RuleVersionContent, branch: Branch, program: Program, numbers: tuple[int, ...], draft: Draft
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


def _judgement(covered: bool, view: ClaimView, coverage: Coverage, draft: Draft) -> Judgement:
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
    serious = {
        finding.finding_id: finding
        for finding in findings
        if SEVERITY_RANK[finding.severity] >= SEVERITY_RANK["pend"] and finding.category != "duplicate"
    }
    return Judgement(
        outcome=outcome,
        highest_severity=max(leads, key=lambda finding: SEVERITY_RANK[finding.severity]).severity if leads else None,
        total_amount_at_risk=_at_risk(view, [one for one in serious.values() if one.suppressed_by is None or one.suppressed_by in serious]),
        fails_from=None,
        earliest_fix_by=min((finding.fix_by for finding in findings if finding.fix_by is not None), default=None),
        findings=findings,
        bypassed=tuple(sorted(draft.bypassed, key=lambda one: (one.rule_id, one.line_numbers, one.code, one.by))),
        not_evaluated=tuple(not_evaluated),
        coverage=coverage,
    )


def _at_risk(view: ClaimView, findings: list[Finding]) -> Money:
    """Each line counts once, however many findings name it; a finding on the whole claim puts every line at risk."""
    lines: set[int] = set()
    for finding in findings:
        lines.update(finding.line_numbers or (line.number for line in view.lines))
    return Money(sum(line.charge_at_risk for line in view.lines if line.number in lines))
