"""The verifier's side of Merkle proofs, written from RFC 9162 and not from the service's code."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_inclusion(leaf: bytes, position: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its audit path lead to; None when the path does not fit the tree (RFC 9162 section 2.1.3.2)."""
    if not 0 <= position < count:
        return None
    node, last, found = position, count - 1, leaf
    for step in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            found = _node(step, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = _node(found, step)
        node, last = node >> 1, last >> 1
    return found if last == 0 else None
