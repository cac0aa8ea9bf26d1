"""Repository of the audit log. An event is written in the transaction of the change it tells of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from rules_service.primitives.errors import NotFound
from rules_service.storage import governance_tables as g
from rules_service.storage import tables as t
from rules_service.workflow.audit_chain import Event, Link, event_body, link_hash

_tenant = t.core(t.Tenant)
_audit_event = t.core(g.AuditEvent)
_COLUMNS = ("actor", "action", "object_type", "object_id")
_PAGE = 1_000


def append(connection: Connection, tenant_id: str, now: datetime, told: Event) -> int:
    """Add an event to the tenant's chain; its number. The tenant row's lock keeps the chain a chain."""
    connection.execute(update(_tenant).where(_tenant.c.tenant_id == tenant_id).values(audit_seq=_tenant.c.audit_seq + 1))
    seq, prev_hash = head(connection, tenant_id)
    body = event_body(seq, now, told)
    hashed = link_hash(prev_hash, body)
    connection.execute(
        insert(_audit_event).values(
            tenant_id=tenant_id,
            seq=seq,
            body=body,
            prev_hash=prev_hash,
            hash=hashed,
            **{name: getattr(told, name) for name in _COLUMNS},
        )
    )
    connection.execute(update(_tenant).where(_tenant.c.tenant_id == tenant_id).values(audit_hash=hashed))
    return seq


def head(connection: Connection, tenant_id: str) -> tuple[int, str]:
    """(number, hash) of the last event; (0, GENESIS) before the first."""
    row = connection.execute(select(_tenant.c.audit_seq, _tenant.c.audit_hash).where(_tenant.c.tenant_id == tenant_id)).first()
    if row is None:
        raise NotFound("no such tenant")
    return row.audit_seq, row.audit_hash


def base(connection: Connection, tenant_id: str) -> tuple[int, str]:
    """(number, hash) of the last event that retention has cut off; (0, GENESIS) when there is none."""
    row = connection.execute(select(_tenant.c.audit_base_seq, _tenant.c.audit_base_hash).where(_tenant.c.tenant_id == tenant_id)).first()
    if row is None:
        raise NotFound("no such tenant")
    return row.audit_base_seq, row.audit_base_hash


def event(connection: Connection, tenant_id: str, seq: int) -> Link:
    """One event; NotFound when it is not there."""
    row = connection.execute(select(_audit_event).where(_audit_event.c.tenant_id == tenant_id, _audit_event.c.seq == seq)).first()
    if row is None:
        raise NotFound("no such event")
    return _link(row)


def _link(row: Any) -> Link:
    return Link(row.seq, row.prev_hash, row.hash, row.body, {name: getattr(row, name) for name in _COLUMNS})


def links(connection: Connection, tenant_id: str, after: int = 0) -> Iterator[Link]:
    """Every event after a number, in order, read in pages."""
    table = _audit_event.c
    while True:
        query = select(_audit_event).where(table.tenant_id == tenant_id, table.seq > after).order_by(table.seq).limit(_PAGE)
        rows = connection.execute(query).all()
        for row in rows:
            yield _link(row)
        if len(rows) < _PAGE:
            return
        after = rows[-1].seq


def events(
    connection: Connection,
    tenant_id: str,
    before: int | None,
    limit: int,
    actor: str | None = None,
    action: str | None = None,
    object_type: str | None = None,
    object_id: str | None = None,
) -> list[Link]:
    """Events newest first, below a number, that match what is given."""
    table = _audit_event.c
    query = select(_audit_event).where(table.tenant_id == tenant_id)
    if before is not None:
        query = query.where(table.seq < before)
    for column, wanted in (
        (table.actor, actor),
        (table.action, action),
        (table.object_type, object_type),
        (table.object_id, object_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    rows = connection.execute(query.order_by(table.seq.desc()).limit(limit))
    return [_link(row) for row in rows]
