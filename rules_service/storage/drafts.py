"""Repository of drafts and of the check runs of their contents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from rules_service.primitives.canonical import canonical_bytes
from rules_service.storage import governance_tables as g
from rules_service.storage import tables as t
from rules_service.storage.ids import new_id

_draft = t.core(g.Draft)
_check_run = t.core(g.CheckRun)


@dataclass(frozen=True, slots=True)
class DraftRecord:
    """A working copy: `lock_version` rises with every save; `editors` are those whose work is in it."""

    rule_set_id: str
    lock_version: int
    base_number: int
    files: Mapping[str, str]
    content_sha256: str
    editors: tuple[str, ...]
    updated_at: datetime

    @property
    def etag(self) -> str:
        """Strong entity tag: the save and the content."""
        return f'"{self.lock_version}-{self.content_sha256[:16]}"'


@dataclass(frozen=True, slots=True)
class CheckRunRecord:
    """What checks and cases of a content came to."""

    check_run_id: str
    content_sha256: str
    engine_version: str
    passed: bool
    report: Mapping[str, Any]
    run_by: str
    run_at: datetime


def read_draft(connection: Connection, tenant_id: str, rule_set_id: str, lock: bool = False) -> DraftRecord | None:
    """The draft of a rule set; None when nobody has edited it since its last publication."""
    query = select(_draft).where(_draft.c.tenant_id == tenant_id, _draft.c.rule_set_id == rule_set_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        return None
    return DraftRecord(
        row.rule_set_id,
        row.lock_version,
        row.base_number,
        msgspec.json.decode(row.content, type=dict[str, str]),
        row.content_sha256,
        msgspec.json.decode(row.editors, type=tuple[str, ...]),
        row.updated_at,
    )


def save_draft(connection: Connection, tenant_id: str, record: DraftRecord) -> None:
    """Write the draft, new or changed."""
    values = {
        "lock_version": record.lock_version,
        "base_number": record.base_number,
        "content": canonical_bytes(dict(record.files)),
        "content_sha256": record.content_sha256,
        "editors": msgspec.json.encode(record.editors).decode(),
        "updated_at": record.updated_at,
    }
    key = (_draft.c.tenant_id == tenant_id, _draft.c.rule_set_id == record.rule_set_id)
    if connection.execute(update(_draft).where(*key).values(**values)).rowcount == 0:
        connection.execute(insert(_draft).values(tenant_id=tenant_id, rule_set_id=record.rule_set_id, **values))


def remove_draft(connection: Connection, tenant_id: str, rule_set_id: str) -> None:
    """Forget a draft: it was published."""
    connection.execute(delete(_draft).where(_draft.c.tenant_id == tenant_id, _draft.c.rule_set_id == rule_set_id))


def add_check_run(
    connection: Connection, tenant_id: str, rule_set_id: str, content_sha256: str, engine_version: str, report: Mapping[str, Any],
    passed: bool, run_by: str, now: datetime,
) -> str:  # fmt: skip
    """Store what checks and cases of a content came to; its id."""
    check_run_id = new_id("ck")
    connection.execute(
        insert(_check_run).values(
            tenant_id=tenant_id, check_run_id=check_run_id, rule_set_id=rule_set_id, content_sha256=content_sha256, engine_version=engine_version,
            passed=passed, report=canonical_bytes(report), run_by=run_by, run_at=now,
        )
    )  # fmt: skip
    return check_run_id


def last_check_run(connection: Connection, tenant_id: str, rule_set_id: str, content_sha256: str) -> CheckRunRecord | None:
    """The latest run over exactly this content."""
    table = _check_run.c
    row = connection.execute(
        select(_check_run)
        .where(table.tenant_id == tenant_id, table.rule_set_id == rule_set_id, table.content_sha256 == content_sha256)
        .order_by(table.check_run_id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    return CheckRunRecord(
        row.check_run_id, row.content_sha256, row.engine_version, row.passed, msgspec.json.decode(row.report), row.run_by, row.run_at
    )
