"""Seals: a Merkle root over each batch of evaluations, chained and signed, so that nobody alters or removes one unseen.

Chaining every evaluation would halve what the database takes, so they are sealed in batches a few seconds later. The same pass
writes their findings by rule, which is what searches by rule read.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.exc import IntegrityError

from rules_service.primitives.canonical import canonical_bytes
from rules_service.primitives.money import Money
from rules_service.services.acting import Actor, now_utc
from rules_service.services.audit import public_text
from rules_service.services.jobs import JobRun, Jobs
from rules_service.storage import audit_log, catalog, evidence
from rules_service.storage.database import Database
from rules_service.storage.evidence import SealRecord
from rules_service.storage.jobs import JobRecord
from rules_service.workflow.audit_chain import GENESIS
from rules_service.workflow.merkle import leaf_hash, root
from rules_service.workflow.news import IntegrityFailed

BATCH = 1_000
ROUNDS = 100
"""Of these, one looks further back."""


class _Finding(msgspec.Struct):
    rule_id: str
    rule_version: int
    code: str
    severity: str
    finding_key: str
    amount_at_risk: str


class _Findings(msgspec.Struct):
    findings: list[_Finding]


_body = msgspec.json.Decoder(_Findings)
_preview = msgspec.json.Decoder(list[_Finding])


class Sealing:
    """Seals what no seal covers yet, and verifies what was sealed."""

    def __init__(self, database: Database, key: Ed25519PrivateKey, work: Jobs) -> None:
        self._database = database
        self._key = key
        self._jobs = work
        self._rounds = 0
        work.handle("verify_evaluations", self._verify, _broken_seal)

    def seal_all(self) -> int:
        """Seal every tenant's unsealed evaluations; how many. Now and then a round looks further back, for one committed late."""
        self._rounds += 1
        look_back = evidence.SETTLED_FOR_CERTAIN if self._rounds % ROUNDS == 1 else evidence.SETTLED
        with self._database.reading() as connection:
            found = evidence.tenants(connection)
        return sum(self.seal(tenant_id, look_back) for tenant_id in found)

    def seal(self, tenant_id: str, look_back: timedelta = evidence.SETTLED_FOR_CERTAIN) -> int:
        """Seal a tenant's unsealed evaluations, batch by batch; how many."""
        sealed = 0
        while True:
            with self._database.reading() as connection:
                waiting = evidence.unsealed(connection, tenant_id, BATCH, look_back)
            if not waiting:
                return sealed
            leaves = [(evaluation_id, leaf_hash(data)) for evaluation_id, data, _, _ in waiting]
            entries = [entry for evaluation_id, _, body, preview in waiting for entry in _entries(evaluation_id, body, preview)]
            try:
                with self._database.writing() as connection:
                    catalog.lock_tenant(connection, tenant_id)
                    seal = self._next(evidence.last_seal(connection, tenant_id), [hashed for _, hashed in leaves])
                    evidence.add_seal(connection, tenant_id, seal, [(one, hashed.hex()) for one, hashed in leaves], entries)
            except IntegrityError:
                return sealed  # another process sealed some of these meanwhile
            sealed += len(waiting)
            if len(waiting) < BATCH:
                return sealed

    def _next(self, last: SealRecord | None, leaves: Sequence[bytes]) -> SealRecord:
        number, prev_hash = (last.number + 1, last.hash) if last is not None else (1, GENESIS)
        now, top = now_utc(), root(leaves).hex()
        hashed = seal_hash(number, len(leaves), top, prev_hash, now.isoformat(timespec="microseconds"))
        signature = base64.b64encode(self._key.sign(hashed.encode())).decode()
        return SealRecord(number, len(leaves), top, prev_hash, hashed, now, public_text(self._key), signature)

    def start_verification(self, actor: Actor, kept: Mapping[int, str]) -> str:
        """Have every sealed evaluation held to its seal, and the seals to those an auditor kept; the job's id."""
        with self._database.writing() as connection:
            parameters = {"kept": {str(number): hashed for number, hashed in kept.items()}}
            job_id = self._jobs.make(connection, actor.tenant_id, actor.name, "verify_evaluations", parameters)
            event = actor.event("evaluations.verification_started", "job", job_id)
            audit_log.append(connection, actor.tenant_id, now_utc(), event)
        return job_id

    def _verify(self, run: JobRun) -> Mapping[str, Any]:
        kept = {int(number): hashed for number, hashed in run.parameters["kept"].items()}
        with self._database.reading() as connection:
            found = evidence.seals(connection, run.tenant_id)
            unsealed = len(evidence.unsealed(connection, run.tenant_id, BATCH, None))
        prev_hash, evaluations = GENESIS, 0
        for at, seal in enumerate(found, 1):
            with self._database.reading() as connection:
                leaves = evidence.leaves_of(connection, run.tenant_id, seal.number)
            broken = _broken(at, prev_hash, seal, leaves) or (
                "the seal differs from the one kept of it" if kept.pop(seal.number, seal.hash) != seal.hash else None
            )
            if broken is not None:
                evaluation_id = next((one for one, hashed, data in leaves if data is None or leaf_hash(data).hex() != hashed), None)
                return {"holds": False, "seals": len(found), "broken_seal": at, "evaluation_id": evaluation_id, "why": broken}
            prev_hash, evaluations = seal.hash, evaluations + len(leaves)
            run.go_on(at, len(found))
        if kept:
            why = "there are fewer seals than were kept"
            return {"holds": False, "seals": len(found), "broken_seal": len(found) + 1, "evaluation_id": None, "why": why}
        return {"holds": True, "seals": len(found), "evaluations": evaluations, "not_yet_sealed": unsealed, "head_hash": prev_hash}


