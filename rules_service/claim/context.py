"""What the submitter knows besides the claim: history, authorizations, eligibility.

Here `null` (or left out) means *not known* and `[]` means *known to be none*; rules answer `not_evaluated` to the first.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

import msgspec

from rules_service.claim.parties import ClaimStruct
from rules_service.primitives.money import Money, Quantity


class HistoryLine(ClaimStruct, frozen=True):
    """A service line of an earlier claim, as far as edits look at it."""

    line_number: int | None = None
    procedure_code: str | None = None
    modifiers: tuple[str, ...] = ()
    revenue_code: str | None = None
    unit_basis: Literal["UN", "MJ", "DA", "F2"] | None = None
    unit_count: Quantity | None = None
    charge_amount: Money | None = None
    service_from: date | None = None
    service_through: date | None = None
    place_of_service_code: str | None = None
    diagnosis_codes: tuple[str, ...] = ()
    rendering_npi: str | None = None
    billing_npi: str | None = None
    taxonomy_code: str | None = None
    prior_authorization_number: str | None = None


class HistoryEntry(ClaimStruct, frozen=True):
    """One line of one earlier claim of this patient."""

    line: HistoryLine
    claim_id: str | None = None
    payer_claim_control_number: str | None = None
    status: Literal["accepted", "rejected", "denied", "paid", "pending"] | None = None
    payer_id: str | None = None


class Authorization(ClaimStruct, frozen=True):
    """A prior authorization as the payer (278) or the submitter's record states it. `codes` empty means: not stated."""

    number: str
    status: str | None = None
    payer_id: str | None = None
    member_id: str | None = None
    codes: tuple[str, ...] = ()
    units_approved: Quantity | None = None
    units_used: Quantity | None = None
    from_: date | None = msgspec.field(default=None, name="from")
    through: date | None = None
    providers: tuple[str, ...] = ()
    level_of_care: str | None = None
    verified_at: datetime | None = None


INACTIVE = frozenset({"inactive", "terminated", "cancelled", "canceled", "6", "7", "8"})
"""Statuses of a span that is not in force, as words or as X12 271 EB01."""


class CoverageSpan(ClaimStruct, frozen=True):
    """A dated span of coverage or of a benefit state."""

    from_: date | None = msgspec.field(default=None, name="from")
    through: date | None = None
    status: str | None = None
    plan_id: str | None = None
    product: str | None = None

    def spans(self, day: date) -> bool:
        """Whether a day lies between its dates, whatever its status."""
        return (self.from_ is None or self.from_ <= day) and (self.through is None or day <= self.through)

    def holds(self, day: date) -> bool:
        """Whether it is in force on a day, as far as is said: one without a status is."""
        return self.spans(day) and (self.status or "").casefold().strip() not in INACTIVE


class BenefitRemaining(ClaimStruct, frozen=True):
    """An accumulator the payer reported (271 EB)."""

    service_type: str | None = None
    procedure_code: str | None = None
    period: str | None = None
    quantity: Quantity | None = None
    amount: Money | None = None


class Eligibility(ClaimStruct, frozen=True):
    """What the last eligibility answer (271) said."""

    checked_at: datetime | None = None
    spans: tuple[CoverageSpan, ...] | None = None
    benefits_remaining: tuple[BenefitRemaining, ...] | None = None
    other_coverage: tuple[CoverageSpan, ...] | None = None
    grace_month: int | None = None
    hospice: tuple[CoverageSpan, ...] | None = None
    skilled_nursing: tuple[CoverageSpan, ...] | None = None
    home_health: tuple[CoverageSpan, ...] | None = None
    medicare_advantage_plan: str | None = None


class GoldCard(ClaimStruct, frozen=True):
    """A provider exempt from prior authorization for some codes in a span; `codes` empty means: every code."""

    npi: str
    payer_id: str | None = None
    codes: tuple[str, ...] = ()
    from_: date | None = msgspec.field(default=None, name="from")
    through: date | None = None


class ClaimContext(ClaimStruct, frozen=True):
    """Everything known besides the claim; each part may be unknown."""

    history: tuple[HistoryEntry, ...] | None = None
    authorizations: tuple[Authorization, ...] | None = None
    eligibility: Eligibility | None = None
    gold_cards: tuple[GoldCard, ...] | None = None
    mac_jurisdiction: str | None = None
