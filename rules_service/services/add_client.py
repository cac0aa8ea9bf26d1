"""A new API client: who may call, with which scopes; its making is in the audit log, its key is not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from rules_service.storage import audit_log, catalog
from rules_service.storage.clients import create_client
from rules_service.storage.database import Database
from rules_service.workflow.audit_chain import Event


def add_client(database: Database, tenant_id: str, name: str, scopes: Iterable[str], who: str) -> tuple[str, str]:
    """(client id, key). The key is told once and stored only as a hash."""
    chosen, now = sorted(scopes), datetime.now(UTC)
    with database.writing() as connection:
        catalog.ensure_tenant(connection, tenant_id, tenant_id, now)
        client_id, key = create_client(connection, tenant_id, name, chosen, now)
        event = Event(who, "client.created", "client", client_id, details={"name": name, "scopes": chosen})
        audit_log.append(connection, tenant_id, now, event)
    return client_id, key
