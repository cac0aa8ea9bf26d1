"""SQLModel tables of webhooks: where events are sent, and what became of each. Registered beside those of tables.py."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, ForeignKeyConstraint, Index, LargeBinary
from sqlmodel import Field, SQLModel

from rules_service.storage.tables import instant


class WebhookEndpoint(SQLModel, table=True):
    """A receiver of events. `events` are names with spaces between; secrets are sealed as claims are, the earlier one for a day after a rotation.
    The request that made it, by its idempotency key and the hash of its body, makes no other."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (
        Index("ix_webhook_endpoint_request", "tenant_id", "created_by", "request_key", unique=True),
        ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    endpoint_id: str = Field(primary_key=True, max_length=40)
    url: str = Field(max_length=2_000)
    events: str
    description: str = Field(max_length=200)
    state: str
    state_reason: str | None = None
    secret_key_id: str
    secret_nonce: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    secret_ciphertext: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    earlier_key_id: str | None = None
    earlier_nonce: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    earlier_ciphertext: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    earlier_until: datetime | None = Field(default=None, sa_column=instant())
    lock_version: int
    created_by: str
    created_at: datetime = Field(sa_column=instant(nullable=False))
    updated_at: datetime = Field(sa_column=instant(nullable=False))
    request_key: str | None = Field(default=None, max_length=255)
    request_sha256: str | None = Field(default=None, max_length=64)


class WebhookDelivery(SQLModel, table=True):
    """One event on its way to one endpoint. `due_at` is when it is tried next; while it is tried, when it counts as left."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("ix_webhook_delivery_due", "state", "due_at"),
        ForeignKeyConstraint(["tenant_id", "endpoint_id"], ["webhook_endpoint.tenant_id", "webhook_endpoint.endpoint_id"]),
        ForeignKeyConstraint(["tenant_id", "outbox_id"], ["outbox.tenant_id", "outbox.outbox_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    endpoint_id: str = Field(primary_key=True, max_length=40)
    outbox_id: str = Field(primary_key=True, max_length=40)
    state: str
    attempts: int
    due_at: datetime = Field(sa_column=instant(nullable=False))
    last_attempt_at: datetime | None = Field(default=None, sa_column=instant())
    last_status: int | None = None
    last_failure: str | None = None
    delivered_at: datetime | None = Field(default=None, sa_column=instant())
