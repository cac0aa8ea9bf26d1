"""The parts of FHIR R4 (4.0.1) resources that are read. What else a resource holds is passed over, as FHIR asks of a reader."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every part: immutable, names as FHIR writes them, unknown members passed over, but for those that may turn the meaning of
    the rest round (FHIR R4 2.4.0, modifier extensions): they are refused."""

    modifier_extension: tuple[()] = ()


class Coding(Part, frozen=True):
    """A code of a code system."""

    system: str | None = None
    code: str | None = None


class CodeableConcept(Part, frozen=True):
    """Codes that mean one thing, and words."""

    coding: tuple[Coding, ...] = ()
    text: str | None = None


class Identifier(Part, frozen=True):
    """A business identifier."""

    system: str | None = None
    value: str | None = None
    type: CodeableConcept | None = None


class Reference(Part, frozen=True):
    """To a contained resource (`#id`), to another of the Bundle, or by identifier."""

    reference: str | None = None
    identifier: Identifier | None = None
    display: str | None = None


class Money(Part, frozen=True):
    """An amount; the decimal is read exactly as written."""

    value: Decimal | None = None
    currency: str | None = None


class Quantity(Part, frozen=True):
    """A number of units."""

    value: Decimal | None = None
    comparator: str | None = None
    unit: str | None = None
    code: str | None = None


class Period(Part, frozen=True):
    """From a day or instant to another, both inside."""

    start: str | None = None
    end: str | None = None


class HumanName(Part, frozen=True):
    """A name in its parts."""

    use: str | None = None
    family: str | None = None
    given: tuple[str | None, ...] = ()
    suffix: tuple[str | None, ...] = ()


class Address(Part, frozen=True):
    """A postal address."""

    line: tuple[str | None, ...] = ()
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Resource(Part, frozen=True, kw_only=True):
    """What every resource has. Rules its content is to be read by (`implicitRules`) are not known here."""

    resource_type: str
    id: str | None = None
    implicit_rules: None = None


class Qualification(Part, frozen=True):
    """What a practitioner is qualified for."""

    code: CodeableConcept | None = None


class Named(Resource, frozen=True):
    """Patient, Practitioner, Organization, RelatedPerson, PractitionerRole, Location, Coverage: whatever a reference may lead to. One
    structure for all: each uses the members it has."""

    identifier: tuple[Identifier, ...] = ()
    name: tuple[HumanName, ...] | str = ()
    birth_date: str | None = None
    gender: str | None = None
    deceased_date_time: str | None = None
    address: tuple[Address, ...] | Address = ()
    practitioner: Reference | None = None
    organization: Reference | None = None
    qualification: tuple[Qualification, ...] = ()
    specialty: tuple[CodeableConcept, ...] = ()
    type: tuple[CodeableConcept, ...] | CodeableConcept = ()


class CoverageClass(Part, frozen=True):
    """A grouping of the plan: group, plan and so on."""

    type: CodeableConcept | None = None
    value: str | None = None


class Coverage(Resource, frozen=True):
    """An insurance policy of the patient."""

    status: str | None = None
    identifier: tuple[Identifier, ...] = ()
    type: CodeableConcept | None = None
    subscriber: Reference | None = None
    subscriber_id: str | None = None
    beneficiary: Reference | None = None
    relationship: CodeableConcept | None = None
    payor: tuple[Reference, ...] = ()
    class_: tuple[CoverageClass, ...] = msgspec.field(default=(), name="class")
    period: Period | None = None
    order: int | None = None
    network: str | None = None


class Adjudication(Part, frozen=True):
    """One result of a payer: a category, why, and the amount."""

    category: CodeableConcept
    reason: CodeableConcept | None = None
    amount: Money | None = None
    value: Decimal | None = None


class AdjudicatedItem(Part, frozen=True):
    """What a payer said of an item."""

    item_sequence: int
    adjudication: tuple[Adjudication, ...] = ()


class Payment(Part, frozen=True):
    """What a payer paid."""

    amount: Money | None = None
    date: str | None = None


class Total(Part, frozen=True):
    """A sum by category."""

    category: CodeableConcept
    amount: Money


class ClaimResponse(Resource, frozen=True):
    """How another payer judged the claim."""

    identifier: tuple[Identifier, ...] = ()
    created: str | None = None
    adjudication: tuple[Adjudication, ...] = ()
    item: tuple[AdjudicatedItem, ...] = ()
    total: tuple[Total, ...] = ()
    payment: Payment | None = None


class Condition(Resource, frozen=True):
    """A diagnosis by reference."""

    code: CodeableConcept | None = None


class RelatedClaim(Part, frozen=True):
    """An earlier claim this one goes with."""

    claim: Reference | None = None
    relationship: CodeableConcept | None = None
    reference: Identifier | None = None


