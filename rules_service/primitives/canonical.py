"""Canonical bytes and their hashes: what content addressing and replay compare.

The profile is RFC 8785 restricted to text, whole numbers below 2^53, booleans, null, lists and text keys,
for which sorted-key JSON without spaces is the same bytes.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical_bytes(value: Any) -> bytes:
    """Sorted-key JSON of plain data."""
    return _ENCODER.encode(value)


def sha256_hex(data: bytes) -> str:
    """Lower-case hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()


def content_hash(value: Any) -> str:
    """SHA-256 of the canonical bytes of plain data."""
    return sha256_hex(canonical_bytes(value))
