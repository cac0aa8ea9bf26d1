"""Repository of proposed editions of reference tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from rules_service.primitives.canonical import canonical_bytes
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import NotFound
from rules_service.storage import governance_tables as g
from rules_service.storage import tables as t

_proposal = t.core(g.EditionProposal)


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A proposed edition: its bytes by their hash, its source files, and how it differs from the edition before."""

    change_request_id: str
    name: str
    edition: str
    coverage: EffectivePeriod
    sha256: str
    rows: int
    sources: tuple[Mapping[str, Any], ...]
    accepted_census: bool
    report: Mapping[str, Any]


def add(connection: Connection, tenant_id: str, record: ProposalRecord) -> None:
    """Store a proposal."""
    connection.execute(
        insert(_proposal).values(
            tenant_id=tenant_id, change_request_id=record.change_request_id, name=record.name, edition=record.edition,
            coverage_from=record.coverage.first, coverage_through=record.coverage.last, sha256=record.sha256, rows=record.rows,
            sources=canonical_bytes(list(record.sources)).decode(), accepted_census=record.accepted_census, report=canonical_bytes(dict(record.report)),
        )
    )  # fmt: skip


def find(connection: Connection, tenant_id: str, change_request_id: str) -> ProposalRecord:
    """The proposal of a change request; NotFound for one that proposes no edition."""
    query = select(_proposal).where(_proposal.c.tenant_id == tenant_id, _proposal.c.change_request_id == change_request_id)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound("no proposed edition")
    return ProposalRecord(
        row.change_request_id, row.name, row.edition, EffectivePeriod(row.coverage_from, row.coverage_through), row.sha256, row.rows,
        tuple(msgspec.json.decode(row.sources)), row.accepted_census, msgspec.json.decode(row.report),
    )  # fmt: skip
