"""A branch that came true, turned into a finding."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import date
from typing import Any, NamedTuple

import msgspec

from rules_service.claim.locations import Place, locate, of_patient
from rules_service.engine.compile import Program
from rules_service.engine.crosswalk import from_crosswalk
from rules_service.engine.policy import CompiledRule
from rules_service.facts.catalogue import CATALOGUE
from rules_service.facts.values import FactValue, shown_value
from rules_service.facts.view import ClaimView
from rules_service.findings.finding import Finding, PredictedDenial, at_most
from rules_service.primitives.canonical import content_hash
from rules_service.primitives.codes import shown_code
from rules_service.primitives.money import Money
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.rules.condition import leaves
from rules_service.rules.kinds.base import Branch, Candidate, Telling
from rules_service.rules.rule import Prediction

PLACEHOLDER = re.compile(r"\{([a-z_0-9.]+)\}")
_SHOWABLE = re.compile(r"[A-Za-z0-9 .,:;()'/\-]{0,240}\Z")


CODE_PARAMS = frozenset({"code", "code_one", "code_two", "procedure_code", "modifier"})
"""Message parameters that hold codes as the claim gave them."""


@functools.lru_cache(maxsize=4_096)
def _template(text: str) -> tuple[str, ...]:
    """Texts and placeholder names in turn, beginning and ending with a text."""
    return tuple(PLACEHOLDER.split(text))


def _fill(template: str, params: dict[str, str], fact: Callable[[str], FactValue]) -> str:
    """The message with its placeholders: the kind's parameters, or catalogue facts that are not PHI. Odd text is not shown."""
    parts = list(_template(template))
    for at in range(1, len(parts), 2):
        name = parts[at]
        text: str | None
        if name in params:
            text = params[name] if name not in CODE_PARAMS else ", ".join([shown_code(code) for code in params[name].split(", ")])
        else:
            known = CATALOGUE.get(name)
            text = None if known is None or known.spec.phi else shown_value(known.spec, fact(name))
        parts[at] = text if text is not None and _SHOWABLE.match(text) else "(not shown)"
    return "".join(parts)


@functools.lru_cache(maxsize=1_024)
def _predicted(prediction: Prediction) -> PredictedDenial:
    return PredictedDenial(
        outcome=prediction.outcome,
        group_code=prediction.group_code,
        carc=prediction.carc,
        rarcs=prediction.rarcs,
        claim_status=prediction.claim_status,
        appealable=prediction.appealable,
        patient_billable=bool(prediction.patient_billable),
    )


def _shown_facts(rule: CompiledRule, program: Program, told: Telling, fact: Callable[[str], FactValue]) -> dict[str, Any]:
    """Facts a person needs to follow the finding: those the kind shows, else the non-PHI facts its condition read."""
    if told.shown or rule.kind.name != "condition":
        return told.shown
    shown: dict[str, Any] = {}
    for leaf in leaves(program.condition):
        spec = CATALOGUE[leaf.fact].spec
        value = fact(leaf.fact)
        if not spec.phi and not isinstance(value, Unknown):
            shown[leaf.fact] = shown_value(spec, value, leaf.value if isinstance(leaf.value, tuple) else (leaf.value,))
    return shown


class Deadline(NamedTuple):
    """The filing deadline of some lines: its day, the days left from receipt as the payer counts it, the rule that sets it."""

    day: date
    days_remaining: int
    rule_id: str


def build_finding(
    rule: CompiledRule,
    branch: Branch,
    program: Program,
    candidate: Candidate,
    told: Telling,
    fact: Callable[[str], FactValue],
    view: ClaimView,
    numbers: tuple[int, ...],
    hold: frozenset[str],
    deadline: Deadline | None,
    crosswalk: CodeTable | None,
) -> Finding:
    """The finding of a branch. `finding_key` depends on the rule, the code and the place, not on the version or the values seen.

    What the payer would answer is what the rule says, else what the crosswalk in force on the day of receipt says.
    """
    content = rule.rule.content
    first = candidate.lines[0] if candidate.lines else None
    place = candidate.place or Place(branch.at, first.index if first else None, first.number if first else None)
    if place.field.startswith("line.") and branch.at.startswith("line.") and place.index is not None and content.kind != "condition":
        place = msgspec.structs.replace(place, field=branch.at if place.field != "line.prior_authorization_number" else place.field)
    elif branch.at.startswith("claim.") and place.field.startswith("line."):
        place = Place(branch.at)
    place = of_patient(place, view.claim)
    related = tuple(line.number for line in candidate.related)
    if branch.severity is None:
        raise ValueError(f"{branch.code} has no severity")
    amount = candidate.amount if candidate.amount is not None else sum(line.charge_at_risk for line in candidate.lines)
    owner = (
        content.rule_id,
        branch.code,
        sorted(numbers),
        sorted(related),
        place.field,
        place.index if place.field.startswith("diagnosis") else None,
        candidate.key,
    )
    citation = content.citations[0] if content.citations else None
    if citation is not None and rule.rule.verified_on is not None:
        citation = msgspec.structs.replace(citation, verified_on=rule.rule.verified_on)
    # A rule whose sources nobody has verified in time still warns; it no longer calls a claim denied.
    predicts = branch.predicts
    if predicts is None and crosswalk is not None:
        predicts = from_crosswalk(crosswalk, branch.code, candidate.qualifier, view.received_date.toordinal())
    is_stale = rule.rule.reverify_by is not None and rule.rule.reverify_by < view.received_date
    severity = at_most(branch.severity, "warn") if is_stale else branch.severity
    return Finding(
        finding_id="",
        finding_key=content_hash(list(owner))[:20],
        rule_id=content.rule_id,
        rule_version=rule.rule.version,
        rule_kind=content.kind,
        rule_layer=rule.rule.layer,  # type: ignore[arg-type]
        code=branch.code,
        title=branch.title,
        severity=severity,
        blocking=severity in hold,
        confidence=branch.confidence,
        category=branch.category,
        line_numbers=numbers,
        related_line_numbers=related,
        message=_fill(branch.message, told.params, fact),
        expected=told.expected,
        actual=told.actual,
        facts=_shown_facts(rule, program, told, fact),
        location=locate(place, view.claim),
        predicted_denial=None if predicts is None else _predicted(predicts),
        amount_at_risk=Money(amount),
        fix_by=deadline.day if deadline else None,
        days_remaining=deadline.days_remaining if deadline else None,
        deadline_basis=f"timely filing {deadline.rule_id}" if deadline else None,
        owner_role=branch.owner_role,
        next_action=branch.next_action,
        fixes=(*told.fixes, *branch.fixes),
        citation=citation,
        override_reasons=branch.override_reasons,
    )
