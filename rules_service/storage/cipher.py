"""Encryption of claim bodies (PHI): AES-256-GCM, one random nonce a record, bound to tenant and evaluation."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rules_service.storage.key_file import kept_secret

CLAIM_KEY_FILE = "claim.key"


@dataclass(frozen=True, slots=True)
class Sealed:
    """Ciphertext, its nonce and the key's name."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


class ClaimCipher:
    """Seals claim bodies with the current 256-bit key and opens those sealed with any key it knows. No key is in the database.

    What is searched for by keyed hash has a key of its own, so that it stays findable when the claim key is rotated.
    """

    def __init__(
        self,
        keys: Sequence[bytes],
        search_key: bytes,
        reload: Callable[[], Sequence[bytes]] | None = None,
        changed: Callable[[], object] | None = None,
    ) -> None:
        self._search_key = search_key
        self._reload = reload
        self._changed = changed
        self._seen = changed() if changed is not None else None
        self._know(keys)

    def _know(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in (*keys, self._search_key)):
            raise ValueError(
                "a key has 32 bytes, given as base64: leave CLAIM_KEY and SEARCH_KEY out and the service makes its own key files"
            )
        self._ciphers = {key_name(key): AESGCM(key) for key in keys}
        self.key_id = key_name(keys[0])

    def reload(self) -> None:
        """Read the key file again, when the keys came from one."""
        if self._reload is not None:
            self._seen = self._changed() if self._changed is not None else None  # before the keys: a later change is seen again
            self._know(self._reload())

    @classmethod
    def from_settings(cls, claim_keys: str | None, search_key: str | None, folder: Path) -> ClaimCipher:
        """Keys given as base64 (the current one first, those before it after commas), else those of files made once for their owner."""
        if bool(claim_keys) != bool(search_key):
            raise ValueError("CLAIM_KEY and SEARCH_KEY are given both or neither: machines that share a database must share both")
        if claim_keys and search_key:
            return cls([base64.b64decode(one, validate=True) for one in claim_keys.split(",")], base64.b64decode(search_key, validate=True))
        path = folder / CLAIM_KEY_FILE

        def kept() -> list[bytes]:
            return [base64.b64decode(line, validate=True) for line in kept_secret(path, new_key_text).split()]

        def state_of_the_file() -> object:
            found = path.stat()
            return found.st_ino, found.st_mtime_ns

        keys = kept()
        return cls(keys, base64.b64decode(kept_secret(folder / "search.key", new_key_text), validate=True), kept, state_of_the_file)

    def seal(self, body: bytes, tenant_id: str, evaluation_id: str) -> Sealed:
        """Encrypt a claim body with the newest key, also when another process has put one into the key file since."""
        if self._changed is not None and self._changed() != self._seen:
            self.reload()
        nonce = os.urandom(12)
        sealed = self._ciphers[self.key_id].encrypt(nonce, body, f"{tenant_id}/{evaluation_id}".encode())
        return Sealed(self.key_id, nonce, sealed)

    def open(self, sealed: Sealed, tenant_id: str, evaluation_id: str) -> bytes:
        """Decrypt a claim body; ValueError when key, tenant, evaluation or bytes are not those it was sealed with."""
        if sealed.key_id not in self._ciphers:
            self.reload()  # another process may have rotated the key
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise ValueError("the claim body was sealed with a key that is not known here")
        try:
            return cipher.decrypt(sealed.nonce, sealed.ciphertext, f"{tenant_id}/{evaluation_id}".encode())
        except InvalidTag:
            raise ValueError("the claim body cannot be opened with this key") from None

    def lineage(self, *parts: str) -> str:
        """The lineage id of a claim: equal for every check of one claim, keyed so that it tells nothing of the parts."""
        digest = hmac.new(self._search_key, b"lineage\x1f" + "\x1f".join(parts).encode(), hashlib.sha256).hexdigest()
        return f"li_{digest[:32]}"

    def control_hash(self, tenant_id: str, number: str) -> str:
        """The keyed hash by which a patient control number is found, and from which it cannot be read."""
        return hmac.new(self._search_key, f"control\x1f{tenant_id}\x1f{number}".encode(), hashlib.sha256).hexdigest()


def key_name(key: bytes) -> str:
    """The name of a key, which stands with what it sealed."""
    return hashlib.sha256(b"claim-key-id" + key).hexdigest()[:16]


def new_key_text() -> bytes:
    """A new random key as base64."""
    return base64.b64encode(os.urandom(32))
