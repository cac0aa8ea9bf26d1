"""Who calls with a JWT of their own (CDS Hooks 2.0, "Trusting CDS Clients")."""

from __future__ import annotations

from functools import partial

from sqlalchemy.exc import IntegrityError

from rules_service.primitives.errors import NotFound
from rules_service.services.acting import now_utc
from rules_service.services.assertions import AssertionRefused, claimed, is_issuer, usable_until, verified
from rules_service.services.public_keys import PublicKeys
from rules_service.storage import clients
from rules_service.storage.clients import ClientRecord, Principal
from rules_service.storage.database import Database


class HookCallers:
    """Knows EHRs by what they sign: with a key of theirs, for the address they call, once."""

    def __init__(self, database: Database, keys: PublicKeys, base: str) -> None:
        self._database, self._keys, self._base = database, keys, base

    def caller(self, token: str, path: str) -> Principal:
        """The client that registered the token's `iss` (with its `tenant`, if it has one), or whose id `iss` is; AssertionRefused says why
        it is nobody."""
        now = now_utc()
        issuer, organization = claimed(token, "iss"), claimed(token, "tenant", "")
        try:
            record = self._record(issuer, organization)
            if record.revoked_at is not None:
                raise AssertionRefused("The client was revoked.")
            claims = verified(token, partial(self._keys.named, record), record.jwks_url, self._base + path, now, needs_iat=True, iss=issuer)
            with self._database.writing() as connection:
                clients.use_assertion(connection, record, claims["jti"], usable_until(claims), now)
        except NotFound:
            raise AssertionRefused("No client is registered for this issuer and tenant.") from None
        except IntegrityError:
            raise AssertionRefused("The token was used already: make one with a new jti.") from None
        return Principal(record.tenant_id, record.client_id, frozenset(record.scopes))

    def _record(self, issuer: str, organization: str) -> ClientRecord:
        with self._database.reading() as connection:
            if is_issuer(issuer):
                return clients.find_issuer(connection, issuer, organization)
            if organization:
                raise NotFound("a client's id has no tenant of the EHR's")
            return clients.find_client(connection, issuer)
