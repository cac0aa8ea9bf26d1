"""What applied when, as known then: questions by policy date, by epoch and by rule to the windows of all publications."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select

from rules_service.storage import tables as t

_catalog_epoch = t.core(t.CatalogEpoch)
_publication = t.core(t.Publication)
_publication_window = t.core(t.PublicationWindow)


@dataclass(frozen=True, slots=True)
class ResolvedWindow:
    """A window of a publication."""

    rule_set_id: str
    number: int
    rule_id: str
    version: int
    sha256: str
    effective_from: date
    effective_through: date | None


def epoch_at(connection: Connection, tenant_id: str, known_at: datetime) -> int:
    """The latest epoch published at an instant or before it; 0 before the first."""
    query = select(func.max(_catalog_epoch.c.epoch)).where(
        _catalog_epoch.c.tenant_id == tenant_id, _catalog_epoch.c.known_at <= known_at.astimezone(UTC)
    )
    return connection.execute(query).scalar() or 0


def resolve(connection: Connection, tenant_id: str, rule_set_id: str, policy_date: date, epoch: int) -> list[ResolvedWindow]:
    """The rule versions a rule set applies on a policy date, as known at an epoch, by rule id."""
    window = _publication_window.c
    number = (
        select(func.max(_publication.c.number))
        .where(_publication.c.tenant_id == tenant_id, _publication.c.rule_set_id == rule_set_id, _publication.c.epoch <= epoch)
        .scalar_subquery()
    )
    query = (
        select(_publication_window)
        .where(
            window.tenant_id == tenant_id,
            window.rule_set_id == rule_set_id,
            window.number == number,
            window.effective_from <= policy_date,
            or_(window.effective_through.is_(None), window.effective_through >= policy_date),
        )
        .order_by(window.rule_id)
    )
    return [_resolved(row) for row in connection.execute(query)]


def windows_of_rule(connection: Connection, tenant_id: str, rule_id: str) -> list[ResolvedWindow]:
    """Every window of a rule in every publication."""
    window = _publication_window.c
    query = select(_publication_window).where(window.tenant_id == tenant_id, window.rule_id == rule_id)
    return [_resolved(row) for row in connection.execute(query.order_by(window.rule_set_id, window.number, window.effective_from))]


def _resolved(row: Any) -> ResolvedWindow:
    return ResolvedWindow(row.rule_set_id, row.number, row.rule_id, row.version, row.sha256, row.effective_from, row.effective_through)
