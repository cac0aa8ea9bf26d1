"""A request that may be sent twice, as what it made remembers it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request's idempotency key, and the SHA-256 of its body."""

    key: str
    sha256: str
