"""Repository of stored evaluations: rows to write, and reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from rules_service.findings.waivers import Waiver
from rules_service.primitives.errors import NotFound
from rules_service.storage import tables as t
from rules_service.storage.bulk import BulkInsert
from rules_service.storage.cipher import Sealed
from rules_service.storage.waivers import add_uses

_evaluation = t.core(t.Evaluation)
_claim_body = t.core(t.ClaimBody)
_pin_set = t.core(t.PinSet)
_idempotency_record = t.core(t.IdempotencyRecord)
_tenant = t.core(t.Tenant)
_insert_evaluations = BulkInsert(_evaluation)
_insert_bodies = BulkInsert(_claim_body)
_insert_keys = BulkInsert(_idempotency_record)


@dataclass(slots=True)
class EvaluationRow:
    """One evaluation to store, with everything that goes into the same transaction."""

    tenant_id: str
    evaluation_id: str
    lineage_id: str
    evaluated_at: datetime
    client_id: str
    payer_id: str
    claim_type: str
    outcome: str
    catalog_epoch: int
    input_sha256: str
    pins_sha256: str
    pins: bytes
    body: bytes
    preview: bytes | None
    sealed: Sealed
    control_hash: str
    waivers_version: int
    waivers: dict[str, Waiver]
    """Waived findings by key: the overlay of the answer, and a use of each waiver."""
    idempotency_key: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class StoredEvaluation:
    """An evaluation as stored: without the control number, which is PHI and stands in the sealed claim."""

    evaluation_id: str
    catalog_epoch: int
    payer_id: str
    body: bytes
    sealed: Sealed | None


def insert_rows(connection: Connection, rows: list[EvaluationRow], known_pins: set[tuple[str, str]]) -> None:
    """Store a batch in the caller's transaction, with few statements a table."""
    new_pins = {(row.tenant_id, row.pins_sha256): row.pins for row in rows if (row.tenant_id, row.pins_sha256) not in known_pins}
    for (tenant_id, sha256), body in sorted(new_pins.items()):
        known = select(_pin_set.c.sha256).where(_pin_set.c.tenant_id == tenant_id, _pin_set.c.sha256 == sha256)
        if connection.execute(known).first() is None:
            connection.execute(insert(_pin_set).values(tenant_id=tenant_id, sha256=sha256, body=body))
    _insert_evaluations(connection, [[getattr(row, name) for name in _insert_evaluations.columns] for row in rows])
    _insert_bodies(
        connection, [(row.tenant_id, row.evaluation_id, row.sealed.key_id, row.sealed.nonce, row.sealed.ciphertext) for row in rows]
    )
    for row in rows:
        if row.waivers:
            add_uses(connection, row.tenant_id, row.evaluation_id, [one.waiver_id for one in row.waivers.values()])
    keyed = [row for row in rows if row.idempotency_key is not None]
    if keyed:
        _insert_keys(
            connection,
            [(row.tenant_id, row.client_id, row.idempotency_key, row.fingerprint, row.evaluation_id, row.evaluated_at) for row in keyed],
        )


def standing_versions(connection: Connection, tenant_ids: set[str]) -> dict[str, tuple[int, int]]:
    """(catalog epoch, version of the waivers) of tenants, held until the transaction ends: a publication waits for it, so none slips in before the commit."""
    rows = connection.execute(
        select(_tenant.c.tenant_id, _tenant.c.catalog_epoch, _tenant.c.waivers_version)
        .where(_tenant.c.tenant_id.in_(sorted(tenant_ids)))
        .with_for_update(read=True)
    )
    return {row.tenant_id: (row.catalog_epoch, row.waivers_version) for row in rows}


def find_idempotent(connection: Connection, tenant_id: str, client_id: str, key: str) -> tuple[str, str] | None:
    """(fingerprint, evaluation id) an idempotency key gave before."""
    columns = _idempotency_record.c
    row = connection.execute(
        select(columns.fingerprint, columns.evaluation_id).where(
            columns.tenant_id == tenant_id, columns.client_id == client_id, columns.key == key
        )
    ).first()
    return None if row is None else (row.fingerprint, row.evaluation_id)


def read_evaluation(connection: Connection, tenant_id: str, evaluation_id: str) -> StoredEvaluation:
    """The evaluation, with its sealed claim unless that was erased; NotFound also for another tenant's."""
    joined = _evaluation.outerjoin(
        _claim_body, (_claim_body.c.tenant_id == _evaluation.c.tenant_id) & (_claim_body.c.evaluation_id == _evaluation.c.evaluation_id)
    )
    row = connection.execute(
        select(
            _evaluation.c.evaluation_id, _evaluation.c.catalog_epoch, _evaluation.c.payer_id, _evaluation.c.body,
            _claim_body.c.key_id, _claim_body.c.nonce, _claim_body.c.ciphertext,
        )
        .select_from(joined)
        .where(_evaluation.c.tenant_id == tenant_id, _evaluation.c.evaluation_id == evaluation_id)
    ).first()  # fmt: skip
    if row is None:
        raise NotFound("no such evaluation")
    sealed: Any = None if row.ciphertext is None else Sealed(row.key_id, row.nonce, row.ciphertext)
    return StoredEvaluation(row.evaluation_id, row.catalog_epoch, row.payer_id, row.body, sealed)


def latest_of_claims(connection: Connection, tenant_id: str, start: datetime | None, end: datetime) -> list[str]:
    """Of each claim judged within the span (the end excluded), the id of its last evaluation there, in order."""
    query = select(func.max(_evaluation.c.evaluation_id)).where(_evaluation.c.tenant_id == tenant_id, _evaluation.c.evaluated_at < end)
    if start is not None:
        query = query.where(_evaluation.c.evaluated_at >= start)
    return sorted(connection.execute(query.group_by(_evaluation.c.lineage_id)).scalars())
