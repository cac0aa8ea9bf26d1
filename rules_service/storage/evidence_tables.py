"""SQLModel tables of evidence: findings by rule, the Merkle seals over evaluations, legal holds. Registered beside those of tables.py."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKeyConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from rules_service.storage.tables import instant


class FindingEntry(SQLModel, table=True):
    """A finding, or what a preview rule would have found, for questions by rule. Written when its evaluation is sealed. Append-only."""

    __tablename__ = "finding_entry"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "evaluation_id"], ["evaluation.tenant_id", "evaluation.evaluation_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    rule_id: str = Field(primary_key=True, max_length=80)
    evaluation_id: str = Field(primary_key=True, max_length=40)
    number: int = Field(primary_key=True)
    rule_version: int
    code: str
    severity: str
    finding_key: str = Field(max_length=40)
    cents_at_risk: int
    is_preview: bool


class Seal(SQLModel, table=True):
    """A Merkle root over a batch of evaluations, chained to the seal before and signed. Append-only; a fork cannot be stored."""

    __tablename__ = "seal"
    __table_args__ = (UniqueConstraint("tenant_id", "prev_hash"), ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]))
    tenant_id: str = Field(primary_key=True, max_length=64)
    number: int = Field(primary_key=True)
    leaves: int
    root: str = Field(max_length=64)
    prev_hash: str = Field(max_length=64)
    hash: str = Field(max_length=64)
    sealed_at: datetime = Field(sa_column=instant(nullable=False))
    public_key: str
    signature: str


class SealLeaf(SQLModel, table=True):
    """The place of an evaluation in its seal, and its leaf hash. Append-only."""

    __tablename__ = "seal_leaf"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number", "position"),
        ForeignKeyConstraint(["tenant_id", "evaluation_id"], ["evaluation.tenant_id", "evaluation.evaluation_id"]),
        ForeignKeyConstraint(["tenant_id", "number"], ["seal.tenant_id", "seal.number"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    evaluation_id: str = Field(primary_key=True, max_length=40)
    number: int
    position: int
    hash: str = Field(max_length=64)


class LegalHold(SQLModel, table=True):
    """Claims that must not be erased: of one claim's lineage, or of a payer and days of evaluation. Append-only."""

    __tablename__ = "legal_hold"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    hold_id: str = Field(primary_key=True, max_length=40)
    lineage_id: str | None = Field(default=None, max_length=40)
    payer_id: str | None = Field(default=None, max_length=80)
    evaluated_from: date | None = None
    evaluated_through: date | None = None
    reason: str
    placed_by: str
    placed_at: datetime = Field(sa_column=instant(nullable=False))


class LegalHoldEnd(SQLModel, table=True):
    """A hold that was released. Append-only."""

    __tablename__ = "legal_hold_end"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "hold_id"], ["legal_hold.tenant_id", "legal_hold.hold_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    hold_id: str = Field(primary_key=True, max_length=40)
    reason: str
    released_by: str
    released_at: datetime = Field(sa_column=instant(nullable=False))
