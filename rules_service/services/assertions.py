"""JWTs that callers sign with a registered key (RFC 7523 section 3): short-lived, for one address, and each used once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry
from joserfc.jwt import JWTClaimsRegistry

from rules_service.primitives.errors import RulesServiceError

ALGORITHMS = ("RS256", "RS384", "PS256", "PS384", "ES256", "ES384")
"""Signatures with a private key only: no shared secret, no `none`."""
MAX_SECONDS = 300
"""How far ahead an assertion may expire (SMART Backend Services)."""
LEEWAY_SECONDS = 10
MAX_ASSERTION = 8_192
MAX_ISSUER = 500
_HEADER = frozenset({"alg", "kid", "typ", "jku"})
"""What an assertion's header may hold: nothing in it may bring a key of the sender's choice, and `jku` must be the registered address."""
Key = Callable[[str], dict[str, Any] | None]
"""Gives the caller's key with an id, as JWK; None when it has none."""


class AssertionRefused(RulesServiceError):
    """An assertion that proves nothing. The description says what is wrong without repeating it."""

    def __init__(self, description: str) -> None:
        super().__init__(description)
        self.description = description


def claimed(assertion: str, claim: str, default: str | None = None) -> str:
    """What an assertion says of whom it is, nothing of it verified yet."""
    if len(assertion) > MAX_ASSERTION:
        raise AssertionRefused("The assertion is too long.")
    try:
        claims = msgspec.json.decode(jws.extract_compact(assertion.encode()).payload)
        said = claims[claim] if default is None else claims.get(claim, default)
    except (JoseError, msgspec.DecodeError, UnicodeEncodeError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AssertionRefused(f"The assertion is not a signed JWT with {claim}.") from None
    if not isinstance(said, str) or not is_plain(said):
        raise AssertionRefused(f"{claim} is a text of printable ASCII characters.")
    return said


def verified(
    assertion: str, key: Key, jku: str | None, audience: str, now: datetime, needs_iat: bool = False, **own: str
) -> dict[str, Any]:
    """The claims of an assertion signed with one of the caller's keys, for the audience; `own` are claims that must have these values.
    CDS Hooks asks for `iat`, RFC 7523 does not."""
    seconds = int(now.timestamp())
    who: dict[str, Any] = {name: {"essential": True, "value": value} for name, value in own.items()}
    registry = JWTClaimsRegistry(
        now=seconds, leeway=LEEWAY_SECONDS, aud={"essential": True, "value": audience}, exp={"essential": True}, iat={"essential": needs_iat}, jti={"essential": True}, **who,
    )  # fmt: skip
    try:
        header = jws.extract_compact(assertion.encode()).headers()
        if not set(header) <= _HEADER or not isinstance(header.get("kid"), str):
            raise AssertionRefused("The assertion's header holds alg, kid, typ and jku, and kid names a registered key.")
        if header.get("jku", jku) != jku:
            raise AssertionRefused("The jku of the assertion's header is not the address that was registered.")
        jwk = key(header["kid"])
        if jwk is None:
            raise AssertionRefused("The assertion's kid names no key of the client, or its keys could not be fetched.")
        claims = jwt.decode(assertion, JWKRegistry.import_key(jwk), algorithms=list(ALGORITHMS)).claims
        registry.validate(claims)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise AssertionRefused(f"The assertion is not accepted: {_said(error)}.") from None
    if not isinstance(claims["jti"], str) or not 0 < len(claims["jti"]) <= 255 or not is_plain(claims["jti"]):
        raise AssertionRefused("jti is a text of at most 255 printable ASCII characters.")
    if type(claims["exp"]) is not int or claims["exp"] > seconds + MAX_SECONDS + LEEWAY_SECONDS:
        raise AssertionRefused(f"The assertion expires more than {MAX_SECONDS} seconds from now.")
    return claims


def usable_until(claims: dict[str, Any]) -> datetime:
    """Until when the use of an assertion must be remembered."""
    return datetime.fromtimestamp(claims["exp"], UTC) + timedelta(seconds=2 * LEEWAY_SECONDS)


def is_issuer(text: str) -> bool:
    """Whether a text is a URI, as the names of issuers are and the ids of clients are not."""
    return 0 < len(text) <= MAX_ISSUER and is_plain(text) and ":" in text and " " not in text


def is_plain(text: str) -> bool:
    """Whether a text can be stored and compared as it is."""
    return text.isascii() and text.isprintable()


def _said(error: Exception) -> str:
    """The library's code of what is wrong, and which claim it is about."""
    code, claim = getattr(error, "error", None) or type(error).__name__, getattr(error, "claim", None)
    return f"{code} {claim}" if claim else str(code)