def _broken_seal(record: JobRecord, result: Mapping[str, Any]) -> IntegrityFailed | None:
    if result["holds"]:
        return None
    return IntegrityFailed(found_by=record.job_id, seal=result["broken_seal"], evaluation_id=result["evaluation_id"])


def seal_hash(number: int, leaves: int, top: str, prev_hash: str, sealed_at: str) -> str:
    """The hash of a seal, which covers the seal before it."""
    told = canonical_bytes({"number": number, "leaves": leaves, "root": top, "sealed_at": sealed_at})
    return hashlib.sha256(prev_hash.encode() + b"\n" + told).hexdigest()


def _broken(at: int, prev_hash: str, seal: SealRecord, leaves: Sequence[tuple[str, str, bytes | None]]) -> str | None:
    """Why a seal does not hold; None when it does."""
    if seal.number != at:
        return "a seal is missing"
    if seal.prev_hash != prev_hash:
        return "the seal does not follow the one before it"
    if seal_hash(seal.number, seal.leaves, seal.root, seal.prev_hash, seal.sealed_at.isoformat(timespec="microseconds")) != seal.hash:
        return "the seal's content is not what its hash covers"
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(seal.public_key))
        key.verify(base64.b64decode(seal.signature), seal.hash.encode())
    except (InvalidSignature, ValueError):
        return "the seal's signature is not its key's"
    if any(data is None for _, _, data in leaves):
        return "a sealed evaluation is missing"
    if any(data is not None and leaf_hash(data).hex() != hashed for _, hashed, data in leaves):
        return "an evaluation is not what was sealed"
    if len(leaves) != seal.leaves or root([bytes.fromhex(hashed) for _, hashed, _ in leaves]).hex() != seal.root:
        return "the seal's leaves are not those it was made over"
    return None


def _entries(evaluation_id: str, body: bytes, preview: bytes | None) -> list[dict[str, Any]]:
    told = [(one, False) for one in _body.decode(body).findings]
    told += [(one, True) for one in _preview.decode(preview)] if preview is not None else []
    return [
        {
            "evaluation_id": evaluation_id, "number": number, "rule_id": one.rule_id, "rule_version": one.rule_version, "code": one.code,
            "severity": one.severity, "finding_key": one.finding_key, "cents_at_risk": Money.parse(one.amount_at_risk).cents, "is_preview": is_preview,
        }
        for number, (one, is_preview) in enumerate(told)
    ]  # fmt: skip
