"""Who calls with a JWT of their own (CDS Hooks 2.0, "Trusting CDS Clients")."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError

from rules_service.primitives.errors import NotFound
from rules_service.services.acting import now_utc
from rules_service.services.assertions import AssertionRefused, claimed, usable_until, verified
from rules_service.storage import clients
from rules_service.storage.clients import Principal
from rules_service.storage.database import Database


class HookCallers:
    """Knows EHRs by what they sign: with a registered key, for the address they call, once."""

    def __init__(self, database: Database, base: str) -> None:
        self._database, self._base = database, base

    def caller(self, token: str, path: str) -> Principal:
        """The client whose id is `iss`; AssertionRefused says why it is nobody."""
        now = now_utc()
        try:
            with self._database.reading() as connection:
                record = clients.find_client(connection, claimed(token, "iss"))
            if record.revoked_at is not None or record.jwks is None:
                raise AssertionRefused("The client has no registered keys, or was revoked.")
            claims = verified(token, record.jwks, self._base + path, now, iss=record.client_id)
            with self._database.writing() as connection:
                clients.use_assertion(connection, record, claims["jti"], usable_until(claims), now)
        except NotFound:
            raise AssertionRefused("The client is not known.") from None
        except IntegrityError:
            raise AssertionRefused("The token was used already: make one with a new jti.") from None
        return Principal(record.tenant_id, record.client_id, frozenset(record.scopes))
