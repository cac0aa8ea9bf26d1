"""Who acts, and the audit of what they are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rules_service.primitives.errors import InputError, Refused
from rules_service.storage import audit_log
from rules_service.storage.database import Database
from rules_service.workflow.audit_chain import Event


@dataclass(frozen=True, slots=True)
class Actor:
    """The principal behind a request: tenant and scopes come from the credential."""

    tenant_id: str
    name: str
    scopes: frozenset[str]
    request_id: str | None = None

    def event(self, action: str, object_type: str, object_id: str, reason: str | None = None, **details: Any) -> Event:
        """An audit event of this actor."""
        return Event(self.name, action, object_type, object_id, reason, self.request_id, details)


def now_utc() -> datetime:
    """The instant, in UTC."""
    return datetime.now(UTC)


@contextmanager
def audited_refusal(database: Database, actor: Actor, action: str, object_type: str, object_id: str) -> Iterator[None]:
    """A transition refused inside the block changes nothing, and is written to the audit log with its code."""
    try:
        yield
    except Refused as refusal:
        event = actor.event(f"{action}.refused", object_type, object_id, code=refusal.code)
        with database.writing() as connection:
            audit_log.append(connection, actor.tenant_id, now_utc(), event)
        raise
    except InputError as fault:
        event = actor.event(f"{action}.refused", object_type, object_id, code="content-invalid", faults=len(fault.issues))
        with database.writing() as connection:
            audit_log.append(connection, actor.tenant_id, now_utc(), event)
        raise