class Payee(Part, frozen=True):
    """Who is to be paid."""

    type: CodeableConcept


class CareTeam(Part, frozen=True):
    """A provider and its role."""

    sequence: int
    provider: Reference
    role: CodeableConcept | None = None
    qualification: CodeableConcept | None = None


class SupportingInfo(Part, frozen=True):
    """Whatever else belongs to the claim, by category."""

    sequence: int
    category: CodeableConcept
    code: CodeableConcept | None = None
    timing_date: str | None = None
    timing_period: Period | None = None
    value_string: str | None = None
    value_boolean: bool | None = None
    value_quantity: Quantity | None = None
    value_reference: Reference | None = None


class Diagnosis(Part, frozen=True):
    """A diagnosis."""

    sequence: int
    diagnosis_codeable_concept: CodeableConcept | None = None
    diagnosis_reference: Reference | None = None
    type: tuple[CodeableConcept, ...] = ()
    on_admission: CodeableConcept | None = None
    package_code: CodeableConcept | None = None


class Procedure(Part, frozen=True):
    """A procedure of a stay."""

    sequence: int
    type: tuple[CodeableConcept, ...] = ()
    date: str | None = None
    procedure_codeable_concept: CodeableConcept | None = None


class Insurance(Part, frozen=True):
    """A policy the claim is sent to (focal), or another of the patient."""

    sequence: int
    focal: bool
    coverage: Reference
    pre_auth_ref: tuple[str, ...] = ()
    claim_response: Reference | None = None


class Accident(Part, frozen=True):
    """An accident."""

    date: str
    type: CodeableConcept | None = None
    location_address: Address | None = None


class Detail(Part, frozen=True):
    """A part of an item: here, its drug."""

    sequence: int
    product_or_service: CodeableConcept
    quantity: Quantity | None = None
    unit_price: Money | None = None
    net: Money | None = None


class Item(Part, frozen=True):
    """A billed line."""

    sequence: int
    product_or_service: CodeableConcept
    care_team_sequence: tuple[int, ...] = ()
    diagnosis_sequence: tuple[int, ...] = ()
    information_sequence: tuple[int, ...] = ()
    revenue: CodeableConcept | None = None
    modifier: tuple[CodeableConcept, ...] = ()
    serviced_date: str | None = None
    serviced_period: Period | None = None
    location_codeable_concept: CodeableConcept | None = None
    quantity: Quantity | None = None
    unit_price: Money | None = None
    factor: Decimal | None = None
    net: Money | None = None
    body_site: CodeableConcept | None = None
    sub_site: tuple[CodeableConcept, ...] = ()
    detail: tuple[Detail, ...] = ()


class Claim(Resource, frozen=True, kw_only=True):
    """A claim, as FHIR has it."""

    status: str
    type: CodeableConcept
    use: str
    patient: Reference
    created: str
    provider: Reference
    insurance: tuple[Insurance, ...]
    identifier: tuple[Identifier, ...] = ()
    billable_period: Period | None = None
    insurer: Reference | None = None
    related: tuple[RelatedClaim, ...] = ()
    payee: Payee | None = None
    referral: Reference | None = None
    facility: Reference | None = None
    care_team: tuple[CareTeam, ...] = ()
    supporting_info: tuple[SupportingInfo, ...] = ()
    diagnosis: tuple[Diagnosis, ...] = ()
    procedure: tuple[Procedure, ...] = ()
    accident: Accident | None = None
    item: tuple[Item, ...] = ()
    total: Money | None = None


class Participant(Part, frozen=True):
    """Who takes part in an appointment."""

    actor: Reference | None = None


class Order(Resource, frozen=True, kw_only=True):
    """ServiceRequest, DeviceRequest or Appointment: what is ordered or booked. Each uses the members it has."""

    status: str | None = None
    subject: Reference | None = None
    do_not_perform: bool = False
    code: CodeableConcept | None = None
    code_codeable_concept: CodeableConcept | None = None
    service_type: tuple[CodeableConcept, ...] = ()
    quantity_quantity: Quantity | None = None
    occurrence_date_time: str | None = None
    occurrence_period: Period | None = None
    occurrence_timing: msgspec.Raw = msgspec.Raw()
    start: str | None = None
    participant: tuple[Participant, ...] = ()
    requester: Reference | None = None
    performer: tuple[Reference, ...] | Reference = ()
    location_code: tuple[CodeableConcept, ...] = ()
    reason_code: tuple[CodeableConcept, ...] = ()
    reason_reference: tuple[Reference, ...] = ()
    insurance: tuple[Reference, ...] = ()


class Entry(Part, frozen=True):
    """One resource of a Bundle."""

    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()


class Bundle(Resource, frozen=True):
    """Resources together."""

    entry: tuple[Entry, ...] = ()
