"""OAuth 2 client credentials with `private_key_jwt` (RFC 6749 section 4.4, RFC 7523, SMART Backend Services): an assertion signed with
a registered key gives a short-lived access token, once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy.exc import IntegrityError

from rules_service.primitives.errors import NotFound, RulesServiceError
from rules_service.services.acting import now_utc
from rules_service.services.assertions import AssertionRefused, claimed, usable_until, verified
from rules_service.services.public_keys import PublicKeys
from rules_service.storage import audit_log, clients
from rules_service.storage.clients import ClientRecord
from rules_service.storage.database import Database
from rules_service.workflow.audit_chain import Event

TOKEN_SECONDS = 600


class TokenRefused(RulesServiceError):
    """RFC 6749 section 5.2. `error` is its code; the description says what is wrong without repeating it."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.error, self.description = error, description


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token as it is told, once."""

    token: str
    scopes: tuple[str, ...]
    seconds: int


class Tokens:
    """Gives access tokens. Each one given or refused to a known client is an audit event."""

    def __init__(self, database: Database, keys: PublicKeys, base: str) -> None:
        self._database, self._keys = database, keys
        self.audience = f"{base}/v1/oauth/token"

    def issue(self, assertion: str, scope: str | None, request_id: str | None) -> IssuedToken:
        """The token an assertion gives; TokenRefused says why it gives none."""
        try:
            with self._database.reading() as connection:
                record = clients.find_client(connection, claimed(assertion, "sub"))
        except AssertionRefused as refusal:
            raise TokenRefused("invalid_client", refusal.description) from None
        except NotFound:
            raise TokenRefused("invalid_client", "The client is not known.") from None
        try:
            return self._issue(record, assertion, scope, request_id)
        except TokenRefused as refusal:
            event = Event(record.client_id, "token.refused", "client", record.client_id, refusal.description, request_id)
            with self._database.writing() as connection:
                audit_log.append(connection, record.tenant_id, now_utc(), event)
            raise

    def _issue(self, record: ClientRecord, assertion: str, scope: str | None, request_id: str | None) -> IssuedToken:
        now = now_utc()
        if record.revoked_at is not None:
            raise TokenRefused("invalid_client", "The client was revoked.")
        key = partial(self._keys.named, record)
        try:
            claims = verified(assertion, key, record.jwks_url, self.audience, now, iss=record.client_id, sub=record.client_id)
        except AssertionRefused as refusal:
            raise TokenRefused("invalid_client", refusal.description) from None
        wanted = scope.split() if scope else list(record.scopes)
        if not wanted or not set(wanted) <= set(record.scopes):
            raise TokenRefused("invalid_scope", "The client does not have all of these scopes.")
        try:
            with self._database.writing() as connection:
                if clients.is_used(connection, record, claims["jti"]):
                    raise TokenRefused("invalid_client", "The assertion was used already: make one with a new jti.")
                token = clients.add_token(
                    connection, record, claims["jti"], usable_until(claims), wanted, now, now + timedelta(seconds=TOKEN_SECONDS)
                )
                event = Event(record.client_id, "token.issued", "client", record.client_id, None, request_id, {"scopes": sorted(wanted)})
                audit_log.append(connection, record.tenant_id, now, event)
        except IntegrityError:
            raise TokenRefused("invalid_client", "The assertion was used already: make one with a new jti.") from None
        return IssuedToken(token, tuple(sorted(wanted)), TOKEN_SECONDS)
