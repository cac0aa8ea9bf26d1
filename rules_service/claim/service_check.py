"""What is asked before there is a claim: planned services of a patient with a payer, on a day, at a place, for these diagnoses."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from rules_service.claim.canonical import canonical_claim
from rules_service.claim.claim import Claim, ClaimType, Diagnosis
from rules_service.claim.context import ClaimContext
from rules_service.claim.parties import ClaimProviders, ClaimStruct, Payer, Person, Provider
from rules_service.claim.service_lines import ServiceLine
from rules_service.primitives.errors import InvalidClaim
from rules_service.primitives.money import Money, Quantity


class PlannedService(ClaimStruct, frozen=True):
    """One service as ordered. What is left out is that of the check; units are 1 and the diagnoses all of the check's."""

    procedure_code: str
    modifiers: tuple[str, ...] = ()
    unit_count: Quantity | None = None
    service_date: date | None = None
    place_of_service_code: str | None = None
    diagnosis_codes: tuple[str, ...] | None = None
    prior_authorization_number: str | None = None
    expected_amount: Money | None = None


class ServiceCheck(ClaimStruct, frozen=True):
    """Payer and plan, patient, services, diagnoses (the first is the reason), day and place. `context` as on a claim."""

    payer: Payer
    services: tuple[PlannedService, ...]
    service_date: date
    subscriber: Person | None = None
    patient: Person | None = None
    providers: ClaimProviders | None = None
    diagnosis_codes: tuple[str, ...] = ()
    place_of_service_code: str | None = None
    claim_type: ClaimType | None = None
    referral_number: str | None = None
    context: ClaimContext | None = None


def planned_claim(check: ServiceCheck) -> Claim:
    """The claim these services would make, without charges or number; InvalidClaim when they make none. Never stored."""
    codes = list(dict.fromkeys([*check.diagnosis_codes, *(code for one in check.services for code in one.diagnosis_codes or ())]))
    sequence = {code: number for number, code in enumerate(codes, 1)}
    lines = []
    for number, one in enumerate(check.services, 1):
        day = one.service_date or check.service_date
        used = check.diagnosis_codes if one.diagnosis_codes is None else one.diagnosis_codes
        lines.append(
            ServiceLine(
                line_number=number, charge_amount=one.expected_amount or Money(0), procedure_code=one.procedure_code, modifiers=one.modifiers, unit_basis="UN",
                unit_count=one.unit_count or Quantity(1000), service_from=day, service_through=day, place_of_service_code=one.place_of_service_code,
                diagnosis_pointers=tuple(sequence[code] for code in dict.fromkeys(used))[:4], prior_authorization_number=one.prior_authorization_number,
            )
        )  # fmt: skip
    claim = Claim(
            claim_type=check.claim_type or "professional", patient_control_number="", claim_frequency_code="1", payer=check.payer,
            subscriber=check.subscriber or Person(), patient=check.patient, providers=check.providers or ClaimProviders(billing=Provider()), total_charge_amount=Money(0),
            service_lines=tuple(lines), place_of_service_code=check.place_of_service_code, referral_number=check.referral_number, context=check.context,
            diagnoses=tuple(Diagnosis(sequence=number, code=code, type="principal" if number == 1 else "secondary") for code, number in sequence.items()),
    )  # fmt: skip
    try:
        return canonical_claim(claim)
    except InvalidClaim as error:
        issues = [replace(one, where=one.where.replace("/service_lines", "/services", 1)) for one in error.issues]
        raise InvalidClaim("The body is not a service check", issues) from None
