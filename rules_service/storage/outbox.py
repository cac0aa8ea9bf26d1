"""Repository of the outbox: what the outside is to hear of, written in the transaction it tells of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from rules_service.primitives.canonical import canonical_bytes
from rules_service.storage import governance_tables as g
from rules_service.storage import tables as t
from rules_service.storage.ids import new_id
from rules_service.workflow.news import NAMES, News

_outbox = t.core(g.Outbox)


@dataclass(frozen=True, slots=True)
class Message:
    """One event. `payload` is canonical JSON of what it carries."""

    tenant_id: str
    message_id: str
    event: str
    payload: bytes
    created_at: datetime


def send_out(connection: Connection, tenant_id: str, news: News, now: datetime, delivered_at: datetime | None = None) -> str:
    """Write an event in the caller's transaction; its id. With `delivered_at`, nobody but the caller passes it on."""
    message_id = new_id("ob")
    connection.execute(
        insert(_outbox).values(
            tenant_id=tenant_id, outbox_id=message_id, event=NAMES[type(news)], payload=canonical_bytes(msgspec.to_builtins(news)).decode(),
            created_at=now, delivered_at=delivered_at,
        )
    )  # fmt: skip
    return message_id


def has_waiting(connection: Connection) -> bool:
    """Whether any event has not been passed on."""
    return connection.execute(select(_outbox.c.outbox_id).where(_outbox.c.delivered_at.is_(None)).limit(1)).first() is not None


def waiting(connection: Connection, limit: int) -> list[Message]:
    """Events of all tenants that were not passed on, oldest first, locked; those another process has locked are left out."""
    query = select(_outbox).where(_outbox.c.delivered_at.is_(None)).order_by(_outbox.c.outbox_id).limit(limit)
    return [_message(row) for row in connection.execute(query.with_for_update(skip_locked=True))]


def passed_on(connection: Connection, message: Message, now: datetime) -> None:
    """Note that an event has its deliveries."""
    connection.execute(
        update(_outbox)
        .where(_outbox.c.tenant_id == message.tenant_id, _outbox.c.outbox_id == message.message_id)
        .values(delivered_at=now)
    )  # fmt: skip


def message(connection: Connection, tenant_id: str, message_id: str) -> Message:
    """One event that a delivery names."""
    query = select(_outbox).where(_outbox.c.tenant_id == tenant_id, _outbox.c.outbox_id == message_id)
    return _message(connection.execute(query).one())


def forget(connection: Connection, tenant_id: str, before: datetime) -> None:
    """Delete events passed on before an instant; their deliveries must be gone."""
    connection.execute(delete(_outbox).where(_outbox.c.tenant_id == tenant_id, _outbox.c.delivered_at < before))


def _message(row: object) -> Message:
    return Message(row.tenant_id, row.outbox_id, row.event, row.payload.encode(), row.created_at)  # type: ignore[attr-defined]
