"""Repository of content by its hash: reference editions, pack tables, the files of packs."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, insert, select

from rules_service.primitives.canonical import canonical_bytes, sha256_hex
from rules_service.primitives.errors import NotFound
from rules_service.storage import tables as t

_blob = t.core(t.Blob)


def store_blob(connection: Connection, tenant_id: str, blob: bytes) -> str:
    """Store bytes once; their hash."""
    sha256 = sha256_hex(blob)
    known = connection.execute(select(_blob.c.size).where(_blob.c.tenant_id == tenant_id, _blob.c.sha256 == sha256)).first()
    if known is None:
        connection.execute(insert(_blob).values(tenant_id=tenant_id, sha256=sha256, size=len(blob), compressed=zlib.compress(blob, 1)))
    return sha256


def blob(connection: Connection, tenant_id: str, sha256: str) -> bytes:
    """The bytes of a hash, checked; NotFound when there are none."""
    row = connection.execute(select(_blob.c.compressed).where(_blob.c.tenant_id == tenant_id, _blob.c.sha256 == sha256)).first()
    if row is None:
        raise NotFound("no such content")
    data = zlib.decompress(row.compressed)
    if sha256_hex(data) != sha256:
        raise ValueError(f"the stored content {sha256} is damaged")
    return data


def store_files(connection: Connection, tenant_id: str, files: Mapping[str, str]) -> str:
    """Store a pack's files; their hash."""
    return store_blob(connection, tenant_id, canonical_bytes(dict(files)))


def source_files(connection: Connection, tenant_id: str, sha256: str) -> dict[str, str]:
    """The files of a pack by their paths."""
    return msgspec.json.decode(blob(connection, tenant_id, sha256), type=dict[str, str])
