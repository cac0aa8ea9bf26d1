"""SQLModel tables of change control and audit. Registered beside those of tables.py; the migrations add the triggers."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Column, ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from rules_service.storage.tables import instant

OPEN_STATES = "state NOT IN ('published', 'rejected', 'withdrawn')"
"""A rule set has at most one change request in these states."""


class AuditEvent(SQLModel, table=True):
    """One link of the tenant's audit chain. Append-only; a fork cannot be stored, because a hash is followed once."""

    __tablename__ = "audit_event"
    __table_args__ = (
        UniqueConstraint("tenant_id", "prev_hash"),
        Index("ix_audit_event_object", "tenant_id", "object_type", "object_id"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    seq: int = Field(primary_key=True)
    actor: str
    action: str
    object_type: str
    object_id: str
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    prev_hash: str = Field(max_length=64)
    hash: str = Field(max_length=64)


class Draft(SQLModel, table=True):
    """The one working copy of a rule set: its files as canonical JSON, valid or not. `editors` since the last publication."""

    __tablename__ = "draft"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    rule_set_id: str = Field(primary_key=True, max_length=80)
    lock_version: int
    base_number: int
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    content_sha256: str = Field(max_length=64)
    editors: str
    updated_at: datetime = Field(sa_column=instant(nullable=False))


class RuleSetControl(SQLModel, table=True):
    """What a rule set's change requests need. Without a row, one approval, and a second one above SECOND_ABOVE_SHARE."""

    __tablename__ = "rule_set_control"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    rule_set_id: str = Field(primary_key=True, max_length=80)
    required_approvals: int
    second_above_share: str | None = None
    impact_required: bool = False


class ChangeRequest(SQLModel, table=True):
    """A proposed publication, bound to its content's hash and its review cycle. Triggers refuse a state its reviews do not carry."""

    __tablename__ = "change_request"
    __table_args__ = (
        Index(
            "ix_change_request_open",
            "tenant_id",
            "rule_set_id",
            unique=True,
            sqlite_where=text(OPEN_STATES),
            postgresql_where=text(OPEN_STATES),
        ),
        ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    change_request_id: str = Field(primary_key=True, max_length=40)
    rule_set_id: str = Field(max_length=80)
    kind: str
    title: str
    reason: str
    state: str
    review_cycle: int
    content_sha256: str = Field(max_length=64)
    base_number: int
    required_approvals: int
    retroactive_from: date | None = None
    scheduled_for: datetime | None = Field(default=None, sa_column=instant())
    failure_reason: str | None = None
    published_number: int | None = None
    published_epoch: int | None = None
    lock_version: int
    created_by: str
    created_at: datetime = Field(sa_column=instant(nullable=False))
    updated_at: datetime = Field(sa_column=instant(nullable=False))


class ChangeRequestAuthor(SQLModel, table=True):
    """A person whose work is in a change request, and who may therefore not review it. Append-only."""

    __tablename__ = "change_request_author"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "change_request_id"], ["change_request.tenant_id", "change_request.change_request_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    change_request_id: str = Field(primary_key=True, max_length=40)
    author: str = Field(primary_key=True, max_length=80)


class Review(SQLModel, table=True):
    """A verdict on one content in one review cycle. Append-only; never by an author."""

    __tablename__ = "review"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "change_request_id"], ["change_request.tenant_id", "change_request.change_request_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    change_request_id: str = Field(primary_key=True, max_length=40)
    review_cycle: int = Field(primary_key=True)
    reviewer: str = Field(primary_key=True, max_length=80)
    verdict: str
    content_sha256: str = Field(max_length=64)
    comment: str | None = None
    reviewed_at: datetime = Field(sa_column=instant(nullable=False))


class CheckRun(SQLModel, table=True):
    """What the checks and cases of a content came to under one engine version. Append-only."""

    __tablename__ = "check_run"
    __table_args__ = (
        Index("ix_check_run_content", "tenant_id", "content_sha256"),
        ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    check_run_id: str = Field(primary_key=True, max_length=40)
    rule_set_id: str = Field(max_length=80)
    content_sha256: str = Field(max_length=64)
    engine_version: str
    passed: bool
    report: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    run_by: str
    run_at: datetime = Field(sa_column=instant(nullable=False))


class Outbox(SQLModel, table=True):
    """What the outside is to hear of, written in the transaction it tells of. Holds ids, never PHI."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_delivered_at", "delivered_at"), ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]))
    tenant_id: str = Field(primary_key=True, max_length=64)
    outbox_id: str = Field(primary_key=True, max_length=40)
    event: str
    payload: str
    created_at: datetime = Field(sa_column=instant(nullable=False))
    delivered_at: datetime | None = Field(default=None, sa_column=instant())


class EditionProposal(SQLModel, table=True):
    """The edition of a reference table that a change request proposes, with its difference from the one before. Append-only."""

    __tablename__ = "edition_proposal"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "change_request_id"], ["change_request.tenant_id", "change_request.change_request_id"]),
        ForeignKeyConstraint(["tenant_id", "sha256"], ["blob.tenant_id", "blob.sha256"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    change_request_id: str = Field(primary_key=True, max_length=40)
    name: str = Field(max_length=80)
    edition: str = Field(max_length=80)
    coverage_from: date
    coverage_through: date | None = None
    sha256: str = Field(max_length=64)
    rows: int
    sources: str
    accepted_census: bool
    report: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
