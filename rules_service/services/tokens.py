"""OAuth 2 client credentials with `private_key_jwt` (RFC 6749 section 4.4, RFC 7523, SMART Backend Services): an assertion signed with
a registered key gives a short-lived access token, once."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jwt import JWTClaimsRegistry
from sqlalchemy.exc import IntegrityError

from rules_service.primitives.errors import InputError, Issue, NotFound, RulesServiceError
from rules_service.services.acting import now_utc
from rules_service.storage import audit_log, clients
from rules_service.storage.clients import ClientRecord, Principal
from rules_service.storage.database import Database
from rules_service.workflow.audit_chain import Event

ALGORITHMS = ("RS256", "RS384", "PS256", "PS384", "ES256", "ES384")
"""Signatures with a private key only: no shared secret, no `none`."""
MAX_SECONDS = 300
"""How far ahead an assertion may expire (SMART Backend Services)."""
LEEWAY_SECONDS = 10
TOKEN_SECONDS = 600
MAX_KEYS = 10
MAX_ASSERTION = 8_192
MIN_RSA_BITS = 2_048
_HEADER = frozenset({"alg", "kid", "typ"})
"""What an assertion's header may hold: nothing in it may point to a key of the sender's choice."""


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

    def __init__(self, database: Database, base: str) -> None:
        self._database, self._base = database, base
        self.audience = f"{base}/v1/oauth/token"

    def issue(self, assertion: str, scope: str | None, request_id: str | None) -> IssuedToken:
        """The token an assertion gives; TokenRefused says why it gives none."""
        if len(assertion) > MAX_ASSERTION:
            raise TokenRefused("invalid_client", "The assertion is too long.")
        try:
            with self._database.reading() as connection:
                record = clients.find_client(connection, _named(assertion, "sub"))
        except NotFound:
            raise TokenRefused("invalid_client", "The client is not known.") from None
        try:
            return self._issue(record, assertion, scope, request_id)
        except TokenRefused as refusal:
            event = Event(record.client_id, "token.refused", "client", record.client_id, refusal.description, request_id)
            with self._database.writing() as connection:
                audit_log.append(connection, record.tenant_id, now_utc(), event)
            raise

    def caller(self, token: str, path: str) -> Principal:
        """Who calls with a JWT of their own (CDS Hooks 2.0): signed with a registered key, for this address, once. `iss` is the client's id."""
        if len(token) > MAX_ASSERTION:
            raise TokenRefused("invalid_client", "The token is too long.")
        now = now_utc()
        try:
            with self._database.reading() as connection:
                record = clients.find_client(connection, _named(token, "iss"))
            claims = self._claims(record, token, now, self._base + path, {"iss": {"essential": True, "value": record.client_id}})
            used_until = datetime.fromtimestamp(claims["exp"], UTC) + timedelta(seconds=2 * LEEWAY_SECONDS)
            with self._database.writing() as connection:
                clients.use_assertion(connection, record, claims["jti"], used_until, now)
        except NotFound:
            raise TokenRefused("invalid_client", "The client is not known.") from None
        except IntegrityError:
            raise TokenRefused("invalid_client", "The token was used already: make one with a new jti.") from None
        return Principal(record.tenant_id, record.client_id, frozenset(record.scopes))

    def _issue(self, record: ClientRecord, assertion: str, scope: str | None, request_id: str | None) -> IssuedToken:
        now = now_utc()
        own = {"essential": True, "value": record.client_id}
        claims = self._claims(record, assertion, now, self.audience, {"iss": own, "sub": own})
        wanted = scope.split() if scope else list(record.scopes)
        if not wanted or not set(wanted) <= set(record.scopes):
            raise TokenRefused("invalid_scope", "The client does not have all of these scopes.")
        used_until = datetime.fromtimestamp(claims["exp"], UTC) + timedelta(seconds=2 * LEEWAY_SECONDS)
        try:
            with self._database.writing() as connection:
                if clients.is_used(connection, record, claims["jti"]):
                    raise TokenRefused("invalid_client", "The assertion was used already: make one with a new jti.")
                token = clients.add_token(
                    connection, record, claims["jti"], used_until, wanted, now, now + timedelta(seconds=TOKEN_SECONDS)
                )
                event = Event(record.client_id, "token.issued", "client", record.client_id, None, request_id, {"scopes": sorted(wanted)})
                audit_log.append(connection, record.tenant_id, now, event)
        except IntegrityError:
            raise TokenRefused("invalid_client", "The assertion was used already: make one with a new jti.") from None
        return IssuedToken(token, tuple(sorted(wanted)), TOKEN_SECONDS)

    def _claims(self, record: ClientRecord, assertion: str, now: datetime, audience: str, who: dict[str, Any]) -> dict[str, Any]:
        """The assertion's claims, its signature and every rule of RFC 7523 section 3 checked."""
        if record.revoked_at is not None or record.jwks is None:
            raise TokenRefused("invalid_client", "The client has no registered keys, or was revoked.")
        seconds = int(now.timestamp())
        registry = JWTClaimsRegistry(
            now=seconds, leeway=LEEWAY_SECONDS, aud={"essential": True, "value": audience}, exp={"essential": True}, jti={"essential": True}, **who,
        )  # fmt: skip
        try:
            header = jws.extract_compact(assertion.encode()).headers()
            if not set(header) <= _HEADER or not isinstance(header.get("kid"), str):
                raise TokenRefused("invalid_client", "The assertion's header holds alg, kid and typ, and kid names a registered key.")
            keys = KeySet.import_key_set(msgspec.json.decode(record.jwks))
            claims = jwt.decode(assertion, keys.get_by_kid(header["kid"]), algorithms=list(ALGORITHMS)).claims
            registry.validate(claims)
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise TokenRefused("invalid_client", f"The assertion is not accepted: {_said(error)}.") from None
        if not isinstance(claims["jti"], str) or not 0 < len(claims["jti"]) <= 255 or not _is_plain(claims["jti"]):
            raise TokenRefused("invalid_client", "jti is a text of at most 255 printable ASCII characters.")
        if type(claims["exp"]) is not int or claims["exp"] > seconds + MAX_SECONDS + LEEWAY_SECONDS:
            raise TokenRefused("invalid_client", f"The assertion expires more than {MAX_SECONDS} seconds from now.")
        return claims


