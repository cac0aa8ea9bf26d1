"""Before the service: is authorization needed, is it covered, is it too soon. The same rules, engine and facts as for a claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from rules_service.claim.claim import Claim
from rules_service.claim.service_check import ServiceCheck, planned_claim
from rules_service.engine.gather import gather
from rules_service.engine.policy import CompiledRule
from rules_service.engine.rulings import Question
from rules_service.findings.finding import Finding, NotEvaluated
from rules_service.findings.service_answer import AuthorizationNeed, Basis, Covered, Frequency, ServiceAnswer, ServiceCheckAnswer
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import Lookups
from rules_service.services.snapshot import SnapshotRegistry
from rules_service.services.validate_claim import judge_claim

AUTHORIZATION, FREQUENCY = "authorization_requirement", "frequency_limit"
COVERAGE = frozenset(
    {"diagnosis_coverage", "benefit_exclusion", "eligibility", "age_sex", "telehealth", "provider_roster", "coordination_of_benefits"}
)
ASKED = COVERAGE | {AUTHORIZATION, FREQUENCY, "referral"}
"""Kinds that speak of what is planned; the others judge how it is billed."""
DENIED = frozenset({"reject", "deny_hard", "deny_soft"})


class ServiceChecks:
    """Answers checks from what is published."""

    def __init__(self, registry: SnapshotRegistry, hold: frozenset[str], time_zone: str) -> None:
        self._registry, self._hold, self._zone = registry, hold, ZoneInfo(time_zone)

    def check(self, tenant_id: str, check: ServiceCheck) -> ServiceCheckAnswer:
        """The answer; InvalidClaim when the services are no services."""
        snapshot = self._registry.refresh(tenant_id)
        claim = planned_claim(check)
        claim = msgspec.structs.replace(claim, received_at=_receipt(claim, datetime.now(self._zone)))
        answer, payer_id, pins, _ = judge_claim(claim, snapshot, self._hold)
        policy, view = snapshot.policy_for(claim)
        spoken = [
            (rule, question) for rule, question in gather(policy, view, Lookups(snapshot.editions)).asked() if rule.kind.name in ASKED
        ]
        judgement = answer.judgement
        off = {one.rule_id for one in judgement.not_evaluated if one.reason == "rule_switched_off"}
        published = (content for publication in snapshot.publications for content in publication.contents.values()) if off else ()
        kinds = {content.rule_id: content.kind for content in published if content.rule_id in off and content.kind in ASKED}
        kinds |= {rule.rule.content.rule_id: rule.kind.name for rule, _ in spoken}
        findings = tuple(one for one in judgement.findings if one.rule_id in kinds)
        unjudged = tuple(one for one in judgement.not_evaluated if one.rule_id in kinds or one.code == "payer.rules")
        covers = all(one.code != "payer.rules" for one in unjudged)
        services = tuple(
            _service(line.line_number, line.procedure_code or "", spoken, findings, unjudged, kinds) for line in claim.service_lines
        )
        return ServiceCheckAnswer(
            checked_at=datetime.now(UTC), payer_id=payer_id or None, covers_payer=covers, services=services, findings=findings, not_evaluated=unjudged, pins=pins
        )  # fmt: skip


def _receipt(claim: Claim, now: datetime) -> datetime:
    """A planned service is judged as if its claim came on the day of the last service, or now when that is past: its rules are that day's."""
    last = max(line.service_from for line in claim.service_lines if line.service_from is not None)
    return now if last <= now.date() else datetime(last.year, last.month, last.day, 12, tzinfo=now.tzinfo)


Spoken = Sequence[tuple[CompiledRule, Question]]


def _service(
    number: int, code: str, spoken: Spoken, findings: Iterable[Finding], unjudged: Iterable[NotEvaluated], kinds: dict[str, str]
) -> ServiceAnswer:
    mine = [
        (rule, question)
        for rule, question in spoken
        if question.candidate is not None and number in {line.number for line in question.candidate.lines}
    ]
    found = [one for one in findings if number in one.line_numbers or not one.line_numbers]
    silent = [one for one in unjudged if number in one.line_numbers or not one.line_numbers]
    rules = {rule.rule.content.rule_id for rule, _ in mine}
    need, basis, decided = _authorization(
        [one for one in mine if one[0].kind.name == AUTHORIZATION], [one for one in found if kinds[one.rule_id] == AUTHORIZATION]
    )
    if need == "indeterminate" and any(kinds.get(one.rule_id) == AUTHORIZATION for one in silent):
        need, basis = "conditional", "unknown"  # a list that is switched off might have named it
    return ServiceAnswer(
        line_number=number, procedure_code=code, authorization=need, authorization_basis=basis,
        authorization_rule_id=decided.rule.content.rule_id if decided is not None else None, authorization_rule_version=decided.rule.version if decided is not None else None,
        covered=_covered({rule.kind.name for rule, _ in mine}, [one for one in found if kinds[one.rule_id] in COVERAGE], [one for one in silent if kinds.get(one.rule_id) in COVERAGE]),
        frequency=_frequency([one for one in found if kinds[one.rule_id] == FREQUENCY], [one for one in silent if kinds.get(one.rule_id) == FREQUENCY], any(rule.kind.name == FREQUENCY for rule, _ in mine)),
        rule_ids=tuple(sorted(rules)), supply=tuple(sorted({one.supply for one in silent if one.supply is not None and one.rule_id in kinds})),
    )  # fmt: skip


def _authorization(spoken: Spoken, found: Sequence[Finding]) -> tuple[AuthorizationNeed, Basis, CompiledRule | None]:
    """What the lists that name the service say, on what ground, and which rule said so: the strictest of them counts."""
    needs = [(*_need(question, [one for one in found if one.rule_id == rule.rule.content.rule_id]), rule) for rule, question in spoken]
    order: tuple[AuthorizationNeed, ...] = ("auth-needed", "conditional", "satisfied", "no-auth")
    return min(needs, key=lambda one: order.index(one[0]), default=("indeterminate", "not_named", None))


def _need(question: Question, found: Sequence[Finding]) -> tuple[AuthorizationNeed, Basis]:
    requirement = question.fact("authorization.requirement")
    if isinstance(requirement, Unknown):
        return "conditional", "unknown"
    if requirement in ("not_required", "suspended") or question.fact("authorization.exemption") is not None:
        return "no-auth", "not_required"
    if requirement == "voluntary":
        return "conditional", "voluntary"
    if requirement == "notification":
        return "conditional", "notification"
    if question.fact("authorization.number_present") is not True:
        return "auth-needed", "required"
    if not found:
        return "satisfied", "required"
    return "conditional" if all(one.severity == "warn" for one in found) else "auth-needed", "required"


def _covered(kinds: set[str], found: Sequence[Finding], silent: Sequence[NotEvaluated]) -> Covered:
    if any(one.severity in DENIED for one in found):
        return "not-covered"
    if silent or found:
        return "conditional"
    return "covered" if "diagnosis_coverage" in kinds else "indeterminate"


def _frequency(found: Sequence[Finding], silent: Sequence[NotEvaluated], is_limited: bool) -> Frequency:
    if found:
        return "exceeded"
    return "unknown" if silent else "within" if is_limited else "indeterminate"
