"""Repository of what may be erased: claim bodies past their days, the beginning of the audit log; and of legal holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, not_, or_, select, update

from rules_service.primitives.errors import NotFound
from rules_service.storage import evidence_tables as ev
from rules_service.storage import governance_tables as g
from rules_service.storage import tables as t
from rules_service.storage.cipher import Sealed

_evaluation = t.core(t.Evaluation)
_body = t.core(t.ClaimBody)
_tenant = t.core(t.Tenant)
_event = t.core(g.AuditEvent)
_hold = t.core(ev.LegalHold)
_end = t.core(ev.LegalHoldEnd)


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """A legal hold: what is left out does not narrow it."""

    hold_id: str
    lineage_id: str | None
    payer_id: str | None
    evaluated_from: date | None
    evaluated_through: date | None
    reason: str
    placed_by: str
    placed_at: datetime
    released_by: str | None = None
    released_at: datetime | None = None


def add_hold(connection: Connection, tenant_id: str, record: HoldRecord) -> None:
    """Store a hold."""
    names = [column.name for column in _hold.columns if column.name != "tenant_id"]
    connection.execute(insert(_hold).values(tenant_id=tenant_id, **{name: getattr(record, name) for name in names}))


def release_hold(connection: Connection, tenant_id: str, hold_id: str, reason: str, who: str, now: datetime) -> None:
    """Store that a hold was released."""
    connection.execute(insert(_end).values(tenant_id=tenant_id, hold_id=hold_id, reason=reason, released_by=who, released_at=now))


def holds(connection: Connection, tenant_id: str, hold_id: str | None = None) -> list[HoldRecord]:
    """The holds of a tenant, oldest first; one of them when named, or NotFound."""
    joined = _hold.outerjoin(_end, (_end.c.tenant_id == _hold.c.tenant_id) & (_end.c.hold_id == _hold.c.hold_id))
    query = select(_hold, _end.c.released_by, _end.c.released_at).select_from(joined).where(_hold.c.tenant_id == tenant_id)
    if hold_id is not None:
        query = query.where(_hold.c.hold_id == hold_id)
    found = []
    for row in connection.execute(query.order_by(_hold.c.hold_id)):
        found.append(HoldRecord(**{name: getattr(row, name) for name in HoldRecord.__slots__}))
    if hold_id is not None and not found:
        raise NotFound("no such hold")
    return found


def has_lineage(connection: Connection, tenant_id: str, lineage_id: str) -> bool:
    """Whether any stored evaluation is of this claim."""
    query = select(_evaluation.c.evaluation_id).where(_evaluation.c.tenant_id == tenant_id, _evaluation.c.lineage_id == lineage_id)
    return connection.execute(query.limit(1)).first() is not None


def _is_held(standing: Sequence[HoldRecord]) -> list[ColumnElement[bool]]:
    """One condition on an evaluation for each hold."""
    conditions = []
    for hold in standing:
        parts: list[Any] = [_evaluation.c.tenant_id == _evaluation.c.tenant_id]
        if hold.lineage_id is not None:
            parts.append(_evaluation.c.lineage_id == hold.lineage_id)
        if hold.payer_id is not None:
            parts.append(_evaluation.c.payer_id == hold.payer_id)
        zone = hold.placed_at.tzinfo
        if hold.evaluated_from is not None:
            parts.append(_evaluation.c.evaluated_at >= datetime.combine(hold.evaluated_from, time.min, zone))
        if hold.evaluated_through is not None:
            parts.append(_evaluation.c.evaluated_at < datetime.combine(hold.evaluated_through + timedelta(days=1), time.min, zone))
        conditions.append(and_(*parts))
    return conditions


def _standing(connection: Connection, tenant_id: str) -> list[HoldRecord]:
    return [hold for hold in holds(connection, tenant_id) if hold.released_at is None]


def is_held(connection: Connection, tenant_id: str, evaluation_id: str) -> bool:
    """Whether a standing hold keeps the claim of an evaluation."""
    conditions = _is_held(_standing(connection, tenant_id))
    query = select(_evaluation.c.evaluation_id).where(_evaluation.c.tenant_id == tenant_id, _evaluation.c.evaluation_id == evaluation_id)
    return bool(conditions) and connection.execute(query.where(or_(*conditions))).first() is not None


def has_holds(connection: Connection, tenant_id: str) -> bool:
    """Whether any hold stands."""
    return bool(_standing(connection, tenant_id))


def expired_inputs(connection: Connection, tenant_id: str, cutoff: datetime, limit: int) -> list[str]:
    """Evaluations made before an instant whose claims are still there and not held."""
    joined = _body.join(
        _evaluation, (_evaluation.c.tenant_id == _body.c.tenant_id) & (_evaluation.c.evaluation_id == _body.c.evaluation_id)
    )
    query = select(_body.c.evaluation_id).select_from(joined).where(_body.c.tenant_id == tenant_id, _evaluation.c.evaluated_at < cutoff)
    conditions = _is_held(_standing(connection, tenant_id))
    if conditions:
        query = query.where(not_(or_(*conditions)))
    return list(connection.execute(query.order_by(_body.c.evaluation_id).limit(limit)).scalars())


def erase_inputs(connection: Connection, tenant_id: str, ids: Sequence[str]) -> int:
    """Erase the claims of evaluations; how many there were."""
    return connection.execute(delete(_body).where(_body.c.tenant_id == tenant_id, _body.c.evaluation_id.in_(ids))).rowcount


def bodies_by_key(connection: Connection) -> dict[str, int]:
    """How many claim bodies are sealed with each key, of all tenants."""
    rows = connection.execute(select(_body.c.key_id, func.count()).group_by(_body.c.key_id).order_by(_body.c.key_id))
    return {row[0]: row[1] for row in rows}


def bodies_of_other_keys(connection: Connection, tenant_id: str, key_id: str, limit: int) -> list[tuple[str, Sealed]]:
    """Claim bodies that are sealed with another key than this one."""
    query = select(_body).where(_body.c.tenant_id == tenant_id, _body.c.key_id != key_id).order_by(_body.c.evaluation_id).limit(limit)
    return [(row.evaluation_id, Sealed(row.key_id, row.nonce, row.ciphertext)) for row in connection.execute(query)]


def count_of_other_keys(connection: Connection, tenant_id: str, key_id: str) -> int:
    """How many there are."""
    return int(connection.execute(select(func.count()).where(_body.c.tenant_id == tenant_id, _body.c.key_id != key_id)).scalar() or 0)


def replace_bodies(connection: Connection, tenant_id: str, sealed: Sequence[tuple[str, Sealed]]) -> None:
    """Put other ciphertexts in the place of those of these evaluations; one erased meanwhile stays erased."""
    for evaluation_id, one in sealed:
        if erase_inputs(connection, tenant_id, [evaluation_id]):
            values = {"key_id": one.key_id, "nonce": one.nonce, "ciphertext": one.ciphertext}
            connection.execute(insert(_body).values(tenant_id=tenant_id, evaluation_id=evaluation_id, **values))


def cut_audit_log(connection: Connection, tenant_id: str, seq: int, hashed: str) -> int:
    """Erase the events up to one, whose number and hash become the base the rest is verified from; how many."""
    connection.execute(update(_tenant).where(_tenant.c.tenant_id == tenant_id).values(audit_base_seq=seq, audit_base_hash=hashed))
    return connection.execute(delete(_event).where(_event.c.tenant_id == tenant_id, _event.c.seq <= seq)).rowcount
