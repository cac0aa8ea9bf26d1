"""Repository of evidence: the Merkle seals over evaluations, findings by rule, and the search for evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select

from rules_service.primitives.canonical import canonical_bytes, sha256_hex
from rules_service.storage import evidence_tables as ev
from rules_service.storage import tables as t
from rules_service.storage.bulk import BulkInsert
from rules_service.storage.ids import first_id_at

_evaluation = t.core(t.Evaluation)
_entry = t.core(ev.FindingEntry)
_seal = t.core(ev.Seal)
_leaf = t.core(ev.SealLeaf)
_tenant = t.core(t.Tenant)
_insert_entries = BulkInsert(_entry)
_insert_leaves = BulkInsert(_leaf)

SETTLED = timedelta(seconds=15)
SETTLED_FOR_CERTAIN = timedelta(minutes=10)
"""An evaluation's id is made before it is committed: nearly always by less than the first, never by more than the second."""
_COLUMNS = (
    "evaluation_id", "lineage_id", "client_id", "payer_id", "claim_type", "outcome", "catalog_epoch", "input_sha256", "pins_sha256",
    "control_hash",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SealRecord:
    """A seal: its place in the chain, the root over its leaves, and the signature over its hash."""

    number: int
    leaves: int
    root: str
    prev_hash: str
    hash: str
    sealed_at: datetime
    public_key: str
    signature: str


@dataclass(frozen=True, slots=True)
class LeafRecord:
    """The place of an evaluation in its seal."""

    number: int
    position: int
    hash: str


@dataclass(frozen=True, slots=True)
class EvaluationSummary:
    """A stored evaluation as lists show it."""

    evaluation_id: str
    lineage_id: str
    evaluated_at: datetime
    client_id: str
    payer_id: str
    claim_type: str
    outcome: str
    catalog_epoch: int


def tenants(connection: Connection) -> list[str]:
    """Every tenant."""
    return list(connection.execute(select(_tenant.c.tenant_id).order_by(_tenant.c.tenant_id)).scalars())


def _leaf_data(row: Any) -> bytes:
    """What a leaf covers: every column of an evaluation, its long ones by their hashes."""
    told = {name: getattr(row, name) for name in _COLUMNS}
    told["evaluated_at"] = row.evaluated_at.isoformat(timespec="microseconds")
    told["body_sha256"] = sha256_hex(row.body)
    told["preview_sha256"] = None if row.preview is None else sha256_hex(row.preview)
    return canonical_bytes(told)


def unsealed(
    connection: Connection, tenant_id: str, limit: int, look_back: timedelta | None
) -> list[tuple[str, bytes, bytes, bytes | None]]:
    """(id, leaf data, body, preview) of evaluations that no seal covers, oldest first: of those made since so long before the last
    sealed one, or of all."""
    query = (
        select(_evaluation)
        .outerjoin(_leaf, (_leaf.c.tenant_id == _evaluation.c.tenant_id) & (_leaf.c.evaluation_id == _evaluation.c.evaluation_id))
        .where(_evaluation.c.tenant_id == tenant_id, _leaf.c.evaluation_id.is_(None))
        .order_by(_evaluation.c.evaluation_id)
        .limit(limit)
    )
    last = (
        None
        if look_back is None
        else connection.execute(select(func.max(_leaf.c.evaluation_id)).where(_leaf.c.tenant_id == tenant_id)).scalar()
    )
    if last is not None and look_back is not None:
        made = datetime.fromtimestamp(int(last[3:15], 16) / 1000, UTC) - look_back
        query = query.where(_evaluation.c.evaluation_id > first_id_at("ev", made))
    return [(row.evaluation_id, _leaf_data(row), row.body, row.preview) for row in connection.execute(query)]


def last_seal(connection: Connection, tenant_id: str) -> SealRecord | None:
    """The newest seal."""
    query = select(_seal).where(_seal.c.tenant_id == tenant_id).order_by(_seal.c.number.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _seal_of(row)


def _seal_of(row: Any) -> SealRecord:
    return SealRecord(**{name: getattr(row, name) for name in SealRecord.__slots__})


def add_seal(connection: Connection, tenant_id: str, seal: SealRecord, leaves: Sequence[tuple[str, str]], entries: Sequence[Any]) -> None:
    """Store a seal with its leaves (evaluation, hash) in order, and the findings of their evaluations."""
    connection.execute(insert(_seal).values(tenant_id=tenant_id, **{name: getattr(seal, name) for name in SealRecord.__slots__}))
    rows = [
        {"tenant_id": tenant_id, "evaluation_id": evaluation_id, "number": seal.number, "position": position, "hash": hashed}
        for position, (evaluation_id, hashed) in enumerate(leaves)
    ]
    _insert_leaves(connection, [[row[name] for name in _insert_leaves.columns] for row in rows])
    _insert_entries(connection, [[{**entry, "tenant_id": tenant_id}[name] for name in _insert_entries.columns] for entry in entries])


def seals(connection: Connection, tenant_id: str) -> list[SealRecord]:
    """Every seal, in order."""
    return [_seal_of(row) for row in connection.execute(select(_seal).where(_seal.c.tenant_id == tenant_id).order_by(_seal.c.number))]


def leaf_of(connection: Connection, tenant_id: str, evaluation_id: str) -> LeafRecord | None:
    """Where an evaluation is sealed; None until it is."""
    row = connection.execute(select(_leaf).where(_leaf.c.tenant_id == tenant_id, _leaf.c.evaluation_id == evaluation_id)).first()
    return None if row is None else LeafRecord(row.number, row.position, row.hash)


def leaves_of(connection: Connection, tenant_id: str, number: int) -> list[tuple[str, str, bytes | None]]:
    """(evaluation, hash stored, leaf data as the evaluation stands now; None when it is gone) of a seal, in order."""
    query = (
        select(_leaf.c.evaluation_id.label("leaf_id"), _leaf.c.hash.label("leaf_hash"), _evaluation)
        .outerjoin(_evaluation, (_leaf.c.tenant_id == _evaluation.c.tenant_id) & (_leaf.c.evaluation_id == _evaluation.c.evaluation_id))
        .where(_leaf.c.tenant_id == tenant_id, _leaf.c.number == number)
        .order_by(_leaf.c.position)
    )
    return [(row.leaf_id, row.leaf_hash, None if row.evaluation_id is None else _leaf_data(row)) for row in connection.execute(query)]


def search(
    connection: Connection,
    tenant_id: str,
    limit: int,
    before: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    payer_id: str | None = None,
    outcome: str | None = None,
    rule_id: str | None = None,
    lineage_id: str | None = None,
    control_hash: str | None = None,
) -> list[EvaluationSummary]:
    """Evaluations newest first that match what is given. Those of a rule are found once they are sealed."""
    table = _evaluation.c
    query = select(*[table[name] for name in EvaluationSummary.__slots__]).where(table.tenant_id == tenant_id)
    for column, wanted in (
        (table.payer_id, payer_id),
        (table.outcome, outcome),
        (table.lineage_id, lineage_id),
        (table.control_hash, control_hash),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if rule_id is not None:
        query = query.where(
            table.evaluation_id.in_(
                select(_entry.c.evaluation_id).where(
                    _entry.c.tenant_id == tenant_id, _entry.c.rule_id == rule_id, _entry.c.is_preview.is_(False)
                )
            )
        )
    if before is not None:
        query = query.where(table.evaluation_id < before)
    if start is not None:
        query = query.where(table.evaluation_id >= first_id_at("ev", start))
    if end is not None:
        query = query.where(table.evaluation_id < first_id_at("ev", end))
    rows = connection.execute(query.order_by(table.evaluation_id.desc()).limit(limit))
    return [EvaluationSummary(**row._mapping) for row in rows]


def preview_findings(connection: Connection, tenant_id: str, rule_id: str, start: datetime) -> list[tuple[str, str, str, int]]:
    """(evaluation, code, severity, cents at risk) of what a preview rule would have found since an instant, newest first."""
    query = select(_entry.c.evaluation_id, _entry.c.code, _entry.c.severity, _entry.c.cents_at_risk).where(
        _entry.c.tenant_id == tenant_id, _entry.c.rule_id == rule_id, _entry.c.is_preview.is_(True),
        _entry.c.evaluation_id >= first_id_at("ev", start),
    )  # fmt: skip
    return [tuple(row) for row in connection.execute(query.order_by(_entry.c.evaluation_id.desc(), _entry.c.number))]
