"""Answers of the administration routes. Output models have no defaults: what is absent is written as null."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base: unknown members are a programming error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PayerAnswer(Answer):
    """A payer with the names and ids by which claims may call it."""

    payer_id: str
    name: str
    line_of_business: str | None
    parent: str | None
    aliases: dict[str, str]


class PayerList(Answer):
    """All payers."""

    data: list[PayerAnswer]


class PublicationAnswer(Answer):
    """A publication without its windows."""

    rule_set_id: str
    number: int
    catalog_epoch: int
    sha256: str
    published_at: datetime
    published_by: str


class WindowAnswer(Answer):
    """Which version of a rule applies from when to when, both days inclusive."""

    rule_id: str
    version: int
    sha256: str
    effective_from: date
    effective_through: date | None


class PublicationDetail(PublicationAnswer):
    """A publication with its windows, scope and tables."""

    title: str
    evidence: str
    scope: dict[str, Any]
    windows: list[WindowAnswer]
    tables: list[dict[str, str]]


class PublicationList(Answer):
    """Publications, newest first."""

    data: list[PublicationAnswer]


class RuleSetAnswer(Answer):
    """A rule set and its current publication."""

    rule_set_id: str
    title: str
    evidence: str
    scope: dict[str, Any]
    current: PublicationAnswer
    rules: int


class RuleSetList(Answer):
    """All rule sets."""

    data: list[RuleSetAnswer]


class KindAnswer(Answer):
    """A rule kind: its parameters as JSON Schema, its facts, the findings it can give."""

    name: str
    title: str
    levels: list[str]
    parameters: dict[str, Any]
    facts: list[dict[str, Any]]
    finding_codes: list[str]


class KindList(Answer):
    """All kinds."""

    data: list[KindAnswer]


class FactAnswer(Answer):
    """A fact a condition may name, with the operators it takes."""

    name: str
    type: str
    level: str
    description: str
    phi: bool
    operators: list[str]


class FactList(Answer):
    """The fact catalogue."""

    data: list[FactAnswer]


class FindingCodeAnswer(Answer):
    """A code a finding of the live rules can carry."""

    code: str
    title: str
    severity: str
    category: str
    rule_ids: list[str]


class FindingCodeList(Answer):
    """Every finding code that can be returned now."""

    data: list[FindingCodeAnswer]


class Capabilities(Answer):
    """What this service judges for the caller."""

    catalog_epoch: int
    engine_version: str
    claim_types: list[str]
    formats: list[str]
    payers: list[str]
    rule_sets: list[PublicationAnswer]
    reference_tables: list[str]
    limits: dict[str, int]
    not_evaluated_reasons: dict[str, str]


class EditionAnswer(Answer):
    """An edition of a reference table."""

    name: str
    edition: str
    catalog_epoch: int
    sha256: str
    coverage_from: date
    coverage_through: date | None
    rows: int
    partial: bool
    sources: list[dict[str, Any]]
    loaded_at: datetime
    loaded_by: str


class EditionList(Answer):
    """Editions, oldest coverage first."""

    data: list[EditionAnswer]


class TableAnswer(Answer):
    """A reference table this service knows."""

    name: str
    title: str
    mode: str
    editions: int


class TableList(Answer):
    """All reference tables."""

    data: list[TableAnswer]


class Health(Answer):
    """A plain yes."""

    status: str


class Version(Answer):
    """Release and engine version."""

    version: str
    engine_version: str


class ProposedEditionAnswer(Answer):
    """An edition under review: its census and its difference from the edition before, with samples of keys."""

    change_request_id: str
    name: str
    edition: str
    coverage_from: date
    coverage_through: date | None
    sha256: str
    rows: int
    sources: list[dict[str, Any]]
    accepted_census: bool
    difference: dict[str, Any]
