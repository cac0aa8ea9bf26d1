"""Findings are plain data. Shapes are those of the API (DESIGN 5)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

import msgspec

from rules_service.claim.locations import Location
from rules_service.claim.parties import ClaimStruct
from rules_service.primitives.money import Money

Severity = Literal["reject", "deny_hard", "deny_soft", "pend", "warn", "info"]
Confidence = Literal["certain", "likely", "possible"]
FixClass = Literal["auto_safe", "data_entry", "needs_documentation", "needs_payer_contact", "not_fixable"]
Category = Literal["administrative", "eligibility", "authorization", "coding", "clinical", "timely_filing", "duplicate", "payer_specific"]
RuleLayer = Literal["national", "payer", "product", "plan"]

SEVERITY_RANK: dict[str, int] = {"info": 0, "warn": 1, "pend": 2, "deny_soft": 3, "deny_hard": 4, "reject": 5}
"""Higher is worse."""


DENYING: frozenset[Severity] = frozenset({"deny_soft", "deny_hard"})
"""The payer takes the claim in and does not pay: what it rejects at the door is not denied."""


def leaves_open(not_evaluated: Mapping[str, Any]) -> bool:
    """Whether an entry of `not_evaluated`, as the API gives it, keeps a claim without findings from being called clean."""
    return bool(not_evaluated["required"]) or not_evaluated["reason"] == "payer_rules_missing"


def at_most(severity: Severity, cap: Severity | None) -> Severity:
    """The lower of two severities; the first when there is no cap."""
    return severity if cap is None or SEVERITY_RANK[severity] <= SEVERITY_RANK[cap] else cap


class FindingStruct(ClaimStruct, frozen=True, omit_defaults=False):
    """Base of answer parts: every field is written, also when null."""


class PredictedDenial(FindingStruct, frozen=True):
    """What the payer would send back: 835 group code, CARC, RARCs; 277CA status where the claim would be refused at the door."""

    outcome: Literal["rejection", "denial", "pend", "none"]
    group_code: str | None = None
    carc: str | None = None
    rarcs: tuple[str, ...] = ()
    claim_status: str | None = None
    appealable: bool | None = None
    patient_billable: bool = False


class PatchOperation(FindingStruct, frozen=True):
    """An RFC 6902 operation. A fix to an identifier leaves `value` out: it names the transformation in its place, or the place the identifier
    is moved or copied `from`."""

    op: Literal["add", "remove", "replace", "move", "copy"]
    path: str
    from_: str | msgspec.UnsetType = msgspec.field(name="from", default=msgspec.UNSET)
    value: Any = msgspec.UNSET
    transformation: str | None = None


class Fix(FindingStruct, frozen=True):
    """A way out. Only `auto_safe` may be applied without a person; it never changes a code, modifier, unit, diagnosis or date."""

    label: str
    class_: FixClass = msgspec.field(name="class")
    patch: tuple[PatchOperation, ...] | None = None


class Citation(FindingStruct, frozen=True):
    """The published text the rule rests on."""

    title: str
    url: str | None = None
    locator: str | None = None
    effective_from: date | None = None
    verified_on: date | None = None
    evidence: str = "published_policy"


class Finding(FindingStruct, frozen=True):
    """One rule's result in one place of one claim."""

    finding_id: str
    finding_key: str
    rule_id: str
    rule_version: int
    rule_kind: str
    rule_layer: RuleLayer
    code: str
    title: str
    severity: Severity
    blocking: bool
    confidence: Confidence
    category: Category
    line_numbers: tuple[int, ...]
    related_line_numbers: tuple[int, ...]
    message: str
    expected: dict[str, Any]
    actual: dict[str, Any]
    facts: dict[str, Any]
    location: Location
    predicted_denial: PredictedDenial | None
    amount_at_risk: Money
    fix_by: date | None
    days_remaining: int | None
    deadline_basis: str | None
    owner_role: str
    next_action: str
    fixes: tuple[Fix, ...]
    citation: Citation | None
    override_reasons: tuple[str, ...]
    waiver: dict[str, Any] | None = None
    suppresses: tuple[str, ...] = ()
    suppressed_by: str | None = None


class Bypassed(FindingStruct, frozen=True):
    """A rule that would have fired but for something the claim carries (a modifier, an exemption)."""

    rule_id: str
    code: str
    line_numbers: tuple[int, ...]
    by: str


class NotEvaluated(FindingStruct, frozen=True):
    """A rule that applies and could not be judged, why, and what to supply so that it can be."""

    rule_id: str
    code: str
    line_numbers: tuple[int, ...]
    reason: str
    required: bool
    supply: str | None = None
