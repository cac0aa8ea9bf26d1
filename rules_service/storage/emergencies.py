"""Repository of emergencies and their ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import Connection, insert, select

from rules_service.findings.finding import Severity
from rules_service.primitives.errors import NotFound
from rules_service.storage import exception_tables as e
from rules_service.storage import outbox
from rules_service.storage import tables as t
from rules_service.workflow.news import EmergencyDeclared, EmergencyEnded

_emergency = t.core(e.Emergency)
_end = t.core(e.EmergencyEnd)

How = Literal["expired", "ratified", "withdrawn"]


@dataclass(frozen=True, slots=True)
class EmergencyRecord:
    """An emergency; `severity` is what findings are held to, none when the rule is off; `how` and `ended_at` once it has ended."""

    emergency_id: str
    rule_set_id: str
    rule_id: str
    severity: Severity | None
    reason: str
    declared_by: str
    declared_at: datetime
    expires_at: datetime
    epoch: int
    how: How | None = None
    ended_by: str | None = None
    ended_at: datetime | None = None


def _query(tenant_id: str) -> Any:
    joined = _emergency.outerjoin(_end, (_end.c.tenant_id == _emergency.c.tenant_id) & (_end.c.emergency_id == _emergency.c.emergency_id))
    query = select(_emergency, _end.c.how, _end.c.ended_by, _end.c.ended_at).select_from(joined)
    return query.where(_emergency.c.tenant_id == tenant_id).order_by(_emergency.c.emergency_id)


def _record(row: Any) -> EmergencyRecord:
    return EmergencyRecord(**{name: getattr(row, name) for name in EmergencyRecord.__slots__})


def of_rule_set(connection: Connection, tenant_id: str, rule_set_id: str) -> list[EmergencyRecord]:
    """Every emergency of a rule set, oldest first."""
    return [_record(row) for row in connection.execute(_query(tenant_id).where(_emergency.c.rule_set_id == rule_set_id))]


def find(connection: Connection, tenant_id: str, emergency_id: str) -> EmergencyRecord:
    """One emergency; NotFound also for another tenant's."""
    row = connection.execute(_query(tenant_id).where(_emergency.c.emergency_id == emergency_id)).first()
    if row is None:
        raise NotFound("no such emergency")
    return _record(row)


def add(connection: Connection, tenant_id: str, record: EmergencyRecord) -> None:
    """Store a declared emergency and tell the outside."""
    names = [column.name for column in _emergency.columns if column.name != "tenant_id"]
    connection.execute(insert(_emergency).values(tenant_id=tenant_id, **{name: getattr(record, name) for name in names}))
    news = EmergencyDeclared(
        emergency_id=record.emergency_id, rule_set_id=record.rule_set_id, rule_id=record.rule_id, severity=record.severity,
        catalog_epoch=record.epoch,
    )  # fmt: skip
    outbox.send_out(connection, tenant_id, news, record.declared_at)


def end(connection: Connection, tenant_id: str, emergency_id: str, how: How, who: str, epoch: int, now: datetime) -> None:
    """Store how an emergency ended and tell the outside."""
    values = {"how": cast(str, how), "ended_by": who, "ended_at": now, "epoch": epoch}
    connection.execute(insert(_end).values(tenant_id=tenant_id, emergency_id=emergency_id, **values))
    record = find(connection, tenant_id, emergency_id)
    news = EmergencyEnded(emergency_id=emergency_id, rule_set_id=record.rule_set_id, rule_id=record.rule_id, how=how, catalog_epoch=epoch)
    outbox.send_out(connection, tenant_id, news, now)
