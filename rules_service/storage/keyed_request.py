"""A request that may be sent twice, as what it made remembers it."""

from __future__ import annotations

from dataclasses import dataclass

from rules_service.primitives.errors import IdempotencyMismatch


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request's idempotency key, and the SHA-256 of its body."""

    key: str
    sha256: str

    def must_have_sent(self, sha256: str) -> None:
        """IdempotencyMismatch where the body that has the key is another one."""
        if sha256 != self.sha256:
            raise IdempotencyMismatch("this idempotency key was used with another body")
