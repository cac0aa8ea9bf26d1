"""The audit log as a chain of hashes: each event's hash covers the one before it.

An edit, a deletion in the middle, an insertion and a reordering are found from the chain alone. A tail cut off together with
the tenant's head, an old backup put back, or a chain hashed anew from the start are found only against a checkpoint that was
kept elsewhere (45 CFR 164.312(b) and (c)(1)).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from rules_service.primitives.canonical import canonical_bytes

CUT = "retention.audit_log_cut"
"""The action of the event that tells where the log was cut."""
GENESIS = "0" * 64
"""The hash before the first event."""


@dataclass(frozen=True, slots=True)
class Event:
    """Who did what to which object, when and why. `details` is plain data without PHI."""

    actor: str
    action: str
    object_type: str
    object_id: str
    reason: str | None = None
    request_id: str | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A stored event: its place, its canonical bytes, the columns beside them, and the hashes."""

    seq: int
    prev_hash: str
    hash: str
    body: bytes
    columns: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where the chain does not hold, and why."""

    seq: int
    why: str


def event_body(seq: int, at: datetime, event: Event) -> bytes:
    """The canonical bytes of an event at its place."""
    return canonical_bytes(
        {
            "seq": seq,
            "at": at.isoformat(timespec="microseconds"),
            "actor": event.actor,
            "action": event.action,
            "object_type": event.object_type,
            "object_id": event.object_id,
            "reason": event.reason,
            "request_id": event.request_id,
            "details": dict(event.details or {}),
        }
    )


def link_hash(prev_hash: str, body: bytes) -> str:
    """SHA-256 over the hash before, a line feed and the event's bytes."""
    return hashlib.sha256(prev_hash.encode() + b"\n" + body).hexdigest()


def first_break(
    links: Iterable[Link], head_seq: int, head_hash: str, checkpoints: Mapping[int, str] | None = None, base: tuple[int, str] = (0, GENESIS)
) -> Break | None:
    """The first event that is not what was written, in order of `seq`; None when the whole chain holds.

    `checkpoints` gives hashes by `seq` as they were once seen from outside. `base` is the last event that retention has cut off, which
    an event of the log must tell; checkpoints of events before it cannot be held to anything any more.
    """
    last_seq, last_hash = base
    is_told = last_seq == 0
    kept = {seq: hashed for seq, hashed in (checkpoints or {}).items() if seq >= last_seq}
    if kept.pop(last_seq, last_hash) != last_hash:
        return Break(last_seq, "the base of the log differs from the checkpoint kept of it")
    for link in links:
        if link.seq != last_seq + 1:
            return Break(last_seq + 1, "an event is missing" if link.seq > last_seq else "an event stands twice")
        if link.prev_hash != last_hash:
            return Break(link.seq, "the event does not follow the one before it")
        if link_hash(link.prev_hash, link.body) != link.hash:
            return Break(link.seq, "the event's content is not what its hash covers")
        written = msgspec.json.decode(link.body)
        if any(written.get(name) != value for name, value in {"seq": link.seq, **link.columns}.items()):
            return Break(link.seq, "a column differs from the event's content")
        if kept.pop(link.seq, link.hash) != link.hash:
            return Break(link.seq, "the event differs from the checkpoint kept of it")
        if not is_told and written["action"] == CUT:
            is_told = (written["details"]["base_seq"], written["details"]["base_hash"]) == base
        last_seq, last_hash = link.seq, link.hash
    if last_seq != head_seq or last_hash != head_hash:
        return Break(min(last_seq, head_seq) + 1, "the log does not end where the tenant's head says")
    if not is_told:
        return Break(base[0], "the beginning of the log was cut off, and no event tells of it")
    if kept:
        return Break(last_seq + 1, "the log is shorter than a checkpoint kept of it")
    return None
