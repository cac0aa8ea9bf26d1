"""Reading, verifying, signing and exporting the audit log."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rules_service.services.acting import Actor, now_utc
from rules_service.storage import audit_log, evidence, outbox
from rules_service.storage.database import Database
from rules_service.storage.key_file import kept_secret
from rules_service.workflow.audit_chain import GENESIS, Break, Event, Link, first_break
from rules_service.workflow.news import IntegrityFailed


@dataclass(frozen=True, slots=True)
class Verification:
    """How far the chain was read, its head, and the first place where it does not hold."""

    events: int
    head_hash: str
    base_seq: int
    base_hash: str
    unheld_checkpoints: tuple[int, ...]
    """Of events that retention has cut off: they could be held to nothing."""
    broken: Break | None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The heads of the log and of the seals over evaluations at an instant, signed: an auditor keeps it and holds the log to it later."""

    tenant_id: str
    seq: int
    hash: str
    seal: int
    seal_hash: str
    at: datetime
    public_key: str
    signature: str


def checkpoint_text(tenant_id: str, seq: int, hashed: str, seal: int, seal_hash: str, at: datetime) -> bytes:
    """The bytes that are signed: a title, the tenant, the log's last event and its hash, the last seal and its hash, the instant."""
    lines = ("payer rules service checkpoint", tenant_id, seq, hashed, seal, seal_hash, at.isoformat(timespec="microseconds"))
    return "".join(f"{line}\n" for line in lines).encode()


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key as base64 of its 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


class AuditTrail:
    """The audit log as its readers use it. Each use is itself an event."""

    def __init__(self, database: Database, key: Ed25519PrivateKey) -> None:
        self._database = database
        self._key = key

    def record(self, tenant_id: str, event: Event) -> None:
        """Write an event that tells of no change of data, such as a read of what is protected."""
        with self._database.writing() as connection:
            audit_log.append(connection, tenant_id, now_utc(), event)

    def events(self, actor: Actor, before: int | None, limit: int, filters: Mapping[str, str | None]) -> list[Link]:
        """Events newest first."""
        with self._database.reading() as connection:
            return audit_log.events(connection, actor.tenant_id, before, limit, **filters)

    def verify(self, actor: Actor, checkpoints: Mapping[int, str]) -> Verification:
        """Read the whole chain and hold it to its head and to the checkpoints; the first break is named."""
        with self._database.reading() as connection:
            seq, hashed = audit_log.head(connection, actor.tenant_id)
            base = audit_log.base(connection, actor.tenant_id)
            broken = first_break(audit_log.links(connection, actor.tenant_id), seq, hashed, checkpoints, base)
        event = actor.event("audit.verified", "audit_log", actor.tenant_id, events=seq, broken_at=broken.seq if broken else None)
        with self._database.writing() as connection:
            audit_log.append(connection, actor.tenant_id, now_utc(), event)
            if broken is not None:
                news = IntegrityFailed(found_by="audit_log_verification", audit_seq=broken.seq)
                outbox.send_out(connection, actor.tenant_id, news, now_utc())
        return Verification(seq, hashed, *base, tuple(sorted(one for one in checkpoints if one < base[0])), broken)

    def checkpoint(self, actor: Actor) -> Checkpoint:
        """The head as it stands, signed with Ed25519."""
        with self._database.reading() as connection:
            seq, hashed = audit_log.head(connection, actor.tenant_id)
            seal = evidence.last_seal(connection, actor.tenant_id)
        sealed = (seal.number, seal.hash) if seal is not None else (0, GENESIS)
        at = now_utc()
        signature = self._key.sign(checkpoint_text(actor.tenant_id, seq, hashed, *sealed, at))
        return Checkpoint(actor.tenant_id, seq, hashed, *sealed, at, public_text(self._key), base64.b64encode(signature).decode())

    def export(self, actor: Actor) -> Iterator[bytes]:
        """Every event as a line of JSON, and a last line that counts them and names the head, so that a cut file is seen."""
        self.record(actor.tenant_id, actor.event("audit.exported", "audit_log", actor.tenant_id))
        with self._database.reading() as connection:
            seq, hashed = audit_log.head(connection, actor.tenant_id)
            base_seq, base_hash = audit_log.base(connection, actor.tenant_id)
            for link in audit_log.links(connection, actor.tenant_id):
                if link.seq > seq:
                    break
                line = {"seq": link.seq, "prev_hash": link.prev_hash, "hash": link.hash, "body": link.body.decode()}
                yield msgspec.json.encode(line) + b"\n"
        yield msgspec.json.encode({"events": seq - base_seq, "head_hash": hashed, "base_seq": base_seq, "base_hash": base_hash}) + b"\n"


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The Ed25519 key of a file, made the first time."""
    return Ed25519PrivateKey.from_private_bytes(kept_secret(path, Ed25519PrivateKey.generate().private_bytes_raw))