def _said(error: Exception) -> str:
    return getattr(error, "error", None) or type(error).__name__


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _named(assertion: str, claim: str) -> str:
    """The client an assertion says it is of, nothing of it verified yet."""
    try:
        claims = msgspec.json.decode(jws.extract_compact(assertion.encode()).payload)
        subject = claims[claim]
    except (JoseError, msgspec.DecodeError, UnicodeEncodeError, ValueError, KeyError, TypeError, RecursionError):
        raise TokenRefused("invalid_client", f"The assertion is not a signed JWT with {claim}.") from None
    if not isinstance(subject, str) or not _is_plain(subject):
        raise TokenRefused("invalid_client", f"{claim} is the client's id.")
    return subject


def checked_jwks(text: bytes) -> str:
    """A client's public keys as they are stored; InputError when a key is private, weak, of another kind or without a kid of its own."""
    issues = []
    try:
        document = msgspec.json.decode(text, type=dict[str, list[dict[str, Any]]])
        keys = document["keys"]
    except (msgspec.DecodeError, KeyError):
        issue = Issue("jwks", "", "This is not a JWK Set: an object with a list `keys`.", "Send the public keys as RFC 7517 says.")
        raise InputError("The keys cannot be registered", [issue]) from None
    if not 0 < len(keys) <= MAX_KEYS or len({key.get("kid") for key in keys}) != len(keys):
        issues.append(Issue("jwks", "/keys", f"A client has 1 to {MAX_KEYS} keys, each with a kid of its own.", "Name each key once."))
    for at, key in enumerate(keys):
        issues += [
            Issue("jwk", f"/keys/{at}", said, "Register a public RSA key of 2048 bits or more, or EC P-256 or P-384.")
            for said in _unfit(key)
        ]
    if issues:
        raise InputError("The keys cannot be registered", issues)
    return msgspec.json.encode({"keys": keys}).decode()


def _unfit(key: dict[str, Any]) -> list[str]:
    if not isinstance(key.get("kid"), str) or not key["kid"]:
        return ["The key has no kid."]
    try:
        if key.get("kty") == "RSA":
            modulus = base64.urlsafe_b64decode(str(key["n"]) + "==")
            if int.from_bytes(modulus).bit_length() < MIN_RSA_BITS:
                return ["The key is too short."]
            return ["The key is private: only its public part is registered."] if RSAKey.import_key(key).is_private else []
        if key.get("kty") == "EC" and key.get("crv") in ("P-256", "P-384"):
            return ["The key is private: only its public part is registered."] if ECKey.import_key(key).is_private else []
    except (JoseError, ValueError, TypeError, KeyError):
        return ["The key cannot be read."]
    return ["The key is of a kind that is not taken."]
