"""Merkle trees as RFC 6962 section 2.1 defines them: the root over a batch, and the proof that a leaf is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf: a leading 0 keeps it apart from every node."""
    return hashlib.sha256(b"\x00" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two smaller than a count of two or more."""
    return 1 << ((count - 1).bit_length() - 1)


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; of none, the hash of nothing."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    at = _split(len(leaves))
    return _node(root(leaves[:at]), root(leaves[at:]))


def inclusion(leaves: Sequence[bytes], position: int) -> list[bytes]:
    """The audit path of a leaf, from the bottom up."""
    if len(leaves) <= 1:
        return []
    at = _split(len(leaves))
    if position < at:
        return [*inclusion(leaves[:at], position), root(leaves[at:])]
    return [*inclusion(leaves[at:], position - at), root(leaves[:at])]
