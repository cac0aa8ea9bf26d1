"""Emergencies: a rule that denies wrongly is switched off or held to a lower severity at once, by one person, for seven days.

A measure is part of the manifest, so that it is pinned and replayed like everything else; declaring and ending one are
publications. A change request that changes the rule ratifies it. Without one it expires, and the rule stands as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from rules_service.engine.policy import Publication, complete_branches
from rules_service.findings.finding import SEVERITY_RANK, Severity
from rules_service.primitives.errors import NotFound, Refused
from rules_service.rules.rule import EmergencyMeasure
from rules_service.services.acting import Actor, audited_refusal, now_utc
from rules_service.services.jobs import JobRun, Jobs
from rules_service.services.release import with_emergencies
from rules_service.storage import audit_log, blobs, catalog, emergencies
from rules_service.storage.database import Database
from rules_service.storage.emergencies import EmergencyRecord, How
from rules_service.storage.ids import new_id

DAYS = 7


class Emergencies:
    """Declares and ends emergencies."""

    def __init__(self, database: Database, work: Jobs) -> None:
        self._database = database
        self._jobs = work
        work.handle("emergency_expiry", self._expire)

    def listed(self, actor: Actor, rule_set_id: str) -> list[EmergencyRecord]:
        """Every emergency of a rule set, newest first."""
        with self._database.reading() as connection:
            _live(connection, actor.tenant_id, rule_set_id)
            return list(reversed(emergencies.of_rule_set(connection, actor.tenant_id, rule_set_id)))

    def declare(self, actor: Actor, rule_set_id: str, rule_id: str, severity: Severity | None, reason: str) -> EmergencyRecord:
        """Switch a rule off (no severity), or hold its findings to one. Refused when that lowers nothing, or one stands already."""
        now = now_utc()
        with (
            audited_refusal(self._database, actor, "emergency.declared", "rule_set", rule_set_id),
            self._database.writing() as connection,
        ):
            catalog.lock_tenant(connection, actor.tenant_id)
            live = _live(connection, actor.tenant_id, rule_set_id)
            _require_effect(live, rule_id, severity)
            measure = EmergencyMeasure(emergency_id=new_id("em"), rule_id=rule_id, severity=severity)
            epoch = _publish(connection, actor, with_emergencies(live, [*live.manifest.emergencies, measure]), f"emergency {measure.emergency_id}", now)  # fmt: skip
            record = EmergencyRecord(
                measure.emergency_id, rule_set_id, rule_id, severity, reason, actor.name, now, now + timedelta(days=DAYS), epoch
            )
            emergencies.add(connection, actor.tenant_id, record)
            parameters = {"emergency_id": record.emergency_id}
            self._jobs.make(connection, actor.tenant_id, actor.name, "emergency_expiry", parameters, record.expires_at)
            self._tell(connection, actor, record, "emergency.declared", reason, now, severity=severity, catalog_epoch=epoch)
            return record

    def withdraw(self, actor: Actor, rule_set_id: str, emergency_id: str, reason: str) -> EmergencyRecord:
        """End an emergency before its time: the rule stands as before."""
        with audited_refusal(self._database, actor, "emergency.ended", "emergency", emergency_id), self._database.writing() as connection:
            catalog.lock_tenant(connection, actor.tenant_id)
            record = emergencies.find(connection, actor.tenant_id, emergency_id)
            if record.rule_set_id != rule_set_id:
                raise NotFound("no such emergency of this rule set")
            self._end(connection, actor, record, "withdrawn", reason)
            return emergencies.find(connection, actor.tenant_id, emergency_id)

    def _expire(self, run: JobRun) -> Mapping[str, Any]:
        actor = Actor(run.tenant_id, "schedule", frozenset())
        with self._database.writing() as connection:
            catalog.lock_tenant(connection, run.tenant_id)
            record = emergencies.find(connection, run.tenant_id, str(run.parameters["emergency_id"]))
            if record.how is None:
                self._end(connection, actor, record, "expired", None)
            return {"how": record.how or "expired"}

    def _end(self, connection: Connection, actor: Actor, record: EmergencyRecord, how: How, reason: str | None) -> None:
        if record.how is not None:
            raise Refused("state-conflict", f"The emergency has ended: it was {record.how}.")
        now = now_utc()
        live = _live(connection, actor.tenant_id, record.rule_set_id)
        kept = [one for one in live.manifest.emergencies if one.emergency_id != record.emergency_id]
        epoch = _publish(connection, actor, with_emergencies(live, kept), f"end of emergency {record.emergency_id}", now)
        emergencies.end(connection, actor.tenant_id, record.emergency_id, how, actor.name, epoch, now)
        self._tell(connection, actor, record, "emergency.ended", reason, now, how=how, catalog_epoch=epoch)

    def _tell(
        self, connection: Connection, actor: Actor, record: EmergencyRecord, action: str, reason: str | None, now: datetime, **details: Any
    ) -> None:
        told = {"rule_set_id": record.rule_set_id, "rule_id": record.rule_id, **details}
        audit_log.append(connection, actor.tenant_id, now, actor.event(action, "emergency", record.emergency_id, reason, **told))


def _live(connection: Connection, tenant_id: str, rule_set_id: str) -> Publication:
    epoch = catalog.current_epoch(connection, tenant_id)
    found = [one for one in catalog.live_publications(connection, tenant_id, epoch) if one.rule_set_id == rule_set_id]
    if not found:
        raise NotFound("no such rule set")
    return found[0]


def _publish(connection: Connection, actor: Actor, publication: Publication, reason: str, now: datetime) -> int:
    """The same content and files again, under other measures."""
    record = catalog.publications_of(connection, actor.tenant_id, publication.rule_set_id)[-1]
    files = {path: text.encode() for path, text in blobs.source_files(connection, actor.tenant_id, record.source_sha256).items()}
    content = catalog.EpochContent(publications=[(publication, {}, files)])
    return catalog.publish(connection, actor.tenant_id, content, actor.name, reason, now)


def _require_effect(live: Publication, rule_id: str, severity: Severity | None) -> None:
    windows = [window for window in live.manifest.windows if window.rule_id == rule_id]
    if not windows:
        raise NotFound("no such rule in this rule set")
    if any(one.rule_id == rule_id for one in live.manifest.emergencies):
        raise Refused("state-conflict", f"An emergency of {rule_id} stands already: withdraw it first.")
    if severity is not None:
        said = {branch.severity for window in windows for branch in complete_branches(live.contents[window.sha256])}
        if not any(one is not None and SEVERITY_RANK[one] > SEVERITY_RANK[severity] for one in said):
            raise Refused("state-conflict", f"{rule_id} finds nothing above {severity}: there is nothing to lower.")
