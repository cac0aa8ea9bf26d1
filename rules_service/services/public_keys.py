"""Public keys of callers (RFC 7517): registered as a set, or by the address where the caller publishes it."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from rules_service.primitives.errors import InputError, Issue
from rules_service.services.outbound import Outbound
from rules_service.storage.clients import ClientRecord

MAX_KEYS = 10
MIN_RSA_BITS = 2_048
MAX_SET_BYTES = 64 << 10
FETCH_SECONDS = 2.0
"""How long the address of keys is waited for: somebody waits for the answer to the call."""
FRESH_SECONDS = 300.0
"""How long fetched keys are used without asking again: a key taken out of the set is refused after this time."""
STALE_SECONDS = 3_600.0
"""How long they are used while their address does not answer."""
PAUSE_SECONDS = 10.0
"""An address is asked once in this time, however many calls name keys it does not have."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A JWK Set by its address: the keys that can be used, or why there are none."""

    keys: tuple[dict[str, Any], ...]
    failure: str | None = None


class PublicKeys:
    """The keys of callers. Those registered by address are fetched when they are needed, and kept in memory."""

    def __init__(
        self, outbound: Outbound, fresh: float = FRESH_SECONDS, stale: float = STALE_SECONDS, pause: float = PAUSE_SECONDS
    ) -> None:
        self._outbound, self._fresh, self._stale, self._pause = outbound, fresh, stale, pause
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._kept: dict[str, tuple[float, Fetched]] = {}
        self._asked: dict[str, float] = {}

    def named(self, record: ClientRecord, kid: str) -> dict[str, Any] | None:
        """The client's key with this id; None when it has none."""
        if record.jwks is not None:
            return _with_kid(msgspec.json.decode(record.jwks)["keys"], kid)
        if record.jwks_url is None:
            return None
        with self._locks[record.jwks_url]:
            return self._fetched_key(record.jwks_url, kid)

    def check(self, url: str) -> None:
        """InputError when nothing can be fetched from such an address: it is no URL, has no host, or leads where calls may not go."""
        asyncio.run(self._outbound.check(url))

    def fetch(self, url: str) -> Fetched:
        """Ask the address now."""
        sent = asyncio.run(self._outbound.get(url, MAX_SET_BYTES, FETCH_SECONDS))
        if sent.failure is not None:
            return Fetched((), sent.failure)
        try:
            keys = msgspec.json.decode(sent.body, type=dict[str, list[dict[str, Any]]])["keys"]
        except (msgspec.DecodeError, KeyError, RecursionError):
            return Fetched((), "no_jwk_set")
        # A set may hold keys for other uses and algorithms than ours; they are passed over.
        return Fetched(tuple(key for key in keys if key.get("use", "sig") == "sig" and not _unfit(key)))

    def _fetched_key(self, url: str, kid: str) -> dict[str, Any] | None:
        now = time.monotonic()
        at, kept = self._kept.get(url, (-self._stale, Fetched(())))
        key = _with_kid(kept.keys, kid)
        if key is not None and now - at < self._fresh:
            return key
        if now - self._asked.get(url, -self._pause) >= self._pause:
            self._asked[url] = now
            found = self.fetch(url)
            if found.failure is None:
                self._kept[url] = now, found
                return _with_kid(found.keys, kid)
        return key if now - at < self._stale else None


def _with_kid(keys: Iterable[dict[str, Any]], kid: str) -> dict[str, Any] | None:
    return next((key for key in keys if key["kid"] == kid), None)


def checked_jwks(text: bytes) -> str:
    """A client's public keys as they are stored; InputError when a key is private, weak, of another kind or without a kid of its own."""
    issues = []
    try:
        document = msgspec.json.decode(text, type=dict[str, list[dict[str, Any]]])
        keys = document["keys"]
    except (msgspec.DecodeError, KeyError, RecursionError):
        issue = Issue("jwks", "", "This is not a JWK Set: an object with a list `keys`.", "Send the public keys as RFC 7517 says.")
        raise InputError("The keys cannot be registered", [issue]) from None
    if not 0 < len(keys) <= MAX_KEYS or len({str(key.get("kid")) for key in keys}) != len(keys):
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
