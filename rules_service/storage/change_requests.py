"""Repository of change requests, their authors and reviews."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Connection, insert, select, update

from rules_service.primitives.errors import NotFound
from rules_service.storage import governance_tables as g
from rules_service.storage import tables as t
from rules_service.storage.catalog import PublicationRecord, lock_tenant
from rules_service.workflow.lifecycle import OPEN, State, Verdict

_change_request = t.core(g.ChangeRequest)
_author = t.core(g.ChangeRequestAuthor)
_review = t.core(g.Review)
_control = t.core(g.RuleSetControl)

REFERENCE = "reference:"
"""Before a table's name: what a change request of its editions goes by in the place of a rule set."""
SECOND_ABOVE_SHARE = Decimal("0.02")
"""Unless a rule set says otherwise."""


@dataclass(frozen=True, slots=True)
class ChangeRequestRecord:
    """A change request as it stands."""

    change_request_id: str
    rule_set_id: str
    kind: str
    title: str
    reason: str
    state: State
    review_cycle: int
    content_sha256: str
    base_number: int
    required_approvals: int
    retroactive_from: date | None
    scheduled_for: datetime | None
    failure_reason: str | None
    published_number: int | None
    published_epoch: int | None
    lock_version: int
    created_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """One verdict."""

    review_cycle: int
    reviewer: str
    verdict: Verdict
    content_sha256: str
    comment: str | None
    reviewed_at: datetime


def _record(row: Any) -> ChangeRequestRecord:
    return ChangeRequestRecord(**{name: getattr(row, name) for name in ChangeRequestRecord.__slots__})


def create(connection: Connection, tenant_id: str, record: ChangeRequestRecord, authors: Iterable[str]) -> None:
    """Store a new change request with those whose work is in it."""
    connection.execute(
        insert(_change_request).values(tenant_id=tenant_id, **{name: getattr(record, name) for name in ChangeRequestRecord.__slots__})
    )
    for author in sorted(set(authors)):
        add_author(connection, tenant_id, record.change_request_id, author)


def add_author(connection: Connection, tenant_id: str, change_request_id: str, author: str) -> None:
    """Note whose work is in it; known authors stay."""
    if author not in authors(connection, tenant_id, change_request_id):
        connection.execute(insert(_author).values(tenant_id=tenant_id, change_request_id=change_request_id, author=author))


def authors(connection: Connection, tenant_id: str, change_request_id: str) -> tuple[str, ...]:
    """Those whose work is in it."""
    query = select(_author.c.author).where(_author.c.tenant_id == tenant_id, _author.c.change_request_id == change_request_id)
    return tuple(connection.execute(query.order_by(_author.c.author)).scalars())


def find(connection: Connection, tenant_id: str, change_request_id: str, lock: bool = False) -> ChangeRequestRecord:
    """One change request, locked for a transition when asked (the tenant's row first, as everywhere); NotFound also for another tenant's."""
    if lock:
        lock_tenant(connection, tenant_id)
    query = select(_change_request).where(
        _change_request.c.tenant_id == tenant_id, _change_request.c.change_request_id == change_request_id
    )
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound("no such change request")
    return _record(row)


def find_open(connection: Connection, tenant_id: str, rule_set_id: str, lock: bool = False) -> ChangeRequestRecord | None:
    """The change request of a rule set that still stands, if there is one; locked like `find`."""
    if lock:
        lock_tenant(connection, tenant_id)
    table = _change_request.c
    query = select(_change_request).where(table.tenant_id == tenant_id, table.rule_set_id == rule_set_id, table.state.in_(sorted(OPEN)))
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _record(row)


def listed(connection: Connection, tenant_id: str, state: str | None, rule_set_id: str | None, limit: int) -> list[ChangeRequestRecord]:
    """Change requests newest first."""
    table = _change_request.c
    query = select(_change_request).where(table.tenant_id == tenant_id)
    if state is not None:
        query = query.where(table.state == state)
    if rule_set_id is not None:
        query = query.where(table.rule_set_id == rule_set_id)
    return [_record(row) for row in connection.execute(query.order_by(table.change_request_id.desc()).limit(limit))]


def of_publication(connection: Connection, tenant_id: str, publication: PublicationRecord) -> ChangeRequestRecord | None:
    """The change request whose content a publication has: its own, or, after a rollback or an emergency, the one that was approved
    when these files were first published. None for what was loaded."""
    table = _change_request.c
    row = connection.execute(
        select(_change_request)
        .where(
            table.tenant_id == tenant_id,
            table.rule_set_id == publication.rule_set_id,
            table.state == "published",
            table.content_sha256 == publication.source_sha256,
            table.published_number <= publication.number,
        )
        .order_by(table.published_number.desc())
        .limit(1)
    ).first()
    return None if row is None else _record(row)


def change(connection: Connection, tenant_id: str, record: ChangeRequestRecord, now: datetime, **values: Any) -> ChangeRequestRecord:
    """The record with new values, stored; every change raises its lock version."""
    values |= {"lock_version": record.lock_version + 1, "updated_at": now}
    connection.execute(
        update(_change_request)
        .where(_change_request.c.tenant_id == tenant_id, _change_request.c.change_request_id == record.change_request_id)
        .values(**values)
    )
    return find(connection, tenant_id, record.change_request_id)


def add_review(connection: Connection, tenant_id: str, change_request_id: str, review: ReviewRecord) -> None:
    """Store a verdict. The database refuses an author's, and one on anything but what is under review."""
    connection.execute(
        insert(_review).values(
            tenant_id=tenant_id, change_request_id=change_request_id, **{name: getattr(review, name) for name in ReviewRecord.__slots__}
        )
    )


def reviews(connection: Connection, tenant_id: str, change_request_id: str) -> list[ReviewRecord]:
    """Every verdict, of all cycles, in order."""
    table = _review.c
    rows = connection.execute(
        select(_review)
        .where(table.tenant_id == tenant_id, table.change_request_id == change_request_id)
        .order_by(table.review_cycle, table.reviewed_at, table.reviewer)
    )
    return [
        ReviewRecord(row.review_cycle, row.reviewer, cast(Verdict, row.verdict), row.content_sha256, row.comment, row.reviewed_at)
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Control:
    """What a change of a rule set needs: approvals, a second one when more than a share of claims would newly be blocked, and, where
    `impact_required`, an impact analysis of exactly its content."""

    required_approvals: int = 1
    second_above_share: Decimal = SECOND_ABOVE_SHARE
    impact_required: bool = False


def control(connection: Connection, tenant_id: str, rule_set_id: str) -> Control:
    """What a change of this rule set needs."""
    row = connection.execute(
        select(_control.c.required_approvals, _control.c.second_above_share, _control.c.impact_required).where(
            _control.c.tenant_id == tenant_id, _control.c.rule_set_id == rule_set_id
        )
    ).first()
    if row is None:
        return Control()
    share = SECOND_ABOVE_SHARE if row.second_above_share is None else Decimal(row.second_above_share)
    return Control(row.required_approvals, share, row.impact_required)


def set_control(connection: Connection, tenant_id: str, rule_set_id: str, wanted: Control) -> None:
    """Set what a change of this rule set needs."""
    key = (_control.c.tenant_id == tenant_id, _control.c.rule_set_id == rule_set_id)
    values = {
        "required_approvals": wanted.required_approvals,
        "second_above_share": str(wanted.second_above_share),
        "impact_required": wanted.impact_required,
    }
    if connection.execute(update(_control).where(*key).values(**values)).rowcount == 0:
        connection.execute(insert(_control).values(tenant_id=tenant_id, rule_set_id=rule_set_id, **values))
