"""Rule, rule version and manifest.

A version's content is everything that decides what it says, without dates, and is hashed. A manifest holds windows: which
version of which rule applies from which day to which, both inclusive. Ending a version is a new manifest, never an edit.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import msgspec

from rules_service.claim.claim import ClaimType
from rules_service.claim.parties import ClaimStruct
from rules_service.findings.finding import Category, Citation, Confidence, FixClass, RuleLayer, Severity
from rules_service.primitives.canonical import content_hash
from rules_service.primitives.dates import EffectivePeriod

Level = Literal["claim", "line", "line_pair"]
Stage = Literal["preview", "stable", "retired"]
PolicyDate = Literal["service_date", "service_through", "claim_from", "claim_through", "received_date"]


class FixTemplate(ClaimStruct, frozen=True):
    """A way out as the author words it. Only patches of format are made by the kinds themselves."""

    label: str
    class_: FixClass = msgspec.field(name="class")


class Prediction(ClaimStruct, frozen=True):
    """The payer's answer as the author predicts it; domain.md 2.15 is the seed."""

    outcome: Literal["rejection", "denial", "pend", "none"]
    group_code: str | None = None
    carc: str | None = None
    rarcs: tuple[str, ...] = ()
    claim_status: str | None = None
    appealable: bool | None = None
    patient_billable: bool | None = None


class FindingTemplate(ClaimStruct, frozen=True):
    """How a finding reads. In a rule of a kind, what is left out comes from the kind."""

    code: str | None = None
    title: str | None = None
    severity: Severity | None = None
    confidence: Confidence | None = None
    category: Category | None = None
    predicts: Prediction | None = None
    at: str | None = None
    message: str | None = None
    fixes: tuple[FixTemplate, ...] | None = None
    owner_role: str | None = None
    next_action: str | None = None


class RuleVersionContent(ClaimStruct, frozen=True):
    """The immutable content of a rule version, hashed without dates.

    `parameters` and `when` are plain data whose scalars are text, as the author wrote them; the kind gives them types.
    """

    rule_id: str
    name: str
    title: str
    kind: str
    level: Level
    category: str
    stage: Stage
    policy_date: PolicyDate
    required: bool = False
    claim_types: tuple[ClaimType, ...] = ()
    parameters: dict[str, Any] = {}
    when: Any = None
    finding: FindingTemplate | None = None
    findings: dict[str, FindingTemplate] = {}
    citations: tuple[Citation, ...] = ()
    override_reasons: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    extends: tuple[str, ...] = ()
    disables: tuple[str, ...] = ()
    reason: str | None = None

    def sha256(self) -> str:
        """Hash of the canonical bytes."""
        return content_hash(self)


class RuleSetScope(ClaimStruct, frozen=True):
    """Which claims a rule set speaks of; an empty list means any."""

    layer: RuleLayer
    payer_ids: tuple[str, ...] = ()
    lines_of_business: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    plan_ids: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    claim_types: tuple[ClaimType, ...] = ()


class Window(ClaimStruct, frozen=True):
    """One version applies from one day through another, both inclusive."""

    rule_id: str
    version: int
    sha256: str
    effective_from: date
    effective_through: date | None = None
    verified_on: date | None = None
    """The day its first source was last seen to say so."""
    reverify_by: date | None = None
    """The last day on which its sources count as known to be current; afterwards its findings are warnings."""

    @property
    def period(self) -> EffectivePeriod:
        """The window's days."""
        return EffectivePeriod(self.effective_from, self.effective_through)


class PackTablePin(ClaimStruct, frozen=True):
    """A table of the pack itself, by content."""

    name: str
    sha256: str


class EmergencyMeasure(ClaimStruct, frozen=True):
    """A rule switched off (no `severity`) or held to at most a severity, in every publication until the emergency ends."""

    emergency_id: str
    rule_id: str
    severity: Severity | None = None


class Manifest(ClaimStruct, frozen=True):
    """A rule set frozen at a publication."""

    rule_set_id: str
    title: str
    scope: RuleSetScope
    windows: tuple[Window, ...]
    tables: tuple[PackTablePin, ...] = ()
    evidence: str = msgspec.field(default_factory=lambda: "published_policy")
    emergencies: tuple[EmergencyMeasure, ...] = ()

    def sha256(self) -> str:
        """Hash of the canonical bytes."""
        return content_hash(self)

    def measures(self) -> dict[str, str]:
        """What emergencies do to rules, by their ids: `off`, or the severity their findings are held to."""
        return {one.rule_id: one.severity or "off" for one in self.emergencies}
