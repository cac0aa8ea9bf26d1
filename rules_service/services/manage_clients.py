"""API clients: who may call, with which scopes and keys. Each change is in the audit log; an API key never is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.exc import IntegrityError

from rules_service.primitives.errors import InputError, Issue, NotFound, StateConflict
from rules_service.services.acting import now_utc
from rules_service.services.assertions import is_issuer, is_plain
from rules_service.services.public_keys import Fetched, PublicKeys, checked_jwks
from rules_service.storage import audit_log, catalog, clients
from rules_service.storage.clients import ClientRecord
from rules_service.storage.database import Database
from rules_service.workflow.audit_chain import Event

MAX_ORGANIZATION = 255


def add_client(database: Database, tenant_id: str, name: str, scopes: Iterable[str], who: str) -> tuple[str, str]:
    """(client id, key). The key is told once and stored only as a hash."""
    chosen, now = sorted(scopes), now_utc()
    with database.writing() as connection:
        catalog.ensure_tenant(connection, tenant_id, tenant_id, now)
        client_id, key = clients.create_client(connection, tenant_id, name, chosen, now)
        event = Event(who, "client.created", "client", client_id, details={"name": name, "scopes": chosen})
        audit_log.append(connection, tenant_id, now, event)
    return client_id, key


def register_keys(database: Database, tenant_id: str, client_id: str, jwks: bytes, who: str) -> int:
    """Register a client's public keys in the place of those before; how many. InputError names every unfit key."""
    stored = checked_jwks(jwks)
    count = stored.count('"kid"')
    _change(database, tenant_id, client_id, "client.keys_registered", who, {"keys": count}, jwks=stored, jwks_url=None)
    return count


def register_keys_address(database: Database, keys: PublicKeys, tenant_id: str, client_id: str, url: str, who: str) -> Fetched:
    """Register the address of a client's public keys in the place of keys and addresses before; what it gives now, which may be
    nothing yet. InputError when nothing can be fetched from such an address, which is then not registered."""
    keys.check(url)
    _change(database, tenant_id, client_id, "client.keys_registered", who, {"jwks_url": url}, jwks=None, jwks_url=url)
    return keys.fetch(url)


def register_issuer(database: Database, tenant_id: str, client_id: str, issuer: str, organization: str, who: str) -> None:
    """Register how a client names itself in the JWTs it signs as a CDS client: `iss`, a URI, and `tenant` where it sends one. StateConflict
    when another client does so already."""
    issues = []
    if not is_issuer(issuer):
        issues.append(Issue("issuer", "/issuer", "This is no URI of printable ASCII characters.", "Register what the EHR sends as iss."))
    if len(organization) > MAX_ORGANIZATION or not is_plain(organization):
        issues.append(
            Issue("issuer_tenant", "/tenant", "This is no text of printable ASCII characters.", "Register what the EHR sends as tenant.")
        )
    if issues:
        raise InputError("The issuer cannot be registered", issues)
    details = {"issuer": issuer, "issuer_tenant": organization}
    try:
        _change(database, tenant_id, client_id, "client.issuer_registered", who, details, issuer=issuer, issuer_tenant=organization)
    except IntegrityError:
        raise StateConflict("another client is registered for this issuer and tenant") from None


def set_scopes(database: Database, tenant_id: str, client_id: str, scopes: Iterable[str], who: str) -> None:
    """Give a client other scopes; its tokens lose what it loses."""
    chosen = sorted(scopes)
    _change(database, tenant_id, client_id, "client.scopes_changed", who, {"scopes": chosen}, scopes=" ".join(chosen))


def revoke_client(database: Database, tenant_id: str, client_id: str, who: str) -> None:
    """From now on the client's key and tokens open nothing."""
    _change(database, tenant_id, client_id, "client.revoked", who, {}, revoked_at=now_utc())


def listed(database: Database, tenant_id: str) -> list[ClientRecord]:
    """The clients of a tenant."""
    with database.reading() as connection:
        return clients.listed(connection, tenant_id)


def _change(database: Database, tenant_id: str, client_id: str, action: str, who: str, details: dict[str, Any], **values: Any) -> None:
    with database.writing() as connection:
        record = clients.find_client(connection, client_id, lock=True)
        if record.tenant_id != tenant_id:
            raise NotFound("no such client")
        clients.change_client(connection, record, **values)
        before = {"scopes": list(record.scopes)} if "scopes" in values else {}
        event = Event(who, action, "client", client_id, details={**details, **({"before": before} if before else {})})
        audit_log.append(connection, tenant_id, now_utc(), event)
