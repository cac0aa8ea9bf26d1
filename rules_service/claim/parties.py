"""People, organisations and places on a claim (837 loops 2010, 2310, 2420)."""

from __future__ import annotations

from datetime import date

import msgspec

from rules_service.primitives.money import Money


class ClaimStruct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Base of every claim part: immutable, unknown fields refused, absent fields not written."""


class Address(ClaimStruct, frozen=True):
    """N3/N4."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    country: str | None = None


class Provider(ClaimStruct, frozen=True):
    """A person (`entity_type` 1) or organisation (2) in a role (NM1, PRV, REF)."""

    entity_type: str | None = None
    npi: str | None = None
    tax_id: str | None = None
    taxonomy_code: str | None = None
    last_or_organization_name: str | None = None
    first_name: str | None = None
    address: Address | None = None


class LineProviders(ClaimStruct, frozen=True):
    """Providers of one service line (loop 2420); a role given here overrides the claim's."""

    rendering: Provider | None = None
    referring: Provider | None = None
    ordering: Provider | None = None
    supervising: Provider | None = None
    operating: Provider | None = None
    other_operating: Provider | None = None
    assistant_surgeon: Provider | None = None
    purchased_service: Provider | None = None
    service_facility: Provider | None = None


class ClaimProviders(ClaimStruct, frozen=True):
    """Providers of the claim (loops 2010AA and 2310). Rendering is left out when it equals billing."""

    billing: Provider
    rendering: Provider | None = None
    referring: Provider | None = None
    ordering: Provider | None = None
    supervising: Provider | None = None
    attending: Provider | None = None
    operating: Provider | None = None
    other_operating: Provider | None = None
    assistant_surgeon: Provider | None = None
    purchased_service: Provider | None = None
    service_facility: Provider | None = None


class Person(ClaimStruct, frozen=True):
    """Subscriber or patient (2010BA, 2010CA). `relationship_code` as SBR02/PAT01: 18 is self."""

    member_id: str | None = None
    relationship_code: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    last_name: str | None = None
    suffix: str | None = None
    birth_date: date | None = None
    death_date: date | None = None
    sex: str | None = None
    address: Address | None = None


class Payer(ClaimStruct, frozen=True):
    """Destination payer (2010BB) with what the submitter knows of the plan."""

    payer_id: str
    name: str | None = None
    line_of_business: str | None = None
    claim_filing_indicator_code: str | None = None
    plan_id: str | None = None
    product: str | None = None
    group_number: str | None = None
    state: str | None = None
    network_status: str | None = None
    msp_type_code: str | None = None


class Adjustment(ClaimStruct, frozen=True):
    """One CAS triplet: group code, CARC, amount."""

    group_code: str
    carc: str
    amount: Money
    quantity: str | None = None


class OtherPayer(ClaimStruct, frozen=True):
    """Another payer of the same patient (loops 2320, 2330): AMT*D paid, A8 not covered, EAF left to the patient, OI03 and OI06."""

    payer_id: str | None = None
    responsibility: str | None = None
    claim_filing_indicator_code: str | None = None
    msp_type_code: str | None = None
    subscriber: Person | None = None
    paid_amount: Money | None = None
    noncovered_amount: Money | None = None
    remaining_liability_amount: Money | None = None
    benefits_assigned: str | None = None
    release_code: str | None = None
    adjudication_date: date | None = None
    payer_claim_control_number: str | None = None
    adjustments: tuple[Adjustment, ...] = ()
    remarks: tuple[str, ...] = ()
