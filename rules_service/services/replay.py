"""Judge a stored claim again: with what was pinned, as known at an instant, or as known now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from rules_service.claim.claim import Claim
from rules_service.claim.codec import decode_value
from rules_service.engine.evaluate import judge
from rules_service.findings.comparison import compared, judged_part, plain
from rules_service.primitives.canonical import canonical_bytes, sha256_hex
from rules_service.primitives.errors import NotFound
from rules_service.reference.lookups import Lookups
from rules_service.services.acting import Actor, now_utc
from rules_service.services.snapshot import Snapshot, SnapshotRegistry
from rules_service.services.validate_claim import ENGINE_VERSION
from rules_service.storage import audit_log, catalog, evaluations, outbox, publication_history
from rules_service.storage.cipher import ClaimCipher
from rules_service.storage.database import Database
from rules_service.workflow.news import IntegrityFailed

Mode = Literal["reproduce", "as_known_at", "as_known_now"]
Verdict = Literal["reproduced", "diverged", "cannot_reproduce"]
CONTRADICTED = ("input_differs_from_its_hash", "unexplained")
"""Reasons that say what is stored is not what was judged: neither the engine nor the rules changed."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What judging again came to. `reason` is engine_changed or rules_changed when it diverged, or why it cannot be reproduced."""

    evaluation_id: str
    mode: Mode
    verdict: Verdict
    reason: str | None
    catalog_epoch: int | None
    engine_then: str
    engine_now: str
    difference: dict[str, Any] | None


class Replays:
    """Replays stored evaluations. Asking is itself audited."""

    def __init__(self, database: Database, registry: SnapshotRegistry, cipher: ClaimCipher, hold: frozenset[str]) -> None:
        self._database = database
        self._registry = registry
        self._cipher = cipher
        self._hold = hold

    def replay(self, actor: Actor, evaluation_id: str, mode: Mode, known_at: datetime | None = None) -> Replayed:
        """The verdict on one evaluation; NotFound for an evaluation or instant the tenant does not have."""
        replayed = self._replay(actor.tenant_id, evaluation_id, mode, known_at)
        event = actor.event(
            "evaluation.replayed", "evaluation", evaluation_id, mode=mode, verdict=replayed.verdict, because=replayed.reason, catalog_epoch=replayed.catalog_epoch
        )  # fmt: skip
        with self._database.writing() as connection:
            audit_log.append(connection, actor.tenant_id, now_utc(), event)
            if replayed.reason in CONTRADICTED:
                news = IntegrityFailed(found_by="replay", evaluation_id=evaluation_id)
                outbox.send_out(connection, actor.tenant_id, news, now_utc())
        return replayed

    def _replay(self, tenant_id: str, evaluation_id: str, mode: Mode, known_at: datetime | None) -> Replayed:
        with self._database.reading() as connection:
            stored = evaluations.read_evaluation(connection, tenant_id, evaluation_id)
            epoch = stored.catalog_epoch
            if mode == "as_known_now":
                epoch = catalog.current_epoch(connection, tenant_id)
            elif mode == "as_known_at" and known_at is not None:
                epoch = publication_history.epoch_at(connection, tenant_id, known_at)
        pins = msgspec.json.decode(stored.body)["pins"]
        engine_then = str(pins["engine_version"])

        def answer(verdict: Verdict, reason: str | None, difference: dict[str, Any] | None = None) -> Replayed:
            return Replayed(evaluation_id, mode, verdict, reason, epoch, engine_then, ENGINE_VERSION, difference)

        if stored.sealed is None:
            return answer("cannot_reproduce", "input_erased")
        body = self._cipher.open(stored.sealed, tenant_id, evaluation_id)
        if sha256_hex(body) != pins["input_sha256"]:
            return answer("cannot_reproduce", "input_differs_from_its_hash")
        claim = msgspec.json.decode(body, type=Claim, dec_hook=decode_value)
        try:
            snapshot = self._snapshot(tenant_id, epoch)
            policy, view = snapshot.policy_for(claim)
            judged = plain(judge(policy, view, Lookups(snapshot.editions), self._hold).judgement)
        except (NotFound, ValueError):
            return answer("cannot_reproduce", "reference_missing")
        before = judged_part(stored.body)
        if canonical_bytes(judged) == canonical_bytes(before):
            return answer("reproduced", None)
        reason = "engine_changed" if engine_then != ENGINE_VERSION else "rules_changed" if epoch != stored.catalog_epoch else "unexplained"
        return answer("diverged", reason, compared(before, judged))

    def _snapshot(self, tenant_id: str, epoch: int) -> Snapshot:
        current = self._registry.current(tenant_id)
        return current if current.epoch == epoch else self._registry.at(tenant_id, epoch)
