"""Service lines (837 loop 2400) and what hangs on them."""

from __future__ import annotations

from datetime import date
from typing import Literal

from rules_service.claim.parties import Address, Adjustment, ClaimStruct, LineProviders
from rules_service.primitives.money import Money, Quantity

UnitBasis = Literal["UN", "MJ", "DA", "F2"]


class Drug(ClaimStruct, frozen=True):
    """Loop 2410: LIN03 and CTP04/05."""

    ndc: str | None = None
    quantity: Quantity | None = None
    unit: str | None = None
    prescription_number: str | None = None
    link_number: str | None = None


class Tooth(ClaimStruct, frozen=True):
    """TOO: tooth number and surfaces."""

    number: str
    surfaces: tuple[str, ...] = ()


class Prosthesis(ClaimStruct, frozen=True):
    """SV305 and DTP*441."""

    type: str | None = None
    prior_date: date | None = None


class DurableEquipment(ClaimStruct, frozen=True):
    """SV5."""

    rental_price: Money | None = None
    purchase_price: Money | None = None
    months: str | None = None


class Ambulance(ClaimStruct, frozen=True):
    """CR1, CRC*07, loops 2310E and 2310F; of a line 2420G and 2420H."""

    reason: str | None = None
    miles: str | None = None
    pickup: Address | None = None
    dropoff: Address | None = None
    conditions: tuple[str, ...] = ()


class PriorAdjudication(ClaimStruct, frozen=True):
    """Loop 2430: how another payer judged this line."""

    payer_id: str | None = None
    procedure_code: str | None = None
    modifiers: tuple[str, ...] = ()
    paid_amount: Money | None = None
    paid_units: Quantity | None = None
    bundled_line: int | None = None
    date: date | None = None
    remaining_liability_amount: Money | None = None
    adjustments: tuple[Adjustment, ...] = ()


class ServiceLine(ClaimStruct, frozen=True):
    """One billed service: SV1 (professional), SV2 (institutional), SV3 (dental)."""

    line_number: int
    charge_amount: Money
    line_control_number: str | None = None
    procedure_code: str | None = None
    modifiers: tuple[str, ...] = ()
    revenue_code: str | None = None
    description: str | None = None
    noncovered_amount: Money | None = None
    expected_amount: Money | None = None
    unit_basis: UnitBasis | None = None
    unit_count: Quantity | None = None
    service_from: date | None = None
    service_through: date | None = None
    place_of_service_code: str | None = None
    diagnosis_pointers: tuple[int, ...] = ()
    providers: LineProviders | None = None
    prior_authorization_number: str | None = None
    referral_number: str | None = None
    clia_number: str | None = None
    referring_clia_number: str | None = None
    emergency: str | None = None
    epsdt: str | None = None
    family_planning: str | None = None
    drug: Drug | None = None
    tooth: tuple[Tooth, ...] = ()
    oral_cavity: tuple[str, ...] = ()
    prosthesis: Prosthesis | None = None
    dme: DurableEquipment | None = None
    ambulance: Ambulance | None = None
    prior_adjudication: tuple[PriorAdjudication, ...] = ()
