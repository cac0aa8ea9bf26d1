"""The canonical claim (837P X222A1, 837I X223A2, 837D X224A2), named as X12 names it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

from rules_service.claim.context import ClaimContext
from rules_service.claim.parties import ClaimProviders, ClaimStruct, OtherPayer, Payer, Person
from rules_service.claim.service_lines import Ambulance, ServiceLine
from rules_service.primitives.money import Money

ClaimType = Literal["professional", "institutional", "dental"]
DiagnosisType = Literal["principal", "secondary", "admitting", "reason_for_visit", "external_cause"]
SubmissionType = Literal["original", "secondary", "corrected", "void", "appeal"]


class PriorSubmission(ClaimStruct, frozen=True):
    """An earlier submission of this claim and what became of it."""

    received_at: datetime | None = None
    status: Literal["accepted", "rejected", "denied", "paid", "pending"] | None = None
    payer_claim_control_number: str | None = None
    remit_date: date | None = None


class FilingException(ClaimStruct, frozen=True):
    """A reason the filing limit may be extended (42 CFR 424.44(b)); `evidence` names the document held."""

    code: str
    notice_date: date | None = None
    evidence: str | None = None


class Submission(ClaimStruct, frozen=True):
    """Which submission this is; left out, it follows from frequency code and payer responsibility. An appeal is no claim of its own: it is
    judged as one whose clock runs from the remittance."""

    type: SubmissionType | None = None
    prior: tuple[PriorSubmission, ...] | None = None
    exception: FilingException | None = None


class Diagnosis(ClaimStruct, frozen=True):
    """HI: `sequence` 1..12 (professional) or 1..25 is what pointers name; `code` with its dot, upper-case."""

    sequence: int
    code: str
    type: DiagnosisType
    present_on_admission: str | None = None


class ClaimDates(ClaimStruct, frozen=True):
    """DTP of loop 2300."""

    onset: date | None = None
    initial_treatment: date | None = None
    last_seen: date | None = None
    last_xray: date | None = None
    last_menstrual_period: date | None = None
    admission: date | None = None
    discharge: date | None = None
    assumed_care: date | None = None
    relinquished_care: date | None = None


class Accident(ClaimStruct, frozen=True):
    """CLM11 and DTP*439."""

    causes: tuple[str, ...] = ()
    date: date | None = None
    state: str | None = None


class Attachment(ClaimStruct, frozen=True):
    """PWK."""

    report_type: str | None = None
    transmission: str | None = None
    control_number: str | None = None
    line_number: int | None = None


class Note(ClaimStruct, frozen=True):
    """NTE, of a line where it names one."""

    text: str
    type: str | None = None
    line_number: int | None = None


class Epsdt(ClaimStruct, frozen=True):
    """CRC*ZZ."""

    referral: str | None = None
    condition_codes: tuple[str, ...] = ()


class OccurrenceCode(ClaimStruct, frozen=True):
    """HI*BH."""

    code: str
    date: date | None = None


class OccurrenceSpan(ClaimStruct, frozen=True):
    """HI*BI."""

    code: str
    from_: date | None = msgspec.field(default=None, name="from")
    through: date | None = None


class ValueCode(ClaimStruct, frozen=True):
    """HI*BE."""

    code: str
    amount: Money | None = None


class InstitutionalProcedure(ClaimStruct, frozen=True):
    """HI*BBR and BBQ (ICD-10-PCS)."""

    code: str
    date: date | None = None
    principal: bool = False


class Institutional(ClaimStruct, frozen=True):
    """What only an institutional claim carries (CLM05, CL1, HI). `admission_at` is local time, 2026-11-20T08:00, or the day."""

    type_of_bill: str | None = None
    statement_from: date | None = None
    statement_through: date | None = None
    admission_at: str | None = None
    discharge_hour: str | None = None
    admission_type: str | None = None
    admission_source: str | None = None
    patient_status: str | None = None
    occurrence_codes: tuple[OccurrenceCode, ...] = ()
    occurrence_spans: tuple[OccurrenceSpan, ...] = ()
    value_codes: tuple[ValueCode, ...] = ()
    procedures: tuple[InstitutionalProcedure, ...] = ()
    drg: str | None = None


class Dental(ClaimStruct, frozen=True):
    """What only a dental claim carries (DN1, DN2)."""

    predetermination_id: str | None = None
    orthodontic_months: int | None = None
    banding_date: date | None = None
    missing_teeth: tuple[str, ...] = ()


class Claim(ClaimStruct, frozen=True):
    """One claim (loop 2300) with its subscriber, patient, providers and lines.

    No field has a text or number default: a default is left out of the bytes by identity, not by value, and equal
    claims must give equal bytes.
    """

    claim_type: ClaimType
    patient_control_number: str
    claim_frequency_code: str
    payer: Payer
    subscriber: Person
    providers: ClaimProviders
    total_charge_amount: Money
    service_lines: tuple[ServiceLine, ...]
    encounter_id: str | None = None
    submission_number: int | None = None
    received_at: datetime | None = None
    payer_claim_control_number: str | None = None
    place_of_service_code: str | None = None
    patient_paid_amount: Money | None = None
    submission: Submission | None = None
    delay_reason_code: str | None = None
    assignment_code: str | None = None
    benefits_assigned: str | None = None
    release_code: str | None = None
    special_program_code: str | None = None
    ide_number: str | None = None
    mammography_certification: str | None = None
    payer_responsibility: Literal["primary", "secondary", "tertiary", "other"] | None = None
    prior_authorization_numbers: tuple[str, ...] = ()
    referral_number: str | None = None
    clia_number: str | None = None
    property_casualty_claim_number: str | None = None
    patient: Person | None = None
    dates: ClaimDates | None = None
    accident: Accident | None = None
    attachments: tuple[Attachment, ...] = ()
    notes: tuple[Note, ...] = ()
    epsdt: Epsdt | None = None
    condition_codes: tuple[str, ...] = ()
    anesthesia_procedures: tuple[str, ...] = ()
    homebound: bool | None = None
    ambulance: Ambulance | None = None
    diagnoses: tuple[Diagnosis, ...] = ()
    institutional: Institutional | None = None
    dental: Dental | None = None
    other_payers: tuple[OtherPayer, ...] = ()
    context: ClaimContext | None = None
