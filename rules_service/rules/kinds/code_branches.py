"""What is told of a code that is not valid: the findings of `code_validity`."""

from __future__ import annotations

from rules_service.rules.kinds.base import Branch, fix

LINE_CODES = {
    "procedure": (
        "line.procedure_code",
        "proc.invalid_dos",
        "Procedure code",
        "Line {line_number} {code} is not a valid code on {date}.{dates}",
    ),
    "modifier": ("line.modifiers", "mod.invalid_dos", "Modifier", "Line {line_number}: modifier {code} is not valid on {date}.{dates}"),
    "revenue": ("line.revenue_code", "rev.invalid", "Revenue code", "Line {line_number}: revenue code {code} is not valid on {date}."),
    "place_of_service": (
        "line.place_of_service_code",
        "pos.invalid",
        "Place of service code",
        "Line {line_number}: the place of service code is not valid on {date}.",
    ),
}
"""Coded values of a line: where they stand, the finding, and how it is told."""
CLAIM_FIELDS = {
    "condition": ("claim.condition_codes", "inst.condition_code", "Condition code"),
    "occurrence": ("claim.institutional.occurrence_codes", "inst.occurrence_code", "Occurrence code"),
    "value": ("claim.institutional.value_codes", "inst.value_code", "Value code"),
    "inpatient_procedure": ("claim.institutional.procedures", "inst.procedure_code", "ICD-10-PCS code"),
    "adjustment": ("claim.other_payers", "cob.adjustment_code", "Adjustment code of another payer"),
}
"""Coded values of the claim: where they stand, the finding, and their name."""


def code_branches(subject: str) -> tuple[Branch, ...]:
    """By what the rule asks about."""
    every = {
        "diagnosis": (
            Branch(
                code="dx.unspecified_length",
                title="Diagnosis code needs more characters",
                at="diagnosis.code",
                severity="reject",
                when=_is_state("diagnosis", "header"),
                message="Diagnosis {sequence} {code} is a category; code to the highest specificity{more}.{candidates}",
                fixes=(fix("Use the code to the highest specificity the record supports"),),
                next_action="correct_claim",
            ),
            Branch(
                code="dx.invalid_dos",
                title="Diagnosis code not valid on the date of service",
                at="diagnosis.code",
                severity="reject",
                when=_is_state("diagnosis", "not_on_date", "unknown_code"),
                message="Diagnosis {sequence} {code} is not a valid ICD-10-CM code on {date}.{candidates}",
                fixes=(fix("Use the code in effect on the date of service"),),
                next_action="correct_claim",
            ),
            Branch(
                code="dx.not_icd10cm",
                title="Diagnosis is not an ICD-10-CM code",
                at="diagnosis.code",
                severity="reject",
                when=_is_state("diagnosis", "bad_shape"),
                message="Diagnosis {sequence} does not have the form of an ICD-10-CM code, which services from 2015-10-01 on require.",
                fixes=(fix("Code the diagnosis in ICD-10-CM"),),
                next_action="correct_claim",
            ),
        ),
        "pointer": (
            Branch(
                code="dx.pointer",
                title="Diagnosis pointer to no diagnosis",
                at="line.diagnosis_pointers",
                severity="reject",
                when={"fact": "code.pointer_exists", "is": "false"},
                message="Line {line_number}: pointer {pointer} names no diagnosis of the claim.",
                fixes=(fix("Point to a diagnosis on the claim"),),
                next_action="correct_claim",
            ),
        ),
    }
    return every.get(subject) or (_not_valid(subject),)


def _is_state(subject: str, *states: str) -> dict[str, object]:
    return {"all": [{"fact": "code.subject", "is": subject}, {"fact": "code.state", "in": list(states)}]}


def _not_valid(subject: str) -> Branch:
    """The finding of a coded value that is not in effect."""
    if subject in LINE_CODES:
        at, code, name, message = LINE_CODES[subject]
    else:
        at, code, name = CLAIM_FIELDS[subject]
        message = f"{name} {{code}} is not valid on {{date}}."
    return Branch(
        code=code,
        title=f"{name} not valid on the date of service" if subject in ("procedure", "modifier") else f"{name} not valid",
        at=at,
        severity="reject",
        when=_is_state(subject, "not_on_date", "unknown_code"),
        message=message,
        fixes=(fix(f"Use a {name[0].lower() + name[1:] if subject != 'inpatient_procedure' else name} in effect on the date"),),
        next_action="correct_claim",
    )
