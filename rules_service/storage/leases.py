"""Leases: of several processes, one at a time does a recurring work of a tenant."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from rules_service.storage import governance_tables as g
from rules_service.storage import tables as t
from rules_service.storage.catalog import lock_tenant

_lease = t.core(g.Lease)


def take(connection: Connection, tenant_id: str, name: str, owner: str, now: datetime, seconds: float) -> bool:
    """True when the owner holds the lease for the next seconds: it was free, had run out, or was the owner's."""
    lock_tenant(connection, tenant_id)
    key = (_lease.c.tenant_id == tenant_id, _lease.c.name == name)
    until = now + timedelta(seconds=seconds)
    row = connection.execute(select(_lease.c.owner, _lease.c.until).where(*key)).first()
    if row is None:
        connection.execute(insert(_lease).values(tenant_id=tenant_id, name=name, owner=owner, until=until))
        return True
    held_until = row.until if row.until.tzinfo is not None else row.until.replace(tzinfo=now.tzinfo)
    if row.owner != owner and held_until > now:
        return False
    connection.execute(update(_lease).where(*key).values(owner=owner, until=until))
    return True


def give_back(connection: Connection, tenant_id: str, name: str, owner: str) -> None:
    """Free the lease, when it is the owner's."""
    connection.execute(delete(_lease).where(_lease.c.tenant_id == tenant_id, _lease.c.name == name, _lease.c.owner == owner))
