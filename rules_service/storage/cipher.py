"""Encryption of claim bodies (PHI): AES-256-GCM, one random nonce a record, bound to tenant and evaluation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rules_service.storage.key_file import kept_secret


@dataclass(frozen=True, slots=True)
class Sealed:
    """Ciphertext, its nonce and the key's name."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


class ClaimCipher:
    """Seals and opens claim bodies with one 256-bit key. The key is never in the database."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("the claim key has 32 bytes, given as base64: leave CLAIM_KEY out and the service makes its own key file")
        self._cipher = AESGCM(key)
        self._lineage_key = hmac.new(key, b"lineage", hashlib.sha256).digest()
        self.key_id = hashlib.sha256(b"claim-key-id" + key).hexdigest()[:16]

    @classmethod
    def from_text_or_file(cls, text: str | None, path: Path) -> ClaimCipher:
        """The key given as base64, else the one in a file, made once with owner-only permission."""
        if text:
            return cls(base64.b64decode(text, validate=True))
        return cls(base64.b64decode(kept_secret(path, lambda: base64.b64encode(os.urandom(32))), validate=True))

    def seal(self, body: bytes, tenant_id: str, evaluation_id: str) -> Sealed:
        """Encrypt a claim body."""
        nonce = os.urandom(12)
        return Sealed(self.key_id, nonce, self._cipher.encrypt(nonce, body, f"{tenant_id}/{evaluation_id}".encode()))

    def open(self, sealed: Sealed, tenant_id: str, evaluation_id: str) -> bytes:
        """Decrypt a claim body; ValueError when key, tenant, evaluation or bytes are not those it was sealed with."""
        try:
            return self._cipher.decrypt(sealed.nonce, sealed.ciphertext, f"{tenant_id}/{evaluation_id}".encode())
        except InvalidTag:
            raise ValueError("the claim body cannot be opened with this key") from None

    def lineage(self, *parts: str) -> str:
        """The lineage id of a claim: equal for every check of one claim, keyed so that it tells nothing of the parts."""
        digest = hmac.new(self._lineage_key, "\x1f".join(parts).encode(), hashlib.sha256).hexdigest()
        return f"li_{digest[:32]}"
