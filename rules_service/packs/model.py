"""Files of a pack, as structures. Their JSON Schemas are generated from here; unknown keys are refused."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import msgspec

from rules_service.claim.claim import ClaimType
from rules_service.claim.parties import ClaimStruct
from rules_service.rules.rule import FindingTemplate, Level, PolicyDate, RuleSetScope, Stage

Evidence = Literal["published_policy", "contract", "observed_denials", "payer_contact", "illustrative"]
PackTableKind = Literal[
    "authorization_list",
    "code_classes",
    "unit_limits",
    "code_pairs",
    "modifier_requirements",
    "benefit_rules",
    "frequency_limits",
    "age_sex_limits",
    "coverage_policies",
    "coverage_diagnoses",
    "provider_roster",
]


class Source(ClaimStruct, frozen=True):
    """A cited document, once per pack."""

    id: str
    title: str
    url: str | None = None
    verified_on: date | None = None
    reverify_by: date | None = None
    evidence: Evidence | None = None
    """What it is where that is another than the pack's."""


class PayerFile(ClaimStruct, frozen=True):
    """A payer with the ids and names by which claims call it."""

    payer_id: str
    name: str
    line_of_business: str | None = None
    aliases: tuple[str, ...] = ()
    clearinghouse_ids: dict[str, str] = {}
    parent: str | None = None


class PackTable(ClaimStruct, frozen=True):
    """A CSV of the pack, with effective dates per row. `partial`: it is an extract of the published list; of a code it does not hold
    nothing is known. `excerpt`: it is one too, answers as a whole list does, and answers to claims name it (`coverage.excerpts`)."""

    name: str
    kind: PackTableKind
    file: str
    partial: bool = False
    excerpt: bool = False


class PackFile(ClaimStruct, frozen=True):
    """pack.yaml."""

    id: str
    title: str
    evidence: Evidence
    scope: RuleSetScope
    description: str
    payers: tuple[PayerFile, ...] = ()
    sources: tuple[Source, ...] = ()
    tables: tuple[PackTable, ...] = ()


class CitationRef(ClaimStruct, frozen=True):
    """A source of the pack and the place in it."""

    source: str
    locator: str | None = None


class VersionFile(ClaimStruct, frozen=True, kw_only=True):
    """One version in rule.yaml."""

    version: int
    effective_from: date
    effective_through: date | None = None
    reason: str
    citations: tuple[CitationRef, ...] = ()
    parameters: dict[str, Any] = {}
    when: Any = None
    finding: FindingTemplate | None = None
    findings: dict[str, FindingTemplate] = {}


class RuleScope(ClaimStruct, frozen=True):
    """Which claims, and which of their dates picks the version."""

    claim_types: tuple[ClaimType, ...] = ()
    policy_date: PolicyDate | None = None


class RuleFile(ClaimStruct, frozen=True):
    """rule.yaml: versions newest first; a published version is never edited."""

    id: str
    name: str
    title: str
    kind: str
    category: str
    level: Level
    stage: Stage
    versions: tuple[VersionFile, ...]
    required: bool = False
    scope: RuleScope | None = None
    overrides: tuple[str, ...] = ()
    extends: tuple[str, ...] = ()
    disables: tuple[str, ...] = ()
    override_reasons: tuple[str, ...] = ()


class ExpectedFinding(ClaimStruct, frozen=True):
    """What a case expects of the rule under test; what is left out is not compared."""

    code: str | None = None
    version: int | None = None
    lines: tuple[int, ...] | None = None
    severity: str | None = None
    carc: str | None = None
    rarcs: tuple[str, ...] | None = None


class CaseFile(ClaimStruct, frozen=True):
    """One case: the base claim with changes, and what the rule must say. An empty `expect` means it must not fire.

    `beside` names other rules of the pack that judge the claim too, for what turns on the denial of another line.
    """

    name: str
    expect: tuple[ExpectedFinding, ...]
    service_date: date | None = None
    received_at: str | None = None
    claim: dict[str, Any] = {}
    lines: tuple[dict[str, Any], ...] = ()
    bypassed: tuple[str, ...] | None = None
    not_evaluated: tuple[str, ...] | None = None
    beside: tuple[str, ...] = ()


class CasesFile(ClaimStruct, frozen=True):
    """cases.yaml."""

    rule: str
    base: str
    cases: tuple[CaseFile, ...]


class LockedVersion(ClaimStruct, frozen=True):
    """A published version by content."""

    rule: str
    version: int
    sha256: str


class LockFile(ClaimStruct, frozen=True):
    """lock.yaml."""

    versions: tuple[LockedVersion, ...] = msgspec.field(default_factory=tuple)


def plain(value: ClaimStruct) -> dict[str, Any]:
    """A structure as plain data in field order, every scalar as text: what `dump` writes."""
    return _text(msgspec.to_builtins(value))  # type: ignore[no-any-return]


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _text(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_text(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
