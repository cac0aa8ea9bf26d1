"""SQLModel tables of advice given before a service: cards shown through CDS Hooks, and what clinicians did with them. Registered beside those of
tables.py. Nothing of the patient is in them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from rules_service.storage.tables import instant


class AdviceCard(SQLModel, table=True):
    """A card as it was shown: the rule that said it, and its finding code or, without a finding, what was told. Append-only."""

    __tablename__ = "advice_card"
    __table_args__ = (Index("ix_advice_card_rule", "tenant_id", "rule_id"), ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]))
    tenant_id: str = Field(primary_key=True, max_length=64)
    card_id: str = Field(primary_key=True, max_length=40)
    hook: str = Field(max_length=40)
    rule_id: str = Field(max_length=80)
    rule_version: int
    code: str = Field(max_length=80)
    indicator: str = Field(max_length=10)
    override_reasons: str = ""
    client_id: str = Field(max_length=40)
    shown_at: datetime = Field(sa_column=instant(nullable=False))


class AdviceFeedback(SQLModel, table=True):
    """What became of a card: `accepted` or `overridden`, with the reason by its code, and the positions of the fixes taken (`0,2`). Append-only."""

    __tablename__ = "advice_feedback"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "card_id"], ["advice_card.tenant_id", "advice_card.card_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    feedback_id: str = Field(primary_key=True, max_length=40)
    card_id: str = Field(max_length=40)
    outcome: str = Field(max_length=12)
    reason_code: str | None = Field(default=None, max_length=80)
    fixes_taken: str | None = Field(default=None, max_length=80)
    client_id: str = Field(max_length=40)
    received_at: datetime = Field(sa_column=instant(nullable=False))
