"""Repository of waivers. Every change raises the tenant's version of them, which an evaluation is held to when it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, func, insert, select, update

from rules_service.findings.waivers import Waiver, WaiverBook
from rules_service.primitives.errors import NotFound
from rules_service.storage import exception_tables as e
from rules_service.storage import tables as t

_waiver = t.core(e.Waiver)
_end = t.core(e.WaiverEnd)
_use = t.core(e.WaiverUse)
_tenant = t.core(t.Tenant)


@dataclass(frozen=True, slots=True)
class WaiverRecord:
    """A waiver with where it was made, its end if it was ended, and how often it marked a finding."""

    waiver: Waiver
    evaluation_id: str
    uses: int
    ended_by: str | None
    ended_at: datetime | None
    end_reason: str | None


def add(connection: Connection, tenant_id: str, waiver: Waiver, evaluation_id: str) -> None:
    """Store a waiver."""
    values = {name: getattr(waiver, name) for name in Waiver.__slots__}
    connection.execute(insert(_waiver).values(tenant_id=tenant_id, evaluation_id=evaluation_id, **values))
    _raise_version(connection, tenant_id)


def end(connection: Connection, tenant_id: str, waiver_id: str, reason: str, who: str, now: datetime) -> None:
    """End a waiver before its day."""
    connection.execute(insert(_end).values(tenant_id=tenant_id, waiver_id=waiver_id, reason=reason, ended_by=who, ended_at=now))
    _raise_version(connection, tenant_id)


def _raise_version(connection: Connection, tenant_id: str) -> None:
    connection.execute(update(_tenant).where(_tenant.c.tenant_id == tenant_id).values(waivers_version=_tenant.c.waivers_version + 1))


def _waiver_of(row: Any) -> Waiver:
    return Waiver(**{name: getattr(row, name) for name in Waiver.__slots__})


def _with_end(tenant_id: str) -> Select[Any]:
    joined = _waiver.outerjoin(_end, (_end.c.tenant_id == _waiver.c.tenant_id) & (_end.c.waiver_id == _waiver.c.waiver_id))
    used = (
        select(func.count()).where(_use.c.tenant_id == _waiver.c.tenant_id, _use.c.waiver_id == _waiver.c.waiver_id).correlate(_waiver)
    ).scalar_subquery()
    columns = (_waiver, _end.c.ended_by, _end.c.ended_at, _end.c.reason, used.label("uses"))
    return select(*columns).select_from(joined).where(_waiver.c.tenant_id == tenant_id)


def book(connection: Connection, tenant_id: str) -> WaiverBook:
    """The tenant's waivers that have not been ended."""
    version = connection.execute(select(_tenant.c.waivers_version).where(_tenant.c.tenant_id == tenant_id)).scalar()
    rows = connection.execute(_with_end(tenant_id).where(_end.c.ended_at.is_(None)).order_by(_waiver.c.waiver_id))
    return WaiverBook(int(version or 0), [_waiver_of(row) for row in rows])


def listed(connection: Connection, tenant_id: str, is_unused: bool | None, limit: int) -> list[WaiverRecord]:
    """Waivers, newest first; `is_unused`: only those that never marked a finding, or only the others."""
    query = _with_end(tenant_id)
    if is_unused is not None:
        used = exists().where(_use.c.tenant_id == _waiver.c.tenant_id, _use.c.waiver_id == _waiver.c.waiver_id)
        query = query.where(~used if is_unused else used)
    return [_record(row) for row in connection.execute(query.order_by(_waiver.c.waiver_id.desc()).limit(limit))]


def find(connection: Connection, tenant_id: str, waiver_id: str) -> WaiverRecord:
    """One waiver; NotFound also for another tenant's."""
    row = connection.execute(_with_end(tenant_id).where(_waiver.c.waiver_id == waiver_id)).first()
    if row is None:
        raise NotFound("no such waiver")
    return _record(row)


def _record(row: Any) -> WaiverRecord:
    return WaiverRecord(_waiver_of(row), row.evaluation_id, row.uses, row.ended_by, row.ended_at, row.reason)


def add_uses(connection: Connection, tenant_id: str, evaluation_id: str, waiver_ids: list[str]) -> None:
    """Store which waivers marked a finding of an evaluation, with the evaluation."""
    for waiver_id in sorted(set(waiver_ids)):
        connection.execute(insert(_use).values(tenant_id=tenant_id, waiver_id=waiver_id, evaluation_id=evaluation_id))
