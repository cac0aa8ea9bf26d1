"""Public keys of callers (RFC 7517): which are taken."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from rules_service.primitives.errors import InputError, Issue

MAX_KEYS = 10
MIN_RSA_BITS = 2_048


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
