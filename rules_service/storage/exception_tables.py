"""SQLModel tables of exceptions to what is published: emergencies (for everybody, for days) and waivers (of one finding, or of
a payer, code and provider). Registered beside those of tables.py."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from rules_service.storage.tables import instant


class Emergency(SQLModel, table=True):
    """A rule switched off or held to a severity at once. Append-only; its end is a row of its own."""

    __tablename__ = "emergency"
    __table_args__ = (
        Index("ix_emergency_rule_set", "tenant_id", "rule_set_id"),
        ForeignKeyConstraint(["tenant_id", "epoch"], ["catalog_epoch.tenant_id", "catalog_epoch.epoch"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    emergency_id: str = Field(primary_key=True, max_length=40)
    rule_set_id: str = Field(max_length=80)
    rule_id: str = Field(max_length=80)
    severity: str | None = None
    reason: str
    declared_by: str
    declared_at: datetime = Field(sa_column=instant(nullable=False))
    expires_at: datetime = Field(sa_column=instant(nullable=False))
    epoch: int


class EmergencyEnd(SQLModel, table=True):
    """How an emergency ended: `expired`, `ratified` by a publication that changed the rule, or `withdrawn`. Append-only."""

    __tablename__ = "emergency_end"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "emergency_id"], ["emergency.tenant_id", "emergency.emergency_id"]),
        ForeignKeyConstraint(["tenant_id", "epoch"], ["catalog_epoch.tenant_id", "catalog_epoch.epoch"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    emergency_id: str = Field(primary_key=True, max_length=40)
    how: str
    ended_by: str
    ended_at: datetime = Field(sa_column=instant(nullable=False))
    epoch: int


class Waiver(SQLModel, table=True):
    """A person's recorded choice to pass a finding: of one claim (`finding`), or of a payer, code and billing provider (`standing`).
    Append-only; it holds until its day unless it is ended before."""

    __tablename__ = "waiver"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "evaluation_id"], ["evaluation.tenant_id", "evaluation.evaluation_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    waiver_id: str = Field(primary_key=True, max_length=40)
    scope: str
    evaluation_id: str = Field(max_length=40)
    rule_id: str = Field(max_length=80)
    code: str
    lineage_id: str | None = Field(default=None, max_length=40)
    finding_key: str | None = Field(default=None, max_length=40)
    payer_id: str | None = Field(default=None, max_length=80)
    billing_npi: str | None = Field(default=None, max_length=20)
    reason_code: str
    waived_by: str
    on_behalf_of: str | None = None
    waived_at: datetime = Field(sa_column=instant(nullable=False))
    expires_on: date


class WaiverEnd(SQLModel, table=True):
    """A waiver ended before its day. Append-only."""

    __tablename__ = "waiver_end"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "waiver_id"], ["waiver.tenant_id", "waiver.waiver_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    waiver_id: str = Field(primary_key=True, max_length=40)
    reason: str
    ended_by: str
    ended_at: datetime = Field(sa_column=instant(nullable=False))


class WaiverUse(SQLModel, table=True):
    """An evaluation in which a waiver marked a finding; stored with the evaluation. Append-only."""

    __tablename__ = "waiver_use"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "waiver_id"], ["waiver.tenant_id", "waiver.waiver_id"]),
        ForeignKeyConstraint(["tenant_id", "evaluation_id"], ["evaluation.tenant_id", "evaluation.evaluation_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    waiver_id: str = Field(primary_key=True, max_length=40)
    evaluation_id: str = Field(primary_key=True, max_length=40)
