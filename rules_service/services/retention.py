"""Claims of patients: read with a trace, erased on request or when their days are over, held for the law, sealed anew with another key (webhook secrets with them).

Evidence stays: an evaluation outlives its claim, and replay then answers `input_erased`. The audit log is cut only at its beginning,
at an event whose hash is kept, so that what is left still verifies.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection

from rules_service.primitives.errors import InputError, Issue, NotFound, Refused, RulesServiceError
from rules_service.services.acting import Actor, audited_refusal, now_utc
from rules_service.services.jobs import JobRun, Jobs
from rules_service.services.snapshot import PayerDirectory
from rules_service.services.webhooks import seal_anew
from rules_service.storage import audit_log, catalog, evaluations, evidence, jobs, outbox, retention, webhooks
from rules_service.storage.cipher import ClaimCipher
from rules_service.storage.database import Database
from rules_service.storage.ids import new_id
from rules_service.storage.retention import HoldRecord
from rules_service.workflow.audit_chain import CUT

STEP = 200
NEWS_DAYS = 30
"""How long it can be seen what was sent to webhook endpoints, and asked for again."""


class Retention:
    """What happens to stored claims, and to the oldest of the audit log."""

    def __init__(self, database: Database, cipher: ClaimCipher, work: Jobs, input_days: int, audit_days: int) -> None:
        self._database = database
        self._cipher = cipher
        self._jobs = work
        self._input_days = input_days
        self._audit_days = audit_days
        work.handle("retention", self._retain)
        work.handle("claim_key_rotation", self._rotate)

    def read_input(self, actor: Actor, evaluation_id: str) -> bytes:
        """The claim as it was judged. The audit event of reading it is committed before anything of it is given."""
        with self._database.writing() as connection:
            stored = evaluations.read_evaluation(connection, actor.tenant_id, evaluation_id)
            if stored.sealed is None:
                raise Refused("input-erased", "The claim of this evaluation was erased.")
            event = actor.event("evaluation.input_read", "evaluation", evaluation_id)
            audit_log.append(connection, actor.tenant_id, now_utc(), event)
        return self._cipher.open(stored.sealed, actor.tenant_id, evaluation_id)

    def erase(self, actor: Actor, evaluation_id: str, reason: str) -> None:
        """Erase the claim of an evaluation now. Refused while a legal hold keeps it."""
        with (
            audited_refusal(self._database, actor, "evaluation.input_erased", "evaluation", evaluation_id),
            self._database.writing() as connection,
        ):
            catalog.lock_tenant(connection, actor.tenant_id)  # no hold is placed meanwhile
            stored = evaluations.read_evaluation(connection, actor.tenant_id, evaluation_id)
            if stored.sealed is None:
                raise Refused("input-erased", "The claim of this evaluation was erased already.")
            if retention.is_held(connection, actor.tenant_id, evaluation_id):
                raise Refused("legal-hold", "A legal hold keeps this claim: release it first.")
            retention.erase_inputs(connection, actor.tenant_id, [evaluation_id])
            event = actor.event("evaluation.input_erased", "evaluation", evaluation_id, reason)
            audit_log.append(connection, actor.tenant_id, now_utc(), event)

    def place_hold(
        self, actor: Actor, reason: str, lineage_id: str | None, payer_id: str | None, first: date | None, last: date | None
    ) -> HoldRecord:
        """Keep claims from being erased, whoever asks, until the hold is released."""
        now = now_utc()
        if first is not None and last is not None and last < first:
            issue = Issue("dates_swapped", "/evaluated_through", "The hold ends before it begins.", "Swap the dates.")
            raise InputError("The hold would hold nothing", [issue])
        with self._database.writing() as connection:
            catalog.lock_tenant(connection, actor.tenant_id)
            payer_id = self._known(connection, actor.tenant_id, lineage_id, payer_id)
            record = HoldRecord(new_id("lh"), lineage_id, payer_id, first, last, reason, actor.name, now)
            retention.add_hold(connection, actor.tenant_id, record)
            audit_log.append(connection, actor.tenant_id, now, actor.event("legal_hold.placed", "legal_hold", record.hold_id, reason))
        return record

    def _known(self, connection: Connection, tenant_id: str, lineage_id: str | None, payer_id: str | None) -> str | None:
        """The payer's own id, whatever name it was called by; a hold on a payer or claim nobody knows is refused: it would hold nothing."""
        if lineage_id is not None and not retention.has_lineage(connection, tenant_id, lineage_id):
            issue = Issue("unknown_lineage", "/lineage_id", "No stored evaluation is of this claim.", "Take lineage_id from an evaluation.")
            raise InputError("The hold would hold nothing", [issue])
        if payer_id is None:
            return None
        payers = PayerDirectory(catalog.payers(connection, tenant_id, catalog.current_epoch(connection, tenant_id)))
        found = payers.named(payer_id)
        if found is None:
            raise InputError(
                "The hold would hold nothing",
                [Issue("unknown_payer", "/payer_id", "No payer has this id or alias.", "See GET /v1/payers.")],
            )
        return found.payer_id

    def release_hold(self, actor: Actor, hold_id: str, reason: str) -> HoldRecord:
        """Let claims go their way again."""
        with audited_refusal(self._database, actor, "legal_hold.released", "legal_hold", hold_id), self._database.writing() as connection:
            if retention.holds(connection, actor.tenant_id, hold_id)[0].released_at is not None:
                raise Refused("state-conflict", "The hold was released already.")
            now = now_utc()
            retention.release_hold(connection, actor.tenant_id, hold_id, reason, actor.name, now)
            audit_log.append(connection, actor.tenant_id, now, actor.event("legal_hold.released", "legal_hold", hold_id, reason))
            return retention.holds(connection, actor.tenant_id, hold_id)[0]

    def holds(self, actor: Actor) -> list[HoldRecord]:
        """Every hold, newest first."""
        with self._database.reading() as connection:
            return list(reversed(retention.holds(connection, actor.tenant_id)))

    def ensure_daily(self) -> None:
        """Have each tenant's retention run once a day (UTC)."""
        midnight = now_utc().replace(hour=0, minute=0, second=0, microsecond=0)
        with self._database.reading() as connection:
            waiting = [one for one in evidence.tenants(connection) if not jobs.made_since(connection, one, "retention", midnight)]
        for tenant_id in waiting:
            with self._database.writing() as connection:
                catalog.lock_tenant(connection, tenant_id)
                if not jobs.made_since(connection, tenant_id, "retention", midnight):
                    self._jobs.make(connection, tenant_id, "schedule", "retention", {})

    def _retain(self, run: JobRun) -> Mapping[str, Any]:
        now = now_utc()
        cutoff, erased = now - timedelta(days=self._input_days), 0
        while True:
            with self._database.writing() as connection:
                catalog.lock_tenant(connection, run.tenant_id)
                ids = retention.expired_inputs(connection, run.tenant_id, cutoff, STEP)
                if not ids:
                    break
                erased += retention.erase_inputs(connection, run.tenant_id, ids)
                self._tell(connection, run, "retention.inputs_erased", now, {"claims": len(ids), "before": cutoff.isoformat()})
            run.go_on(erased, erased)
        with self._database.writing() as connection:
            webhooks.forget(connection, run.tenant_id, now - timedelta(days=NEWS_DAYS))
            outbox.forget(connection, run.tenant_id, now - timedelta(days=NEWS_DAYS))
        purged = self._cut_audit_log(run, now - timedelta(days=self._audit_days), now)
        return {"claims_erased": erased, "evaluated_before": cutoff.isoformat(), "audit_events_purged": purged}

    def _cut_audit_log(self, run: JobRun, cutoff: datetime, now: datetime) -> int:
        with self._database.writing() as connection:
            catalog.lock_tenant(connection, run.tenant_id)
            if retention.has_holds(connection, run.tenant_id):
                return 0
            base, _ = audit_log.base(connection, run.tenant_id)
            head, _ = audit_log.head(connection, run.tenant_id)
            # Events are in the order of their times, so the first that is kept is found by halving.
            kept = bisect_left(range(base + 1, head + 1), cutoff, key=lambda seq: _told_at(connection, run.tenant_id, seq)) + base + 1
            if kept - 1 <= base:
                return 0
            last = audit_log.event(connection, run.tenant_id, kept - 1)
            purged = retention.cut_audit_log(connection, run.tenant_id, last.seq, last.hash)
            told = {"events": purged, "base_seq": last.seq, "base_hash": last.hash, "before": cutoff.isoformat()}
            self._tell(connection, run, CUT, now, told)
            return purged

    def _tell(self, connection: Any, run: JobRun, action: str, now: datetime, details: dict[str, Any]) -> None:
        event = Actor(run.tenant_id, "schedule", frozenset()).event(action, "tenant", run.tenant_id, None, **details)
        audit_log.append(connection, run.tenant_id, now, event)

    def start_rotation(self, who: str) -> dict[str, str]:
        """Have every tenant's claims sealed anew with the current key; the jobs by tenant."""
        made = {}
        with self._database.reading() as connection:
            tenants = evidence.tenants(connection)
        for tenant_id in tenants:
            with self._database.writing() as connection:
                parameters = {"key_id": self._cipher.key_id}
                made[tenant_id] = self._jobs.make(connection, tenant_id, who, "claim_key_rotation", parameters)
                event = Actor(tenant_id, who, frozenset()).event("claim_key.rotation_started", "tenant", tenant_id, None, **parameters)
                audit_log.append(connection, tenant_id, now_utc(), event)
        return made

    def _rotate(self, run: JobRun) -> Mapping[str, Any]:
        key_id = str(run.parameters["key_id"])
        if self._cipher.key_id != key_id:
            self._cipher.reload()
        if self._cipher.key_id != key_id:
            raise RulesServiceError(
                "the key of this rotation is not the current key of the process that runs it: start it again with that key"
            )
        with self._database.reading() as connection:
            total = retention.count_of_other_keys(connection, run.tenant_id, key_id)
        done = 0
        while True:
            with self._database.reading() as connection:
                found = retention.bodies_of_other_keys(connection, run.tenant_id, key_id, STEP)
            if not found:
                secrets = seal_anew(self._database, self._cipher, run.tenant_id)
                return {"claims_sealed_anew": done, "webhook_secrets_sealed_anew": secrets, "key_id": key_id}
            opened = [(one, self._cipher.open(sealed, run.tenant_id, one)) for one, sealed in found]
            with self._database.writing() as connection:
                retention.replace_bodies(
                    connection, run.tenant_id, [(one, self._cipher.seal(body, run.tenant_id, one)) for one, body in opened]
                )
            done += len(found)
            run.go_on(done, max(total, done))


def _told_at(connection: Any, tenant_id: str, seq: int) -> datetime:
    try:
        return datetime.fromisoformat(msgspec.json.decode(audit_log.event(connection, tenant_id, seq).body)["at"])
    except NotFound:  # a gap, which verification tells; it is not retention's to judge
        return datetime.min.replace(tzinfo=now_utc().tzinfo)
