"""SQLModel tables of exceptions to what is published: emergencies (for everybody, for days). Registered beside those of tables.py."""

from __future__ import annotations

from datetime import datetime

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
