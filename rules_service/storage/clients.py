"""Repository of API clients. A key is shown once; only its hash is stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from rules_service.primitives.errors import NotFound
from rules_service.storage import tables as t
from rules_service.storage.ids import new_id

_api_client = t.core(t.ApiClient)
_used = t.core(t.UsedAssertion)
_token = t.core(t.AccessToken)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: tenant and scopes come from the credential, never from the body."""

    tenant_id: str
    client_id: str
    scopes: frozenset[str]


def hash_key(key: str) -> str:
    """SHA-256 of a key; keys have 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_client(connection: Connection, tenant_id: str, name: str, scopes: Iterable[str], now: datetime) -> tuple[str, str]:
    """(client id, key) of a new client."""
    client_id, key = new_id("cl"), f"rsk_{secrets.token_urlsafe(32)}"
    connection.execute(
        insert(_api_client).values(
            tenant_id=tenant_id, client_id=client_id, name=name, key_sha256=hash_key(key), scopes=" ".join(sorted(scopes)), created_at=now
        )
    )
    return client_id, key


def find_principal(connection: Connection, credential_sha256: str, now: datetime) -> tuple[Principal, datetime | None] | None:
    """(client, when the credential expires if it does) of an API key's or access token's hash; None when it is not known, was revoked
    or has expired."""
    columns = (_api_client.c.tenant_id, _api_client.c.client_id, _api_client.c.scopes)
    key = select(*columns).where(_api_client.c.key_sha256 == credential_sha256, _api_client.c.revoked_at.is_(None))
    row = connection.execute(key).first()
    if row is not None:
        return Principal(row.tenant_id, row.client_id, frozenset(row.scopes.split())), None
    joined = _token.join(_api_client, (_api_client.c.tenant_id == _token.c.tenant_id) & (_api_client.c.client_id == _token.c.client_id))
    token = (
        select(*columns, _token.c.scopes.label("granted"), _token.c.expires_at)
        .select_from(joined)
        .where(_token.c.token_sha256 == credential_sha256, _api_client.c.revoked_at.is_(None))
    )
    given = connection.execute(token).first()
    if given is None or given.expires_at <= now:
        return None
    # A scope taken from the client is gone from its tokens too.
    scopes = frozenset(given.granted.split()) & frozenset(given.scopes.split())
    return Principal(given.tenant_id, given.client_id, scopes), given.expires_at


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """A client without its key. `jwks` are its public keys as JSON, `jwks_url` their address; it has one of them or none. `issuer` and
    `issuer_tenant` are the `iss` and `tenant` (empty when there is none) of the JWTs it signs as a CDS client."""

    tenant_id: str
    client_id: str
    name: str
    scopes: tuple[str, ...]
    jwks: str | None
    jwks_url: str | None
    issuer: str | None
    issuer_tenant: str | None
    created_at: datetime
    revoked_at: datetime | None


def find_client(connection: Connection, client_id: str, lock: bool = False) -> ClientRecord:
    """A client of any tenant by its id: the tenant comes with it. NotFound when there is none."""
    query = select(_api_client).where(_api_client.c.client_id == client_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound("no such client")
    return _record(row)


def find_issuer(connection: Connection, issuer: str, issuer_tenant: str) -> ClientRecord:
    """The client of any tenant that signs under these names. NotFound when there is none."""
    query = select(_api_client).where(_api_client.c.issuer == issuer, _api_client.c.issuer_tenant == issuer_tenant)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound("no such client")
    return _record(row)


def listed(connection: Connection, tenant_id: str) -> list[ClientRecord]:
    """The clients of a tenant, oldest first."""
    return [
        _record(row)
        for row in connection.execute(select(_api_client).where(_api_client.c.tenant_id == tenant_id).order_by(_api_client.c.client_id))
    ]


def _record(row: Any) -> ClientRecord:
    return ClientRecord(
        row.tenant_id, row.client_id, row.name, tuple(row.scopes.split()), row.jwks, row.jwks_url, row.issuer, row.issuer_tenant,
        row.created_at, row.revoked_at,
    )  # fmt: skip


def change_client(connection: Connection, record: ClientRecord, **values: Any) -> None:
    """Set scopes, public keys, names or the instant of revocation of a client."""
    key = (_api_client.c.tenant_id == record.tenant_id, _api_client.c.client_id == record.client_id)
    connection.execute(update(_api_client).where(*key).values(**values))


def is_used(connection: Connection, record: ClientRecord, jti: str) -> bool:
    """Whether an assertion gave a token already."""
    key = (_used.c.tenant_id == record.tenant_id, _used.c.client_id == record.client_id, _used.c.jti == jti)
    return connection.execute(select(_used.c.jti).where(*key)).first() is not None


def use_assertion(connection: Connection, record: ClientRecord, jti: str, used_until: datetime, now: datetime) -> None:
    """Note the use of a signed assertion, and forget those that have expired; IntegrityError when it was used before."""
    connection.execute(
        delete(_used).where(_used.c.tenant_id == record.tenant_id, _used.c.client_id == record.client_id, _used.c.expires_at < now)
    )
    connection.execute(insert(_used).values(tenant_id=record.tenant_id, client_id=record.client_id, jti=jti, expires_at=used_until))


def add_token(
    connection: Connection, record: ClientRecord, jti: str, used_until: datetime, scopes: Iterable[str], now: datetime, expires_at: datetime
) -> str:
    """Store the use of an assertion and the token it gives, and forget those that have expired; the token, told once."""
    key = (_token.c.tenant_id == record.tenant_id, _token.c.client_id == record.client_id)
    connection.execute(delete(_token).where(*key, _token.c.expires_at < now))
    use_assertion(connection, record, jti, used_until, now)
    token = f"rst_{secrets.token_urlsafe(32)}"
    connection.execute(
        insert(_token).values(
            tenant_id=record.tenant_id, token_sha256=hash_key(token), client_id=record.client_id, scopes=" ".join(sorted(scopes)), issued_at=now,
            expires_at=expires_at,
        )
    )  # fmt: skip
    return token
